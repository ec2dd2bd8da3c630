"""What an upstream sends of itself: questions for the client that made it ask, pings, and notifications."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import anyio

from portal._errors import ClientCannot
from portal.wire import (
    ASKED_METHODS,
    CANCELLATION,
    INTERNAL_ERROR,
    LISTEN,
    LOG_MESSAGE,
    METHOD_NOT_FOUND,
    PROGRESS,
    SUBSCRIPTION_KEY,
    RpcError,
    error_message,
    response_message,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from portal.upstream._background import Background
    from portal.upstream._exchange import Exchange
    from portal.wire import Message, RequestId
    from typegen import JsonObject

logger = logging.getLogger("portico.upstream")

MAX_QUESTIONS: Final = 64
"""Questions of one session that may be open at once."""
MAX_ANSWERS: Final = 256
"""Answers that the upstream has not accepted yet; a flood of requests beyond it is not answered."""
ANSWER_S: Final = 10.0
"""How long an upstream may take to accept an answer to its question."""


class Inbound:
    """Serves what comes unasked on one session. ``send`` takes the answers; requests under way are in ``exchanges``.

    ``on_gap`` is to be called when what the upstream said of itself may have been missed.
    ``is_exclusive`` says that the session is one user's or client's, ``is_one_users`` whether all that went over it so
    far was. ``has_one_stream`` is for transports on which what belongs to a request comes on no stream of its own.
    ``takes_requests`` is off for MCP 2026-07-28, where servers send none and could not be answered.
    """

    def __init__(
        self,
        tasks: Background,
        *,
        server_id: str,
        on_notification: Callable[[str, JsonObject], None],
        on_gap: Callable[[], None],
        is_exclusive: bool,
        is_one_users: Callable[[], bool],
    ) -> None:
        self.on_gap = on_gap
        self.exchanges: dict[RequestId, Exchange] = {}
        self.takes_requests = True
        self.has_one_stream = False
        self._all_done = anyio.Event()
        self.send: Callable[[Message], Awaitable[None]] | None = None
        self._tasks = tasks
        self._server_id = server_id
        self._on_notification = on_notification
        self._is_exclusive = is_exclusive
        self._is_one_users = is_one_users
        self._questions: dict[RequestId, anyio.CancelScope] = {}
        self._answers = 0

    def begin(self, exchange: Exchange) -> None:
        """Note a request that goes out."""
        self.exchanges[exchange.request_id] = exchange

    def end(self, exchange: Exchange) -> None:
        """Note that a request is over, whatever came of it."""
        del self.exchanges[exchange.request_id]
        exchange.close()
        self._all_done.set()

    @property
    def under_way(self) -> int:
        """How many requests wait for their answer; a subscription does not count."""
        return sum(exchange.method != LISTEN for exchange in self.exchanges.values())

    @property
    def awaits_list(self) -> bool:
        """Whether the answer that comes next may be a list, which may be longer than others."""
        return any(exchange.method.endswith("/list") for exchange in self.exchanges.values())

    async def wait_answered(self) -> None:
        """Wait until no request is under way."""
        while self.under_way:
            self._all_done = anyio.Event()
            await self._all_done.wait()

    def take(self, message: Message, exchange: Exchange | None) -> None:
        """Take a request or a notification; ``exchange`` is that of the stream it came on, where a stream tells."""
        method, params, request_id = message.get("method"), message.get("params"), message.get("id")
        if not isinstance(method, str):
            return
        given: JsonObject = params if isinstance(params, dict) else {}
        if isinstance(request_id, str | int):
            if exchange is not None:
                exchange.heard()
            self._take_request(request_id, method, given, exchange)
        elif method == CANCELLATION:
            self._take_cancellation(given)
        else:
            of = exchange or self._exchange_of(method, given)
            if method == PROGRESS and exchange is not None and self._exchange_of(method, given) is not exchange:
                exchange.heard()  # a sign of life, but of the progress of something else
                return
            if of is None or not of.take_notification(method, given):
                self._on_notification(method, given)

    def refuse(self, request_id: RequestId, error: RpcError) -> None:
        """Answer a request with an error."""
        self._answer_soon(error_message(request_id, error))

    def _exchange_of(self, method: str, params: JsonObject) -> Exchange | None:
        if method == LOG_MESSAGE:
            return self._logging()
        key = params.get("progressToken")
        if method != PROGRESS:
            meta = params.get("_meta")
            key = meta.get(SUBSCRIPTION_KEY) if isinstance(meta, dict) else None
        if isinstance(key, str) and key.isdecimal():
            key = int(key)
        return self.exchanges.get(key) if isinstance(key, str | int) else None

    def _take_request(self, request_id: RequestId, method: str, params: JsonObject, exchange: Exchange | None) -> None:
        if not self.takes_requests:
            logger.warning("%s: a request (%s) is not of its protocol version", self._server_id, method[:100])
            return
        if method == "ping":
            self._answer_soon(response_message(request_id, {}))
            return
        if method not in ASKED_METHODS:
            self.refuse(request_id, RpcError(METHOD_NOT_FOUND, f"Method not found: {method}"))
            return
        asker = exchange or self._asker()
        if asker is None or asker.conversation is None:
            self.refuse(request_id, RpcError(METHOD_NOT_FOUND, f"no client can be asked for {method} now"))
        elif len(self._questions) >= MAX_QUESTIONS or request_id in self._questions:
            self.refuse(request_id, RpcError(INTERNAL_ERROR, "too many questions are open"))
        else:
            self._tasks.start_soon(self._ask, request_id, method, params, asker)

    def _logging(self) -> Exchange | None:
        # A log message names no request. Where it comes on the stream of all of them, it is taken for that of the only
        # one; but of several users' it may as well be about one that was given up, and nobody else's to read.
        if not self.has_one_stream or not self._is_one_users():
            return None
        with_client = [one for one in self.exchanges.values() if one.conversation is not None]
        return with_client[0] if len(with_client) == 1 else None

    def _asker(self) -> Exchange | None:
        # What comes on a stream of the whole session does not say which request made the upstream ask; where clients
        # share the session, one must not see, nor answer, what another's call is asked.
        with_client = [one for one in self.exchanges.values() if one.conversation is not None]
        return with_client[-1] if len(with_client) == 1 or (with_client and self._is_exclusive) else None

    async def _ask(self, request_id: RequestId, method: str, params: JsonObject, exchange: Exchange) -> None:
        answer: Message | None = None
        is_wanted = False
        with anyio.CancelScope() as scope:
            self._questions[request_id] = scope
            exchange.asks.add(scope)
            try:
                answer = await self._asked(request_id, method, params, exchange)
            finally:
                exchange.asks.discard(scope)
                is_wanted = self._questions.pop(request_id, None) is scope
        if scope.cancelled_caught and is_wanted:  # the request that it belonged to is over
            answer = error_message(request_id, RpcError(INTERNAL_ERROR, "the request that this belonged to is over"))
        if answer is not None and is_wanted:
            await self._answer(answer)

    async def _asked(self, request_id: RequestId, method: str, params: JsonObject, exchange: Exchange) -> Message:
        conversation = exchange.conversation
        assert conversation is not None  # noqa: S101 -- asked for before
        try:
            return response_message(request_id, await exchange.ask(conversation, method, params))
        except ClientCannot as error:
            return error_message(request_id, RpcError(METHOD_NOT_FOUND, str(error)))
        except RpcError as error:
            return error_message(request_id, error)
        except Exception:
            # A client's side that fails must cost this question only, not the session with all its requests.
            logger.exception("%s: asking the client failed (%s)", self._server_id, method)
            return error_message(request_id, RpcError(INTERNAL_ERROR, "the portal could not ask the client"))

    def _take_cancellation(self, params: JsonObject) -> None:
        key = params.get("requestId")
        scope = self._questions.pop(key, None) if isinstance(key, str | int) else None
        if scope is not None:
            scope.cancel()

    def _answer_soon(self, message: Message) -> None:
        if self._answers < MAX_ANSWERS:
            self._answers += 1
            self._tasks.start_soon(self._answer_counted, message)

    async def _answer_counted(self, message: Message) -> None:
        try:
            await self._answer(message)
        finally:
            self._answers -= 1

    async def _answer(self, message: Message) -> None:
        if self.send is None:
            return
        try:
            with anyio.move_on_after(ANSWER_S):
                await self.send(message)
        except Exception as error:  # noqa: BLE001 -- an answer that cannot be delivered is the loss of one question
            logger.warning("%s: an answer to its question was not taken (%s)", self._server_id, type(error).__name__)

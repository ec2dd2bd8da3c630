"""Requests that we send and whose answers come back on their own, in any order."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import anyio

from portal.wire._messages import INTERNAL_ERROR, Message, RequestId, RpcError, notification_message, request_message
from portal.wire._names import CANCELLATION

if TYPE_CHECKING:
    from typegen import JsonObject, JsonValue

logger = logging.getLogger("portico.wire")

Send: TypeAlias = Callable[[Message], Awaitable[None]]

_CANCEL_S = 1.0  # a far side that does not read must not keep a cancelled task


class _Waiting:
    """A request without an answer so far."""

    __slots__ = ("answered", "error", "is_withdrawn", "result")

    def __init__(self) -> None:
        self.answered = anyio.Event()
        self.is_withdrawn = False
        self.result: JsonObject | None = None
        self.error: Exception | None = None


class Outgoing:
    """The requests of one side of a connection: sent by ``request``, answered by ``settle``."""

    def __init__(self) -> None:
        self._last = 0
        self._waiting: dict[RequestId, _Waiting] = {}

    def new_id(self) -> RequestId:
        """Return an id that no other request of this side has."""
        self._last += 1
        return self._last

    async def request(
        self,
        method: str,
        params: JsonObject | None,
        *,
        send: Send,
        request_id: RequestId | None = None,
        tell_cancelled: bool = True,
    ) -> JsonObject:
        """Send a request and return its result as it came. Raises ``RpcError``, and what ``fail`` was given.

        When the wait is cancelled, the far side is told so if ``tell_cancelled``; ``initialize`` must not be cancelled.
        """
        key = self.new_id() if request_id is None else request_id
        waiting = self._waiting[key] = _Waiting()
        try:
            await send(request_message(key, method, params))
            await waiting.answered.wait()
        except anyio.get_cancelled_exc_class():
            if tell_cancelled and not waiting.is_withdrawn:
                waiting.is_withdrawn = True
                await self._tell_cancelled(key, send)
            raise
        finally:
            del self._waiting[key]
        if waiting.error is not None:
            raise waiting.error
        return waiting.result or {}

    def settle(self, message: Message) -> bool:
        """Take an answer; return whether anybody waited for it."""
        key = message.get("id")
        waiting = self._waiting.get(key) if isinstance(key, str | int) else None
        if waiting is None or waiting.answered.is_set():  # the first answer counts
            return False
        if "error" in message:
            waiting.error = RpcError.of(message["error"])
        else:
            waiting.result = _object(message.get("result"))
            if waiting.result is None:
                waiting.error = RpcError(INTERNAL_ERROR, "the other side answered with a result that is no object")
        waiting.answered.set()
        return True

    def withdraw(self, request_id: RequestId) -> bool:
        """Note that the far side is told that a request is cancelled; return whether it had to be."""
        waiting = self._waiting.get(request_id)
        if waiting is None or waiting.is_withdrawn or waiting.answered.is_set():
            return False
        waiting.is_withdrawn = True
        return True

    def fail(self, error: Exception, *, request_id: RequestId | None = None) -> None:
        """Fail a request, or every one that waits: no answer will come."""
        keys = list(self._waiting) if request_id is None else [request_id]
        for key in keys:
            waiting = self._waiting.get(key)
            if waiting is not None and not waiting.answered.is_set():
                waiting.error = error
                waiting.answered.set()

    @staticmethod
    async def _tell_cancelled(key: RequestId, send: Send) -> None:
        with anyio.move_on_after(_CANCEL_S, shield=True):
            try:
                await send(notification_message(CANCELLATION, {"requestId": key}))
            except Exception as error:  # noqa: BLE001 -- however it fails, what ended the wait must win: the request went out
                logger.debug("a cancellation was not taken (%s)", type(error).__name__)


def _object(value: JsonValue) -> JsonObject | None:
    return value if isinstance(value, dict) else None

"""Streamable HTTP for the versions 2024-11-05 to 2025-11-25: sessions, and streams that can be taken up again.

A request is answered by plain JSON where nothing else is to be sent and the client does not name event streams first.
Where notifications or questions come first, or it takes long, its answer is the last event of a stream. A client whose
connection ends has ``RETURN_S`` to take the stream up again; then nobody waits for the answer any more and the request
is cancelled.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from portal.server._announcements import Listener
from portal.server._answers import CANCELLED, Answer, answer, failed, stopped
from portal.server._event_stream import EventStream
from portal.server._exchanges import Exchange
from portal.server._http_messages import EVENTS, HttpRefusal, send_empty, send_json
from portal.server._request import ClientRequest
from portal.server._sessions import new_session_id
from portal.server._transport_conversation import TransportConversation
from portal.upstream import Caller
from portal.wire import (
    CANCELLATION,
    HANDSHAKE_VERSIONS,
    INVALID_PARAMS,
    LATEST_HANDSHAKE_VERSION,
    answer_to,
    encode,
    notification_message,
)

if TYPE_CHECKING:
    from portal.server._announcements import Announcements
    from portal.server._channel import Channel
    from portal.server._exchanges import Exchanges
    from portal.server._http_messages import Headers, HttpRequest
    from portal.server._modes import View
    from portal.server._server import ServedPortal
    from portal.server._sessions import Session, Sessions
    from portal.wire import Message, RequestId
    from typegen import JsonObject, JsonValue

SESSION_HEADER: Final = b"mcp-session-id"
BATCH_VERSION: Final = "2025-03-26"
"""The one version with batches (JSON-RPC 2.0, section 6)."""
MAX_BATCH: Final = 50
RETURN_S: Final = 5.0
"""Clients come back after ``retry``, which is a second; the rest is for the network."""


class SessionHttp:
    """Serves the requests of clients with sessions to one portal."""

    def __init__(
        self, portal: ServedPortal, portal_id: str, sessions: Sessions, exchanges: Exchanges, listeners: Announcements
    ) -> None:
        self._portal = portal
        self._portal_id = portal_id
        self._sessions = sessions
        self._exchanges = exchanges
        self._listeners = listeners

    async def serve(self, request: HttpRequest, *, user: str, view: View) -> None:
        """Serve one HTTP request. Raises ``HttpRefusal``, ``ClientGone``."""
        if request.method == "POST":
            await self._post(request, user, view)
        elif request.method == "GET":
            await self._get(request, user)
        elif request.method == "DELETE":
            self._sessions.end(self._session(request, user).session_id)
            await send_empty(request.send, 200)
        else:
            raise HttpRefusal(405, "Use POST, GET or DELETE", headers=((b"allow", b"GET, POST, DELETE"),))

    async def _post(self, request: HttpRequest, user: str, view: View) -> None:
        request.check_post()
        session = self._session(request, user) if SESSION_HEADER in request.headers else None
        message = await self._exchanges.message_of(request)
        if isinstance(message, dict) and message.get("method") == "initialize" and "id" in message:
            if session is not None:
                raise HttpRefusal(400, "This session is initialized already")
            await self._initialize(message, request, user, view)
            return
        if session is None:
            raise HttpRefusal(400, "Begin with initialize, and send the Mcp-Session-Id that it returns")
        batch = _batch(message, session) if isinstance(message, list) else [message]
        requests = [taken for each in batch if (taken := self._take(each, session)) is not None]
        if requests:
            await self._serve_requests(requests, session, request, view, is_batch=isinstance(message, list))
        else:
            await send_empty(request.send, 202)

    async def _initialize(self, message: Message, request: HttpRequest, user: str, view: View) -> None:
        request_id, _, params = _request_parts(message)
        self._exchanges.check()
        self._sessions.admit()
        declared = params.get("capabilities")
        caller = Caller(user=user, client=new_session_id(), capabilities=declared if isinstance(declared, dict) else {})
        asked = ClientRequest(
            view=view,
            caller=caller,
            protocol_version=LATEST_HANDSHAKE_VERSION,
            conversation=TransportConversation(_nowhere, capabilities={}, log_level=None, progress_token=None),
        )

        async def handled(_: RequestId, method: str, params: JsonObject) -> JsonObject:
            return await self._portal.handle(method, params, asked)

        answered = await answer_to(handled, request_id, "initialize", params)
        result = answered.get("result")
        headers: Headers = []
        if isinstance(result, dict):
            version = result.get("protocolVersion")
            session = self._sessions.begin(
                caller,
                portal_id=self._portal_id,
                version=version if isinstance(version, str) else HANDSHAKE_VERSIONS[0],
            )
            listener = Listener(caller=caller, view=view, notify=session.notify, log_level=session.log_level)
            self._listeners.add(listener)
            session.on_close = partial(self._listeners.remove, listener)
            headers = _session_headers(session)
        await send_json(request.send, 200, (encode(answered),), headers)

    async def _serve_requests(
        self, messages: list[Message], session: Session, request: HttpRequest, view: View, *, is_batch: bool
    ) -> None:
        parts = [_request_parts(message) for message in messages]
        for index, (request_id, _, _) in enumerate(parts):
            if request_id in session.running or request_id in (earlier for earlier, _, _ in parts[:index]):
                raise HttpRefusal(400, "A request with this id is running", request_id=request_id)
        exchange = SessionExchange(request, session, self._exchanges)
        self._exchanges.add(exchange)
        session.held += 1
        try:
            if request.prefers_events:
                await exchange.begin_stream()
            if is_batch:
                answered = await self._answer_all(parts, exchange, view)
            else:
                answered = await self._answer_one(*parts[0], exchange=exchange, view=view)
            await exchange.withdraw()
        finally:
            self._exchanges.remove(exchange)
            session.release()
        await exchange.send(answered)

    async def _answer_one(
        self, request_id: RequestId, method: str, params: JsonObject, *, exchange: SessionExchange, view: View
    ) -> Answer:
        session = exchange.session
        meta = params.get("_meta")
        meta = meta if isinstance(meta, dict) else {}
        conversation = TransportConversation(
            exchange.emit,
            capabilities=session.caller.capabilities,
            log_level=session.log_level,
            progress_token=meta.get("progressToken"),
            asks=session.asks,
        )
        asked = ClientRequest(
            view=view,
            caller=session.caller,
            protocol_version=session.version,
            conversation=conversation,
            meta=meta,
        )
        answered: Answer | None = None
        with exchange.new_scope() as scope:
            session.running[request_id] = scope
            try:
                answered = await answer(self._portal, request_id, method, params, asked)
            finally:
                session.running.pop(request_id, None)
        if answered is None:
            return stopped(request_id) if exchange.is_stopped else failed(request_id, CANCELLED, "Request cancelled")
        level = params.get("level")
        if method == "logging/setLevel" and answered.code is None and isinstance(level, str):
            session.log_level = level
        return answered

    async def _answer_all(
        self, parts: list[tuple[RequestId, str, JsonObject]], exchange: SessionExchange, view: View
    ) -> Answer:
        answers: list[bytes] = []

        async def one(request_id: RequestId, method: str, params: JsonObject) -> None:
            answers.append((await self._answer_one(request_id, method, params, exchange=exchange, view=view)).text)

        async with anyio.create_task_group() as tasks:
            for part in parts:
                tasks.start_soon(one, *part)
        return Answer((b"[" + b",".join(answers) + b"]",))

    async def _get(self, request: HttpRequest, user: str) -> None:
        if not request.accepts(EVENTS):
            raise HttpRefusal(406, "Accept text/event-stream")
        session = self._session(request, user)
        self._exchanges.check_standing()
        channel: Channel = session.standing
        after: int | None = None
        last_seen = request.headers.get(b"last-event-id")
        if last_seen:
            found = session.resumable(last_seen.decode("latin-1"))
            if found is None:
                raise HttpRefusal(400, "There is nothing to resume after this event")
            channel, after = found
        stream = EventStream(request.send, _session_headers(session))
        session.held += 1
        try:
            await channel.attach(stream, after=after)
            was_told = await self._exchanges.hold_open(stream, request)
        finally:
            channel.detach(stream)
            session.release()
        if was_told:
            await stream.end()

    def _take(self, message: JsonValue, session: Session) -> Message | None:
        """Take what needs no answer, and return a request. Raises ``HttpRefusal`` for what is no message."""
        if not isinstance(message, dict):
            raise HttpRefusal(400, "A message is a JSON object")
        method = message.get("method")
        if method is None and ("result" in message or "error" in message):
            session.asks.settle(message)
            return None
        if not isinstance(method, str):
            raise HttpRefusal(400, "A message has a method, a result or an error")
        if "id" in message:
            return message
        if method == CANCELLATION:
            params = message.get("params")
            request_id = params.get("requestId") if isinstance(params, dict) else None
            scope = session.running.get(request_id) if isinstance(request_id, str | int) else None
            if scope is not None:
                scope.cancel()
        else:
            self._portal.told_by(session.caller, method)
        return None

    def _session(self, request: HttpRequest, user: str) -> Session:
        """Return the session that a request names. Raises ``HttpRefusal``: 404 tells a client to begin anew."""
        session_id = request.headers.get(SESSION_HEADER)
        if session_id is None:
            raise HttpRefusal(400, "Send the Mcp-Session-Id that initialize returned")
        session = self._sessions.find(session_id.decode("latin-1"), user=user, portal_id=self._portal_id)
        if session is None:
            raise HttpRefusal(404, "There is no such session, or it has ended; begin again with initialize")
        return session


class SessionExchange(Exchange):
    """One POST of a session that is being answered."""

    __slots__ = ("_asked", "_exchanges", "_is_gone", "channel", "session")

    def __init__(self, request: HttpRequest, session: Session, exchanges: Exchanges) -> None:
        super().__init__(request)
        self.session = session
        self.channel: Channel | None = None
        self._exchanges = exchanges
        self._is_gone = False
        self._asked: list[RequestId] = []  # the questions that went out

    async def begin_stream(self) -> None:
        """Answer by a stream of events from now on."""
        if self.channel is None and not (self.is_done or self._is_gone):
            self.channel = self.session.open_channel()
            self.channel.on_lost = self._await_return
            self.stream = EventStream(self.request.send, _session_headers(self.session))
            await self.channel.attach(self.stream)

    async def emit(self, message: Message) -> None:
        """Send a message of these requests; one that comes after the answer is dropped."""
        await self.begin_stream()
        if self.channel is not None and not self.is_done:
            asked = message.get("id")
            if isinstance(asked, str | int):
                self._asked.append(asked)
            await self.channel.send(encode(message))

    async def withdraw(self) -> None:
        """Take back the questions that are still open: nobody waits for them, and after the answer nothing is sent."""
        for asked in self._asked:
            if self.session.asks.withdraw(asked) and self.channel is not None:
                await self.channel.send(encode(notification_message(CANCELLATION, {"requestId": asked})))

    async def on_gone(self) -> None:
        """Keep the answer for a client that comes back, and cancel the requests of one that does not."""
        self._is_gone = True
        if self.channel is not None and self.stream is not None:
            self.channel.detach(self.stream)
        else:
            self._await_return()

    async def send(self, answered: Answer) -> None:
        """Send the answer, or keep it for a client that will come for it."""
        if self.channel is None or self.stream is None:
            await send_json(self.request.send, 200, answered.pieces)
            return
        await self.channel.end(answered.text)
        await self.stream.end()

    def _await_return(self) -> None:
        async def await_return() -> None:
            await anyio.sleep(RETURN_S)
            if not self.is_done and (self.channel is None or not self.channel.is_attached):
                self.cancel()

        self._exchanges.start(await_return)


def _batch(messages: list[JsonValue], session: Session) -> list[JsonValue]:
    if session.version != BATCH_VERSION:
        raise HttpRefusal(400, f"MCP {session.version} has no batches: send one message")
    if not 0 < len(messages) <= MAX_BATCH:
        raise HttpRefusal(400, f"A batch has 1 to {MAX_BATCH} messages")
    return messages


def _request_parts(message: Message) -> tuple[RequestId, str, JsonObject]:
    request_id, method, params = message.get("id"), message.get("method"), message.get("params", {})
    if not isinstance(request_id, str | int) or isinstance(request_id, bool) or not isinstance(method, str):
        raise HttpRefusal(400, "The id of a request is a string or an integer")
    if not isinstance(params, dict):
        raise HttpRefusal(400, "The params of a request are an object", code=INVALID_PARAMS, request_id=request_id)
    return request_id, method, params


def _session_headers(session: Session) -> Headers:
    return [(SESSION_HEADER, session.session_id.encode())]


async def _nowhere(_: Message) -> None:
    """Send nothing: ``initialize`` is answered alone."""

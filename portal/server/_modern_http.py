"""MCP 2026-07-28 over HTTP: each request is an exchange of its own, and nothing is kept between two.

The answer is plain JSON where nothing else is to be sent, and the last event of a stream where notifications came
first or the request takes long. A client that ends the connection cancels its request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portal.server._answers import Answer, answer, stopped
from portal.server._event_stream import KEEP_ALIVE, EventStream, event
from portal.server._exchanges import Exchange
from portal.server._http_messages import HttpRefusal, send_empty, send_json
from portal.server._listening import Wishes, listen_over_http
from portal.server._modern_headers import (
    HEADER_MISMATCH,
    MISSING_CAPABILITY,
    check_params,
    check_version,
    checked_meta,
)
from portal.server._modes import LISTING_MODES
from portal.server._request import ClientRequest
from portal.server._transport_conversation import TransportConversation
from portal.upstream import Caller
from portal.wire import (
    CAPABILITIES_KEY,
    INVALID_PARAMS,
    INVALID_REQUEST,
    LISTEN,
    LOG_LEVEL_KEY,
    METHOD_NOT_FOUND,
    MODERN_VERSION,
    PARSE_ERROR,
    UNSUPPORTED_VERSION,
    RpcError,
    encode,
)

if TYPE_CHECKING:
    from portal.server._announcements import Announcements
    from portal.server._exchanges import Exchanges
    from portal.server._http_messages import HttpRequest
    from portal.server._modes import View
    from portal.server._server import ServedPortal
    from portal.wire import Message, MirroredParam, RequestId
    from typegen import JsonObject

STATUS: Final = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    MISSING_CAPABILITY: 400,
    UNSUPPORTED_VERSION: 400,
    METHOD_NOT_FOUND: 404,
}
"""The HTTP status that goes with the code of an error; others are answered with 200."""


class ModernHttp:
    """Serves the requests of clients without sessions to one portal."""

    def __init__(self, portal: ServedPortal, exchanges: Exchanges, listeners: Announcements) -> None:
        self._portal = portal
        self._listeners = listeners
        self._exchanges = exchanges

    async def serve(self, request: HttpRequest, *, user: str, view: View) -> None:
        """Serve one HTTP request. Raises ``HttpRefusal``, ``ClientGone``."""
        if request.method != "POST":
            raise HttpRefusal(405, f"MCP {MODERN_VERSION} has POST only", headers=((b"allow", b"POST"),))
        request.check_post()
        message = await self._exchanges.message_of(request)
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            raise HttpRefusal(400, "The body must be one JSON-RPC request or notification")
        if "id" not in message:
            # There is none that would do anything here: who closes the connection cancels.
            check_version(request, None)
            await send_empty(request.send, 202)
            return
        await self._serve_request(message, request, user=user, view=view)

    async def _serve_request(self, message: Message, request: HttpRequest, *, user: str, view: View) -> None:
        request_id, method, params = message["id"], message["method"], message.get("params", {})
        if not isinstance(request_id, str | int) or isinstance(request_id, bool) or not isinstance(method, str):
            raise HttpRefusal(400, "The id of a request is a string or an integer")
        if not isinstance(params, dict):
            raise HttpRefusal(400, "The params of a request are an object", code=INVALID_PARAMS, request_id=request_id)
        meta = checked_meta(method, params, request_id, request)
        declared = meta[CAPABILITIES_KEY]
        caller = Caller(user=user, capabilities=declared if isinstance(declared, dict) else {})
        if method == "tools/call":
            mirrored = self._mirrored_params(params.get("name"), caller, view)
            if mirrored:
                check_params(mirrored, params.get("arguments"), request_id, request)
        if method == LISTEN:
            await self._listen(request_id, params, request, caller, view)
            return
        exchange = ModernExchange(request)
        level = meta.get(LOG_LEVEL_KEY)
        conversation = TransportConversation(
            exchange.emit,
            capabilities=caller.capabilities,
            log_level=level if isinstance(level, str) else None,
            progress_token=meta.get("progressToken"),
        )
        asked = ClientRequest(
            view=view, caller=caller, protocol_version=MODERN_VERSION, conversation=conversation, meta=meta
        )
        self._exchanges.add(exchange)
        answered: Answer | None = None
        try:
            with exchange.new_scope():
                answered = await answer(self._portal, request_id, method, params, asked)
        finally:
            self._exchanges.remove(exchange)
        if answered is None:
            if not exchange.is_stopped:
                return  # the client is gone
            answered = stopped(request_id)
        await exchange.send(answered)

    async def _listen(
        self, request_id: RequestId, params: JsonObject, request: HttpRequest, caller: Caller, view: View
    ) -> None:
        try:
            wishes = Wishes.of(request_id, params)
        except RpcError as error:
            raise HttpRefusal(400, error.message, code=error.code, request_id=request_id) from None
        await listen_over_http(
            wishes, request, caller=caller, view=view, listeners=self._listeners, exchanges=self._exchanges
        )

    def _mirrored_params(self, tool: object, caller: Caller, view: View) -> tuple[MirroredParam, ...]:
        """Return which arguments of a tool are repeated in headers; none for a tool that the client does not list."""
        if not isinstance(tool, str) or view.mode not in LISTING_MODES:
            return ()
        listed = self._portal.listing_for(caller, view).tools.get(tool)
        return listed.source.mirrored if listed is not None else ()


class ModernExchange(Exchange):
    """One request of MCP 2026-07-28 that is being answered."""

    __slots__ = ()

    async def begin_stream(self) -> None:
        """Answer by a stream of events from now on."""
        if self.stream is None and not self.is_done:
            await self._stream().write(KEEP_ALIVE)

    async def emit(self, message: Message) -> None:
        """Send a notification of this request; one that comes after the answer is dropped."""
        if not self.is_done:
            await self._stream().write(event(encode(message)))

    async def send(self, answered: Answer) -> None:
        """Send the answer."""
        if self.stream is not None:
            await self.stream.end(event(answered.text))
            return
        status = STATUS.get(answered.code, 200) if answered.code is not None else 200
        await send_json(self.request.send, status, answered.pieces)

    def _stream(self) -> EventStream:
        if self.stream is None:
            self.stream = EventStream(self.request.send)
        return self.stream

"""A client over a channel that carries messages both ways, as stdio and HTTP+SSE do, in either era.

The first request decides: one whose ``_meta`` names MCP 2026-07-28 has no handshake before it, any other has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

from portal._errors import ClientCannot
from portal.server._announcements import Listener
from portal.server._answers import answer
from portal.server._listening import Wishes
from portal.server._request import ClientRequest
from portal.server._sessions import LOG_LEVEL, new_session_id
from portal.server._transport_conversation import TransportConversation
from portal.upstream import Caller
from portal.wire import (
    CANCELLATION,
    CAPABILITIES_KEY,
    INVALID_PARAMS,
    INVALID_REQUEST,
    LATEST_HANDSHAKE_VERSION,
    LISTEN,
    LOG_LEVEL_KEY,
    MODERN_VERSION,
    UNSUPPORTED_VERSION,
    VERSION_KEY,
    Outgoing,
    RpcError,
    decode,
    encode,
    error_message,
    notification_message,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from portal.server._modes import View
    from portal.server._server import ServedPortal
    from portal.wire import Message, RequestId
    from typegen import JsonObject, JsonValue

MAX_RUNNING: Final = 200
"""Requests of one connection at once."""


class Connection:
    """One client. ``take`` what it sends; what it is to get goes through ``write``, one message at a time.

    Requests run in ``tasks``. ``close`` it when the channel has ended.
    """

    def __init__(
        self,
        portal: ServedPortal,
        *,
        user: str,
        view: View,
        write: Callable[[bytes], Awaitable[None]],
        tasks: TaskGroup,
    ) -> None:
        self._portal = portal
        self._view = view
        self._write = write
        self._tasks = tasks
        self._lock = anyio.Lock(fast_acquire=True)
        self._asks = Outgoing()
        self._running: dict[RequestId, anyio.CancelScope] = {}
        self._caller = Caller(user=user, client=new_session_id())
        self._version: str | None = None
        self._log_level = LOG_LEVEL
        self._listener: Listener | None = None
        self._ending = anyio.Event()

    @property
    def client(self) -> str:
        """The id under which upstreams know this client."""
        return self._caller.client or ""

    async def finish(self, within_s: float) -> None:
        """End standing streams, and wait so long for the answers that are being made."""
        self._ending.set()
        with anyio.move_on_after(within_s):
            while self._running:  # noqa: ASYNC110 -- for several tasks, at the end of a connection
                await anyio.sleep(0.02)

    async def take(self, message: Message | list[JsonValue]) -> None:
        """Take one message from the client; a request is answered later."""
        if not isinstance(message, dict):
            await self._refuse(None, INVALID_REQUEST, "A message is one JSON object")
            return
        method, request_id, params = message.get("method"), message.get("id"), message.get("params", {})
        if method is None and ("result" in message or "error" in message):
            self._asks.settle(message)
        elif not isinstance(method, str) or not isinstance(params, dict):
            await self._refuse(request_id, INVALID_REQUEST, "A message has a method, and its params are an object")
        elif "id" not in message:
            self._note(method, params)
        elif not isinstance(request_id, str | int) or isinstance(request_id, bool) or request_id in self._running:
            await self._refuse(None, INVALID_REQUEST, "A request has an id of its own, a string or an integer")
        elif len(self._running) >= MAX_RUNNING:
            await self._refuse(request_id, INVALID_REQUEST, f"At most {MAX_RUNNING} requests run at once")
        else:
            try:
                request = self._request(method, params)  # here and now: what came before decides, not what comes after
            except RpcError as error:
                await self._send(error_message(request_id, error))
                return
            scope = self._running[request_id] = anyio.CancelScope()
            if method == "initialize":
                await self._serve(request_id, method, params, request, scope)  # what follows depends on its answer
            else:
                self._tasks.start_soon(self._serve, request_id, method, params, request, scope)

    async def refuse(self, error: RpcError) -> None:
        """Answer what is no message."""
        await self._send(error_message(None, error))

    def close(self) -> None:
        """Cancel what runs for the client and tell it no more."""
        self._asks.fail(ClientCannot("the client is gone"))
        for scope in self._running.values():
            scope.cancel()
        if self._listener is not None:
            self._portal.announcements.remove(self._listener)

    def _note(self, method: str, params: JsonObject) -> None:
        request_id = params.get("requestId")
        if method == CANCELLATION and isinstance(request_id, str | int):
            scope = self._running.get(request_id)
            if scope is not None:
                scope.cancel()
        elif method != CANCELLATION:
            self._portal.told_by(self._caller, method)

    async def _serve(
        self, request_id: RequestId, method: str, params: JsonObject, request: ClientRequest, scope: anyio.CancelScope
    ) -> None:
        # A request that is cancelled is not answered, in either era.
        try:
            with scope:
                try:
                    text = await self._answer(request_id, method, params, request)
                except RpcError as error:
                    text = encode(error_message(request_id, error))
                await self._send_text(text)
        finally:
            self._running.pop(request_id, None)

    async def _answer(self, request_id: RequestId, method: str, params: JsonObject, request: ClientRequest) -> bytes:
        if request.is_modern and method == LISTEN:
            return await self._listen(Wishes.of(request_id, params), request.caller)
        answered = await answer(self._portal, request_id, method, params, request)
        if answered.code is not None:
            return answered.text
        if method == "initialize":
            self._begin(answered.text)
        level = params.get("level")
        if method == "logging/setLevel" and isinstance(level, str):
            self._log_level = level
        return answered.text

    def _request(self, method: str, params: JsonObject) -> ClientRequest:
        """Read who asks, in which era. Raises ``RpcError``."""
        meta = params.get("_meta")
        meta = meta if isinstance(meta, dict) else {}
        if VERSION_KEY in meta and self._version in {None, MODERN_VERSION}:
            return self._modern(meta)
        return self._with_handshake(method, params, meta)

    def _modern(self, meta: JsonObject) -> ClientRequest:
        """Read who asks. Raises ``RpcError``."""
        version, declared, level = meta[VERSION_KEY], meta.get(CAPABILITIES_KEY), meta.get(LOG_LEVEL_KEY)
        if not isinstance(version, str) or not isinstance(declared, dict):
            raise RpcError(INVALID_PARAMS, f"params._meta must have {VERSION_KEY} and {CAPABILITIES_KEY}")
        if version != MODERN_VERSION:
            data: JsonValue = {"supported": [MODERN_VERSION], "requested": version}
            raise RpcError(UNSUPPORTED_VERSION, "Unsupported protocol version", data)
        self._version = MODERN_VERSION
        return ClientRequest(
            view=self._view,
            caller=Caller(user=self._caller.user, capabilities=declared),
            protocol_version=MODERN_VERSION,
            conversation=TransportConversation(
                self._send,
                capabilities=declared,
                log_level=level if isinstance(level, str) else None,
                progress_token=meta.get("progressToken"),
            ),
            meta=meta,
        )

    def _with_handshake(self, method: str, params: JsonObject, meta: JsonObject) -> ClientRequest:
        """Read who asks. Raises ``RpcError``."""
        if method == "initialize":
            if self._version is not None:
                raise RpcError(INVALID_REQUEST, "This connection is initialized already")
            declared = params.get("capabilities")
            self._caller = Caller(
                user=self._caller.user,
                client=self._caller.client,
                capabilities=declared if isinstance(declared, dict) else {},
            )
        elif self._version is None and method != "ping":
            raise RpcError(INVALID_REQUEST, "Begin with initialize")
        return ClientRequest(
            view=self._view,
            caller=self._caller,
            protocol_version=self._version or LATEST_HANDSHAKE_VERSION,
            conversation=TransportConversation(
                self._send,
                capabilities=self._caller.capabilities,
                log_level=self._log_level,
                progress_token=meta.get("progressToken"),
                asks=self._asks,
            ),
            meta=meta,
        )

    def _begin(self, answered: bytes) -> None:
        """Note what was agreed in the handshake."""
        message = decode(answered)
        result = message.get("result") if isinstance(message, dict) else None
        version = result.get("protocolVersion") if isinstance(result, dict) else None
        self._version = version if isinstance(version, str) else LATEST_HANDSHAKE_VERSION
        self._listener = Listener(caller=self._caller, view=self._view, notify=self._notify, log_level=self._log_level)
        self._portal.announcements.add(self._listener)

    async def _listen(self, wishes: Wishes, caller: Caller) -> bytes:
        async def notify(method: str, params: JsonObject) -> None:
            await self._send(wishes.stamped(method, params))

        await self._send(wishes.acknowledgement())
        listener = Listener(caller=caller, view=self._view, notify=notify, uris=wishes.uris, methods=wishes.methods)
        self._portal.announcements.add(listener)
        try:
            await self._ending.wait()
        finally:
            self._portal.announcements.remove(listener)
        return encode(wishes.farewell())

    async def _notify(self, method: str, params: JsonObject) -> None:
        await self._send(notification_message(method, params or None))

    async def _refuse(self, request_id: JsonValue, code: int, message: str) -> None:
        known = request_id if isinstance(request_id, str | int) and not isinstance(request_id, bool) else None
        await self._send(error_message(known, RpcError(code, message)))

    async def _send(self, message: Message) -> None:
        await self._send_text(encode(message))

    async def _send_text(self, text: bytes) -> None:
        async with self._lock:
            await self._write(text)

"""A server of the SDK in this process: its handlers are called as functions, without streams, tasks or JSON between.

What crosses is the plain JSON of MCP 2026-07-28 either way, shaped by the SDK as for any other client.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
from mcp.server.connection import Connection
from mcp.server.runner import modern_error_data, serve_one
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.transport_context import TransportContext

from portal.upstream._negotiation import CLIENT_INFO
from portal.wire import CAPABILITIES_KEY, MODERN_VERSION, PROGRESS, RpcError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from mcp.server import Server
    from mcp.shared.dispatcher import CallOptions

    from portal.upstream._exchange import Exchange
    from portal.wire import Message
    from typegen import JsonObject, JsonValue

_TRANSPORT: Final = TransportContext(kind="in-process", can_send_request=False)


@asynccontextmanager
async def in_process_channel(server: Server[dict[str, object]]) -> AsyncIterator[InProcessChannel]:
    """Run the server's lifespan, and give the way to it."""
    async with server.lifespan(server) as state:
        yield InProcessChannel(server, state)


class InProcessChannel:
    """Calls the handlers of one server."""

    is_http = False

    def __init__(self, server: Server[dict[str, object]], state: dict[str, object]) -> None:
        self._server = server
        self._state = state

    def settle(self, version: str, *, is_modern: bool) -> None:
        """Nothing depends on the version: it is the modern one."""

    def listen(self) -> None:
        """There is no session."""

    async def request(
        self,
        exchange: Exchange,
        params: JsonObject,
        *,
        headers: Mapping[str, str],  # noqa: ARG002 -- a Channel
    ) -> JsonObject:
        """Call the handler in this task, so that it is cancelled with it."""
        meta = params.get("_meta")
        capabilities = meta.get(CAPABILITIES_KEY) if isinstance(meta, dict) else None
        connection = Connection.from_envelope(MODERN_VERSION, CLIENT_INFO, capabilities)
        try:
            return await serve_one(
                self._server,
                _Context(exchange),
                exchange.method,
                params,
                connection=connection,
                lifespan_state=self._state,
            )
        except Exception as failure:
            # The same boundary as the SDK's own transports have: what a handler did not foresee is logged there.
            error = modern_error_data(failure)
            raise RpcError(error.code, error.message, error.data) from failure

    async def notify(self, message: Message) -> None:
        """Nobody listens."""

    async def close(self) -> None:
        """Nothing has to be told."""


class _Context:
    """The SDK's side of one request (``mcp.shared.dispatcher.DispatchContext``)."""

    transport = _TRANSPORT
    can_send_request = False
    message_metadata = None

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.request_id = exchange.request_id
        self.cancel_requested = anyio.Event()

    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, JsonValue] | None,  # noqa: ARG002 -- the SDK's signature
        opts: CallOptions | None = None,  # noqa: ARG002 -- likewise
    ) -> JsonObject:
        raise NoBackChannelError(method)

    async def notify(
        self,
        method: str,
        params: Mapping[str, JsonValue] | None,
        opts: CallOptions | None = None,  # noqa: ARG002 -- the SDK's signature
    ) -> None:
        self._exchange.take_notification(method, dict(params or {}))

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        params: JsonObject = {"progressToken": self.request_id, "progress": progress}
        if total is not None:
            params["total"] = total
        if message is not None:
            params["message"] = message
        self._exchange.take_notification(PROGRESS, params)

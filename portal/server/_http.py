"""The HTTP face: ``/mcp`` for the default portal, ``/{portal}/mcp`` for the others, ``/healthz`` and ``/readyz``."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Host, Route, Router

from portal.server._gate import HostGate, TokenGate, refusal
from portal.server._modes import BadQuery, view_of
from portal.server._sdk_server import VIEW_KEY, SdkServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.types import Message, Receive, Scope, Send

    from portal._config import Config, PortalConfig
    from portal.server._server import ServedPortal
    from portal.upstream import Fleet

MAX_BODY_BYTES: Final = 4 * 2**20
"""One request: the arguments of one tool call, or a program, which is bounded further on its own."""
SESSION_IDLE_S: Final = 24 * 3600.0
"""A client with a session may be away for a night; it costs some tens of KiB."""
EXPOSED_HEADERS: Final = ("Mcp-Session-Id", "Mcp-Protocol-Version", "WWW-Authenticate")


class Endpoint:
    """One portal over Streamable HTTP, every protocol version on one path. An ASGI application."""

    def __init__(self, portal: ServedPortal, config: PortalConfig, fleet: Fleet) -> None:
        self._config = config
        self._portal = SdkServer(portal, fleet)
        self._manager = StreamableHTTPSessionManager(
            self._portal.server, session_idle_timeout=SESSION_IDLE_S, max_request_body_size=MAX_BODY_BYTES
        )
        self._streams: set[anyio.CancelScope] = set()
        self._is_draining = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the block is open."""
        async with self._manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        try:
            view = view_of(Request(scope).query_params.multi_items(), self._config.code_mode)
        except BadQuery as mistake:
            await refusal(400, str(mistake))(scope, receive, send)
            return
        if self._is_draining:
            await refusal(503, "The portal is stopping; try again in a moment", {"retry-after": "5"})(
                scope, receive, send
            )
            return
        scope[VIEW_KEY] = view
        if scope["method"] == "GET":
            await self._serve_stream(scope, receive, send)
        else:
            await self._manager.handle_request(scope, receive, send)

    async def announce_tools(self) -> None:
        """Tell the connected clients that the list of tools changed."""
        await self._portal.announce_tools()

    def drain(self) -> None:
        """Take no more requests, and end the streams that would never end by themselves."""
        self._is_draining = True
        self._portal.close_streams()
        for stream in list(self._streams):
            stream.cancel()

    async def _serve_stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a client's standing GET stream, so that ``drain`` can end it in good order."""
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(message)

        with anyio.CancelScope() as stream:
            self._streams.add(stream)
            try:
                await self._manager.handle_request(scope, receive, watched)
            finally:
                self._streams.discard(stream)
        if stream.cancelled_caught and has_begun:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class HttpFace:
    """The whole ASGI application of a portal process, and the task that serves behind it."""

    def __init__(
        self, config: Config, portals: Mapping[str, ServedPortal], fleet: Fleet, *, is_ready: Callable[[], bool]
    ) -> None:
        self._endpoints = [Endpoint(portals[portal.id], portal, fleet) for portal in config.portals]
        self._is_ready = is_ready
        self._is_draining = False
        probes = [Route("/healthz", self._health), Route("/readyz", self._readiness)]
        served = list(zip(config.portals, self._endpoints, strict=True))
        # A portal's own host name comes first: there, /mcp is that portal and not the default one.
        routes: list[BaseRoute] = [
            Host(portal.hostname, Router([Route("/mcp", endpoint), *probes]))
            for portal, endpoint in served
            if portal.hostname is not None
        ]
        routes += probes
        routes += [Route(portal.path, endpoint) for portal, endpoint in served]
        cors = Middleware(
            CORSMiddleware,
            allow_origins=["*"],  # HostGate has refused every origin that may not call
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=list(EXPOSED_HEADERS),
        )
        self.app = Starlette(
            routes=routes, middleware=[Middleware(HostGate, config=config), cors, Middleware(TokenGate, config=config)]
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the block is open; enter and leave in one task."""
        async with AsyncExitStack() as stack:
            for endpoint in self._endpoints:
                await stack.enter_async_context(endpoint.running())
            yield

    async def announce_tools(self) -> None:
        """Tell the connected clients of every portal that the list of tools changed."""
        for endpoint in self._endpoints:
            await endpoint.announce_tools()

    def drain(self) -> None:
        """Stop taking requests; those in flight go on."""
        self._is_draining = True
        for endpoint in self._endpoints:
            endpoint.drain()

    async def _health(self, _: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def _readiness(self, _: Request) -> JSONResponse:
        if self._is_draining or not self._is_ready():
            return JSONResponse({"status": "stopping" if self._is_draining else "starting"}, 503)
        return JSONResponse({"status": "ready"})

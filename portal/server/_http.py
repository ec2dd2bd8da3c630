"""The HTTP face of a portal process.

``/mcp`` is the default portal and ``/{portal}/mcp`` another one, with ``/sse`` beside each for old clients;
``/healthz`` and ``/readyz`` are for whoever watches over the process.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
import orjson
from starlette.middleware.cors import CORSMiddleware

from portal.server._endpoint import Endpoint
from portal.server._exchanges import Exchanges
from portal.server._gate import OPEN_PATHS, HostGate, TokenGate
from portal.server._http_messages import HttpRefusal, send_json
from portal.server._sessions import Sessions
from portal.server._sse import SseEndpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from portal._config import Config
    from portal.server._server import ServedPortal
    from portal.upstream import Fleet

EXPOSED_HEADERS: Final = ("Mcp-Session-Id", "WWW-Authenticate", "Retry-After")
STOP_AFTER_S: Final = 18.0
"""Calls in flight get an error so long after the signal to stop, while their connections are still open."""


class HttpFace:
    """Everything that a portal process serves over HTTP; ``app`` is the ASGI application."""

    def __init__(
        self, config: Config, portals: Mapping[str, ServedPortal], fleet: Fleet, *, is_ready: Callable[[], bool]
    ) -> None:
        self._is_ready = is_ready
        self.exchanges = Exchanges()
        self._on_close = fleet.release_client
        self.sessions = Sessions(on_close=self._on_close)
        self._endpoints = {
            portal.id: Endpoint(portals[portal.id], portal, self.sessions, self.exchanges) for portal in config.portals
        }
        self._paths: dict[str, ASGIApp] = {}
        # A portal's own host name comes first: there, /mcp is that portal and not the default one.
        self._hosts: dict[str, dict[str, ASGIApp]] = {}
        for portal in config.portals:
            self._paths |= self._addresses(portals[portal.id], portal.id, portal.path.removesuffix("/mcp"))
            if portal.hostname is not None:
                self._hosts[portal.hostname] = self._addresses(portals[portal.id], portal.id, "")
        self._gated = TokenGate(self._route, config=config)
        self._for_pages = CORSMiddleware(
            self._gated,
            allow_origins=["*"],  # HostGate has refused every origin that may not call
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=list(EXPOSED_HEADERS),
        )
        self.app: ASGIApp = HostGate(self._admitted, config=config)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the block is open; enter and leave in one task."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.exchanges.run)
            tasks.start_soon(self.sessions.run)
            yield
            for session in self.sessions:
                self.sessions.end(session.session_id)
            tasks.cancel_scope.cancel()

    def drain(self) -> None:
        """Stop taking requests and end standing streams; those in flight go on for ``STOP_AFTER_S``."""
        self.exchanges.drain(stop_after_s=STOP_AFTER_S)

    def _addresses(self, portal: ServedPortal, portal_id: str, prefix: str) -> dict[str, ASGIApp]:
        """Return what serves a portal, by path; one that ends in a slash is for everything below it."""
        endpoint = self._endpoints[portal_id]
        sse = SseEndpoint(portal, endpoint, self.exchanges, prefix=prefix, on_close=self._on_close)
        return {
            f"{prefix}/mcp": endpoint,
            f"{prefix}/sse": sse.streams,
            f"{prefix}/messages/": sse.messages,
        }

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve pages as browsers need it; other clients send no origin and are spared that."""
        is_page = b"origin" in dict(scope["headers"])
        await (self._for_pages if is_page else self._gated)(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path in OPEN_PATHS:
            await self._probe(path, send)
            return
        paths = self._paths
        if self._hosts:
            host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
            paths = self._hosts.get(host.lower().partition(":")[0], paths)
        served = paths.get(path) or paths.get(path[: path.rfind("/") + 1])
        if served is None:
            await HttpRefusal(404, "There is nothing at this address").send(send)
        else:
            await served(scope, receive, send)

    async def _probe(self, path: str, send: Send) -> None:
        status = "ok"
        if path == "/readyz":
            is_up = self._is_ready() and not self.exchanges.is_draining
            status = "ready" if is_up else "stopping" if self.exchanges.is_draining else "starting"
        await send_json(send, 200 if status in {"ok", "ready"} else 503, (orjson.dumps({"status": status}),))

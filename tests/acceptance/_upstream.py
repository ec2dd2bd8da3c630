"""Upstreams over HTTP that a test needs to be its own: one behind a bearer token, and two that are no use to anyone."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from starlette.responses import HTMLResponse, PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

STOP_TIMEOUT_S = 10.0


class BearerGate:
    """Answers 401 to every request that does not carry the token, and says nothing about it."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self.expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["type"] != "http" or dict(scope["headers"]).get(b"authorization") == self.expected
        await (self.app if is_open else PlainTextResponse("Unauthorized", 401))(scope, receive, send)


def guarded_server(token: str) -> ASGIApp:
    """Build an MCP server of two tools, one of which always fails, behind ``token``."""
    server = MCPServer("vault")

    @server.tool()
    def count_items() -> int:
        """Count the items in the vault."""
        return 42

    @server.tool()
    def open_vault() -> int:
        """Open the vault, which nobody can."""
        raise ToolError("the vault is shut")

    return BearerGate(server.streamable_http_app(), token)


def web_page() -> ASGIApp:
    """Build a site that answers everything with a page: what a wrong URL often leads to."""
    return HTMLResponse("<!doctype html><title>Welcome</title>")


def refusal() -> ASGIApp:
    """Build a server that answers everything with 403."""
    return PlainTextResponse("Forbidden", 403)


@contextmanager
def listening(app: ASGIApp) -> Iterator[str]:
    """Serve ``app`` on a loopback port of its own until the block ends, and yield the URL of its `/mcp`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            # The socket listens already, so a client that comes before the server is up waits in its backlog.
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            thread.join(STOP_TIMEOUT_S)

"""Real upstreams for the portal's tests: SDK servers over HTTP in this process, and over stdio in one of their own."""
# ruff: noqa: ANN401 -- what the SDK hands to a server has no public type

from __future__ import annotations

import socket
import sys
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import mcp_types
import pytest
import uvicorn
from mcp import MCPError
from mcp.server import NotificationOptions, Server
from mcp.server.runner import serve_loop
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from starlette.responses import PlainTextResponse

from portal import Config, Portal, ServerConfig
from portal.server._http_protocol import BoundedProtocol
from sandbox import Sandbox, SandboxConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

Serving: TypeAlias = "Callable[..., AbstractAsyncContextManager[str]]"
HttpServer: TypeAlias = "Callable[..., AbstractAsyncContextManager[int]]"
StdioServer: TypeAlias = "Callable[..., ServerConfig]"
PortalAt: TypeAlias = "Callable[..., AbstractAsyncContextManager[tuple[Portal, str]]]"

JSON = dict[str, Any]
OBJECT: JSON = {"type": "object"}
UPSTREAMS = Path(__file__).parent / "upstreams"
PATIENCE_S = 20.0


@dataclass
class Upstreamed:
    """A tool server under the test's control, and what reached it.

    ``results`` maps a tool's name to the result that it returns, exactly; ``headers`` holds those of each HTTP request.
    Calls of the tool ``breaks`` (by clients of MCP 2026-07-28) lose their connection; those in ``holds`` wait.
    """

    definitions: dict[str, JSON] = field(default_factory=dict)
    results: dict[str, JSON] = field(default_factory=dict)
    version: str | None = None
    page_size: int | None = None
    calls: list[tuple[str, JSON]] = field(default_factory=list)
    lists: int = 0
    headers: list[Mapping[str, str]] = field(default_factory=list)
    breaks: str = ""
    holds: dict[str, anyio.Event] = field(default_factory=dict)
    entered: anyio.Event = field(default_factory=anyio.Event)
    cancelled: anyio.Event = field(default_factory=anyio.Event)
    bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)
    connections: list[Any] = field(default_factory=list)

    def offer(self, name: str, result: JSON | None = None, **fields: Any) -> None:
        """Offer one more tool; without ``result`` it echoes its arguments."""
        self.definitions[name] = {"name": name, "inputSchema": OBJECT, **fields}
        if result is not None:
            self.results[name] = result

    async def announce(self) -> None:
        """Say that the tools changed, in every way a client may listen for."""
        await self.bus.publish(ToolsListChanged())
        for connection in self.connections:
            await connection.notify("notifications/tools/list_changed", None)

    def server(self) -> Server[Any]:
        """The SDK's server; what it answers bypasses the SDK's validation, as the answers of other servers would."""

        async def listed(_: Any, __: Any) -> mcp_types.ListToolsResult:
            return mcp_types.ListToolsResult(tools=[])

        async def called(_: Any, __: Any) -> mcp_types.CallToolResult:
            return mcp_types.CallToolResult(content=[])

        server = _Announcing(
            "upstream",
            version="1",
            get_tool_input_schema=lambda name: self.definitions[name]["inputSchema"],
            on_list_tools=listed,
            on_call_tool=called,
            on_subscriptions_listen=ListenHandler(self.bus),
        )
        server.middleware[:] = [self._answer]
        return server

    async def _answer(self, ctx: Any, call_next: Any) -> Any:
        if self.version is not None and ctx.method == "server/discover":
            raise MCPError(mcp_types.METHOD_NOT_FOUND, "Method not found")
        shaped = await call_next(ctx)
        if ctx.method == "initialize" and self.version is not None:
            return {**shaped, "protocolVersion": self.version}
        if ctx.method == "notifications/initialized":
            self.connections.append(ctx.session._connection)
        if ctx.method == "tools/list":
            return {**shaped, **self._page((ctx.params or {}).get("cursor"))}
        if ctx.method == "tools/call":
            return {**shaped, **await self._call(ctx.params["name"], ctx.params.get("arguments", {}))}
        return shaped

    def _page(self, cursor: str | None) -> JSON:
        self.lists += 1
        names, size = list(self.definitions), self.page_size or 10_000
        start = int(cursor or 0)
        tools = [self.definitions[name] for name in names[start : start + size]]
        return {"tools": tools, **({"nextCursor": str(start + size)} if start + size < len(names) else {})}

    async def _call(self, name: str, arguments: JSON) -> JSON:
        self.calls.append((name, arguments))
        self.entered.set()
        if name in self.holds:
            try:
                await self.holds[name].wait()
            except anyio.get_cancelled_exc_class():
                self.cancelled.set()
                raise
        if name not in self.definitions:
            raise MCPError(mcp_types.INVALID_PARAMS, f"no tool {name}", {"hint": "list first"})
        return self.results.get(name, {"content": [{"type": "text", "text": f"{name} {arguments}"}]})


class _Announcing(Server[Any]):
    def create_initialization_options(self, *args: Any, **kwargs: Any) -> Any:
        return super().create_initialization_options(*args or (NotificationOptions(tools_changed=True),), **kwargs)


class _QuietServer(uvicorn.Server):
    """uvicorn inside a test: no signal handlers, and an event when it accepts."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = anyio.Event()

    def capture_signals(self) -> Any:
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.accepting.set()


@asynccontextmanager
async def _http_server(app: ASGIApp, *, port: int = 0, http: Any = "auto") -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", port)) as listener:
        server = _QuietServer(
            uvicorn.Config(app, http=http, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
        )
        ended = anyio.Event()

        async def serve() -> None:
            await server.serve([listener])
            ended.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            with anyio.fail_after(PATIENCE_S):
                await server.accepting.wait()
            try:
                yield listener.getsockname()[1]
            finally:
                server.should_exit = True
                server.force_exit = True
                # Cancelled, it would leave its socket's number with the loop, to the surprise of the next test's.
                with anyio.move_on_after(PATIENCE_S, shield=True):
                    await ended.wait()


@asynccontextmanager
async def _mcp_upstream(upstream: Upstreamed, *, port: int = 0) -> AsyncIterator[str]:
    manager = StreamableHTTPSessionManager(upstream.server())

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        upstream.headers.append({key.decode(): value.decode() for key, value in scope["headers"]})
        if (b"mcp-name", upstream.breaks.encode()) in scope["headers"]:
            headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"jsonrpc":', "more_body": False})
            return
        modern = dict(scope["headers"]).get(b"mcp-protocol-version", b"") > b"2026"
        if upstream.version is not None and modern:  # as a server that was written before 2026-07-28
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"Bad Request: Unsupported protocol version"})
            return
        await manager.handle_request(scope, receive, send)

    async with manager.run(), _http_server(app, port=port) as bound:
        yield f"http://127.0.0.1:{bound}/mcp"


@pytest.fixture
def upstream() -> Upstreamed:
    """A tool server with one tool, ``echo``."""
    server = Upstreamed()
    server.offer("echo", description="Say it again.")
    return server


@pytest.fixture
def serving() -> Serving:
    """Serve an upstream over HTTP on a free port; gives its URL."""
    return _mcp_upstream


@asynccontextmanager
async def _sse_upstream(upstream: Upstreamed, *, path: str = "/sse") -> AsyncIterator[str]:
    """Serve over HTTP+SSE, the transport of 2024-11-05; a POST to the stream's path is refused, as servers then did."""
    messages = SseServerTransport("/messages/")
    server = upstream.server()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        upstream.headers.append({key.decode(): value.decode() for key, value in scope["headers"]})
        if scope["path"].startswith("/messages/"):
            await messages.handle_post_message(scope, receive, send)
        elif scope["path"] == path and scope["method"] == "GET":
            async with messages.connect_sse(scope, receive, send) as (incoming, outgoing):
                if upstream.version is None:
                    await server.run(incoming, outgoing, server.create_initialization_options())
                else:  # the loop of the handshake versions only
                    await serve_loop(server, incoming, outgoing, lifespan_state={})
        else:
            await PlainTextResponse("Method Not Allowed", 405)(scope, receive, send)

    async with _http_server(app) as bound:
        yield f"http://127.0.0.1:{bound}{path}"


@pytest.fixture
def serving_sse() -> Serving:
    """Serve an upstream over HTTP+SSE on a free port; gives its URL."""
    return _sse_upstream


@pytest.fixture
def http_server() -> HttpServer:
    """Serve any ASGI application on a free port, over uvicorn's protocol ``http`` if given; gives the port."""
    return _http_server


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def stdio_server() -> StdioServer:
    """The configuration of a server that runs one of the scripts in ``upstreams/``."""

    def configure(script: str, *args: str, **fields: Any) -> ServerConfig:
        command = [str(UPSTREAMS / script), *args]
        return ServerConfig(id="child", command=sys.executable, args=tuple(command), **fields)

    return configure


@pytest.fixture(scope="session")
async def sandbox() -> AsyncIterator[Sandbox]:
    """A real sandbox with one worker, shared: runs never see each other."""
    async with Sandbox(SandboxConfig(workers=1)) as opened:
        yield opened


@pytest.fixture
def portal_at(sandbox: Sandbox) -> PortalAt:
    """Serve a portal of these servers; gives it and its origin when every upstream has settled."""

    @asynccontextmanager
    async def open_portal(*servers: ServerConfig, **fields: Any) -> AsyncIterator[tuple[Portal, str]]:
        config = Config(servers=servers, **fields)
        async with (
            Portal(config, sandbox=sandbox) as portal,
            _http_server(portal.app, http=BoundedProtocol) as port,
        ):
            with anyio.fail_after(PATIENCE_S):
                await portal.wait_ready()
                yield portal, f"http://127.0.0.1:{port}"

    return open_portal


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that other tasks bring about."""
    while not condition():  # noqa: ASYNC110 -- the condition is somebody else's state
        await anyio.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether a process lives; one that nobody has waited for yet does not count."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"

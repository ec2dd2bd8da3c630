"""Upstreams that say exactly what a test tells them to, byte by byte, and the client's side of a request."""
# ruff: noqa: ANN401 -- a message may hold anything

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import anyio.lowlevel
import pytest

from portal._errors import ClientCannot
from portal._server_config import ServerConfig
from portal.upstream._connect import open_session
from portal.upstream._exchange import Timeouts

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from portal.upstream._session import UpstreamSession

JSON: TypeAlias = dict[str, Any]
Answering: TypeAlias = "Callable[[Asked], Awaitable[None]]"
Opened: TypeAlias = "Callable[..., AbstractAsyncContextManager[UpstreamSession]]"

PATIENCE_S = 20.0
PATIENT = Timeouts(idle_s=PATIENCE_S, total_s=2 * PATIENCE_S)
HELLO: JSON = {"content": [{"type": "text", "text": "hello"}]}


@dataclass
class Asked:
    """One HTTP request that reached the upstream, and the ways to answer it."""

    method: str
    path: str
    headers: Mapping[str, str]
    message: JSON
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader
    is_last: bool = False

    @property
    def id(self) -> Any:
        return self.message.get("id")

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, status: int, body: bytes = b"", /, **headers: str) -> None:
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = "\r\n".join([f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", *lines])
        await self.send(f"{head}\r\n\r\n".encode() + body)

    async def reply_json(self, message: Any, status: int = 200, /, **headers: str) -> None:
        headers["Content_Type"] = "application/json"
        await self.reply(status, json.dumps(message).encode(), **headers)

    async def result(self, result: JSON, **headers: str) -> None:
        await self.reply_json({"jsonrpc": "2.0", "id": self.id, "result": result}, **headers)

    async def error(self, code: int, message: str, data: Any = None, *, status: int = 200) -> None:
        error = {"code": code, "message": message, "data": data}
        await self.reply_json({"jsonrpc": "2.0", "id": self.id, "error": error}, status)

    async def stream(self) -> None:
        """Begin an event stream; it ends with the connection."""
        self.is_last = True
        await self.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")

    async def event(self, message: Any, *, event_id: str | None = None, retry_ms: int | None = None) -> None:
        lines = [f"id: {event_id}"] * (event_id is not None) + [f"retry: {retry_ms}"] * (retry_ms is not None)
        data = "" if message is None else json.dumps({"jsonrpc": "2.0", **message})
        await self.send(("\n".join([*lines, f"data: {data}"]) + "\n\n").encode())

    async def until_gone(self) -> None:
        """Wait until the client closes the connection."""
        self.is_last = True
        while await self.reader.read(1000):
            pass


@dataclass
class Scripted:
    """An upstream over Streamable HTTP. ``answers`` says how a method is answered; the rest as any server would.

    ``version`` is that of its handshake; None for MCP 2026-07-28. The GET stream is ``answers["GET"]``.
    """

    answers: dict[str, Answering] = field(default_factory=dict)
    version: str | None = None
    capabilities: JSON = field(default_factory=lambda: {"tools": {}})
    seen: list[Asked] = field(default_factory=list)

    def methods(self) -> list[str]:
        return [asked.message.get("method") or asked.method for asked in self.seen]

    def of(self, method: str) -> list[Asked]:
        return [asked for asked in self.seen if (asked.message.get("method") or asked.method) == method]

    async def reached(self, method: str, times: int = 1) -> Asked:
        """Wait until a request has come so often."""
        while len(self.of(method)) < times:  # noqa: ASYNC110 -- the connections are tasks of their own
            await anyio.sleep(0.005)
        return self.of(method)[times - 1]

    async def answer(self, asked: Asked) -> None:
        method = asked.message.get("method") or asked.method
        if method in self.answers:
            await self.answers[method](asked)
        elif method == "server/discover" and self.version is None:
            supported = {"supportedVersions": ["2026-07-28"], "capabilities": self.capabilities}
            await asked.result({"resultType": "complete", **supported})
        elif method == "initialize" and self.version is not None:
            about = {"capabilities": self.capabilities, "serverInfo": {"name": "scripted", "version": "1"}}
            await asked.result({"protocolVersion": self.version, **about}, Mcp_Session_Id="the-session")
        elif method == "GET":
            await asked.reply(405)
        elif "id" in asked.message and "method" in asked.message:
            await asked.error(-32601, "Method not found")
        else:
            await asked.reply(202)


async def _serve(scripted: Scripted, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            method, path, _ = head[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-1])}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            asked = Asked(method, path, headers, json.loads(body or b"{}"), writer, reader)
            scripted.seen.append(asked)
            await scripted.answer(asked)
            if asked.is_last or writer.is_closing():
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@asynccontextmanager
async def serving_scripted(
    scripted: Scripted, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve; gives the URL."""
    handlers: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            await _serve(scripted, reader, writer)
        except asyncio.CancelledError:
            pass  # the end of the test; asyncio logs whatever else leaves here
        finally:
            handlers.discard(task)

    server = await asyncio.start_server(serve, host, port, ssl=tls)
    try:
        bound = server.sockets[0].getsockname()[1]
        yield f"{'https' if tls else 'http'}://{host}:{bound}/mcp"
    finally:
        server.close()
        for task in list(handlers):
            task.cancel()
        while handlers:
            await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def _opened(
    scripted: Scripted, *, capabilities: JSON | None = None, heard: list[tuple[str, JSON]] | None = None, **fields: Any
) -> AsyncIterator[UpstreamSession]:
    def hear(method: str, params: JSON) -> None:
        if heard is not None:
            heard.append((method, params))

    with anyio.fail_after(2 * PATIENCE_S):
        async with (
            serving_scripted(scripted) as url,
            open_session(
                ServerConfig(id="up", url=url, **fields), capabilities=capabilities or {}, on_notification=hear
            ) as session,
        ):
            yield session


@pytest.fixture
def opened() -> Opened:
    """Serve a scripted upstream and open a session with it."""
    return _opened


@dataclass
class Client:
    """The client's side of a request: what it can do, what it answers, and what it was told."""

    capabilities: JSON = field(default_factory=lambda: {"elicitation": {}})
    log_level: str | None = None
    wants_progress: bool = False
    answers: Callable[[str, JSON], Awaitable[JSON]] | None = None
    asked: list[tuple[str, JSON]] = field(default_factory=list)
    progress: list[JSON] = field(default_factory=list)
    told: list[tuple[str, JSON]] = field(default_factory=list)

    async def ask(self, method: str, params: JSON) -> JSON:
        self.asked.append((method, params))
        if self.answers is None:
            raise ClientCannot(f"the client cannot {method}")
        return await self.answers(method, params)

    async def report_progress(self, report: JSON) -> None:
        self.progress.append(report)

    async def notify(self, method: str, params: JSON) -> None:
        self.told.append((method, params))


async def calling(
    session: UpstreamSession,
    name: str = "echo",
    conversation: Client | None = None,
    *,
    timeouts: Timeouts = PATIENT,
    headers: Mapping[str, str] | None = None,
) -> JSON:
    """Call a tool of the upstream."""
    params: JSON = {"name": name, "arguments": {"a": 1}}
    return await session.request("tools/call", params, timeouts=timeouts, conversation=conversation, headers=headers)

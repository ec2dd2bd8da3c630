"""An HTTP client and an upstream that says exactly the bytes that a test tells it to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest
from yarl import URL

from portal._server_config import ServerConfig
from portal.upstream._failures import TransportFailure
from portal.upstream._http import HttpClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Serving = Callable[["Peer"], Awaitable[None]]

PATIENCE_S = 20.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LIMIT = 2**20


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """The portal runs on uvloop; whoever embeds it may not."""
    return "asyncio", {"use_uvloop": request.param}


class Peer:
    """The upstream's side of one connection."""

    def __init__(
        self, number: int, heads: list[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        self._heads = heads
        self.reader = reader
        self.writer = writer

    async def asked(self) -> bytes:
        """Wait for a request; return its head."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await self.reader.readexactly(int(length))
        self._heads.append(head)
        return head

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def until_gone(self) -> None:
        while await self.reader.read(65_536):
            pass


class Upstream:
    """An upstream whose connections are served by a function each; ``heads`` are those of the requests to it."""

    def __init__(self, serve: Serving) -> None:
        self.peers: list[Peer] = []
        self.heads: list[bytes] = []
        self.ended = 0
        self._serve = serve

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(len(self.peers), self.heads, reader, writer)
        self.peers.append(peer)
        try:
            await self._serve(peer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended += 1
            writer.close()


class Client:
    """A client of it, and the address."""

    def __init__(self, http: HttpClient, url: URL) -> None:
        self.http = http
        self.url = url

    async def ask(self, headers: dict[str, str] | None = None) -> bytes:
        response = await self.http.send("POST", self.url, headers=headers or {}, body=b"{}")
        try:
            return await self.http.read(response, LIMIT)
        finally:
            response.close()


@asynccontextmanager
async def talking(serve: Serving, *, user: str = "", **fields: object) -> AsyncIterator[tuple[Client, Upstream]]:
    upstream = Upstream(serve)
    server = await asyncio.start_server(upstream.take, "127.0.0.1", 0)
    url = f"http://{user}127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp?a=%20b"
    with anyio.fail_after(PATIENCE_S):
        async with server, HttpClient(ServerConfig(id="up", url=url, **fields)) as http:  # type: ignore[arg-type]  # ours
            yield Client(http, URL(url)), upstream


def answering(*answers: bytes, then_close: bool = False) -> Serving:
    """Answer the requests of a connection in turn, the last answer again and again."""

    async def serve(peer: Peer) -> None:
        for number in range(1_000):
            await peer.asked()
            await peer.say(answers[min(number, len(answers) - 1)])
            if then_close:
                return

    return serve


def beginning(answer: bytes) -> Serving:
    """Answer the first request of a connection so far, and wait until the client has gone."""

    async def serve(peer: Peer) -> None:
        await peer.asked()
        await peer.say(answer)
        await peer.until_gone()

    return serve


async def failure_of(client: Client) -> TransportFailure:
    with pytest.raises(TransportFailure) as caught:
        await client.ask()
    return caught.value

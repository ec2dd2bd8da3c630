"""What an upstream can send over HTTP/1.1, well and badly formed, and what becomes of the connection after it."""

from __future__ import annotations

import asyncio
import base64
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from portal._secret import Secret
from portal._server_config import BearerAuth, ServerConfig
from portal.upstream import _http_connection, _http_connections
from portal.upstream._failures import TransportFailure
from portal.upstream._http import HttpClient
from portal.upstream._http_connection import HttpConnection
from tests.portal.conftest import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Serving = Callable[["Peer"], Awaitable[None]]

PATIENCE_S = 20.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = (
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n4;q\r\ndefg\r\n0\r\nT: 1\r\n\r\n"
)
LIMIT = 2**20


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """The portal runs on uvloop; whoever embeds it may not."""
    return "asyncio", {"use_uvloop": request.param}


class Peer:
    """The upstream's side of one connection."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer

    async def asked(self) -> bytes:
        """Wait for a request; return its head."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await self.reader.readexactly(int(length))
        return head

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def until_gone(self) -> None:
        while await self.reader.read(65_536):
            pass


class Upstream:
    """An upstream whose connections are served by a function each."""

    def __init__(self, serve: Serving) -> None:
        self.peers: list[Peer] = []
        self.heads: list[bytes] = []
        self.ended = 0
        self._serve = serve

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(len(self.peers), reader, writer)
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


async def failure_of(client: Client) -> TransportFailure:
    with pytest.raises(TransportFailure) as caught:
        await client.ask()
    return caught.value


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK, b"{}"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: 1\r\n\r\n",
            b"abcde",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK, b"{}"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", b"{}"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\n{}\r\n0\r\n\r\n", b"{}"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\nContent-Encoding: gzip\r\n\r\n", b"1"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding:\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    ],
    ids=["length", "chunks", "interim", "bare LF", "spaces", "trailer", "no encoding", "no content", "empty"],
)
async def test_a_whole_answer_leaves_its_connection_for_the_next(answer: bytes, body: bytes) -> None:
    async with talking(answering(answer)) as (client, upstream):
        assert [await client.ask() for _ in range(3)] == [body] * 3

    assert len(upstream.peers) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["close", "HTTP/1.0"],
)
async def test_a_connection_that_is_not_to_be_kept_is_not(answer: bytes) -> None:
    async with talking(answering(answer)) as (client, upstream):
        assert [await client.ask() for _ in range(2)] == [b"{}"] * 2
        await until(lambda: upstream.ended == 2)

    assert len(upstream.peers) == 2


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async with talking(answering(b"HTTP/1.1 200 OK\r\n\r\n{} ", then_close=True)) as (client, upstream):
        assert [await client.ask() for _ in range(2)] == [b"{} "] * 2

    assert len(upstream.peers) == 2


@pytest.mark.parametrize(
    ("answer", "phrase"),
    [
        (b"", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\nContent-", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", "the connection broke within an answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "the connection broke within an answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n", "the connection broke within an answer"),
    ],
    ids=["nothing", "half a head", "too short", "no last chunk", "no last Chunk"],
)
async def test_an_answer_that_ends_early_is_not_taken_for_a_whole_one(answer: bytes, phrase: str) -> None:
    async with talking(answering(answer, then_close=True)) as (client, _):
        failure = await failure_of(client)

    assert (failure.phrase, failure.kind) == (phrase, "unknown")


async def test_an_answer_without_a_length_that_we_cut_off_is_not_a_whole_one() -> None:
    async def serve(peer: Peer) -> None:
        await peer.asked()
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\n{")
        await peer.until_gone()

    async with talking(serve) as (client, _):
        response = await client.http.send("POST", client.url, headers={}, body=b"{}")
        await client.http.__aexit__(None, None, None)
        with pytest.raises(TransportFailure, match="broke within an answer"):
            await client.http.read(response, LIMIT)


async def test_an_answer_and_an_end_that_come_before_all_was_sent_are_taken() -> None:
    """A server need not read a body that it refuses, nor close its side when it has ended the other."""

    async def serve(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a socket
        await peer.say(b"HTTP/1.1 413 Too Large\r\n\r\nno")
        peer.writer.write_eof()
        await released.wait()

    released = anyio.Event()
    async with talking(serve) as (client, _):
        response = await client.http.send("POST", client.url, headers={}, body=bytes(2**24))
        body = await client.http.read(response, LIMIT)
        released.set()

    assert (response.status, body) == (413, b"no")


async def test_the_failure_of_a_refusal_gives_its_connection_back() -> None:
    async def serve(peer: Peer) -> None:
        await peer.asked()
        await peer.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\n\r\n{")
        await peer.until_gone()

    async with talking(serve, max_concurrent=1) as (client, upstream):
        for ended in range(1, 4):
            response = await client.http.send("POST", client.url, headers={}, body=b"{}")
            with anyio.move_on_after(0.05):
                await client.http.refusal(response)
            await until(lambda ended=ended: upstream.ended == ended)  # type: ignore[misc]  # bound in time


async def test_a_header_that_is_no_text_comes_back_as_it_was() -> None:
    """A session's id is to be sent back, whatever it is made of."""
    answer = b"HTTP/1.1 200 OK\r\nMcp-Session-Id: s\xe9ss\r\nContent-Length: 2\r\n\r\n{}"
    heads: list[bytes] = []

    async def serve(peer: Peer) -> None:
        while True:
            heads.append(await peer.asked())
            await peer.say(answer)

    async with talking(serve) as (client, _):
        response = await client.http.send("POST", client.url, headers={}, body=b"{}")
        await client.ask({"mcp-session-id": response.headers["mcp-session-id"]})

    assert b"mcp-session-id: s\xe9ss\r\n" in heads[1]


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
    ids=["ssh", "upgrade", "two lengths", "length and chunks", "negative", "huge", "no chunk"],
)
async def test_what_is_not_http_is_named_and_its_connection_not_used_again(answer: bytes) -> None:
    async with talking(answering(answer)) as (client, upstream):
        failures = [await failure_of(client) for _ in range(2)]
        await until(lambda: upstream.ended == 2)

    assert [failure.kind for failure in failures] == ["not_mcp"] * 2
    assert len(upstream.peers) == 2


@pytest.mark.parametrize(
    "begin", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"]
)
@pytest.mark.parametrize("more", [b"X-Filler: 1\r\n", b"x"], ids=["headers", "one header"])
async def test_a_head_and_trailers_without_an_end_are_cut_off(begin: bytes, more: bytes) -> None:
    sent = 0

    async def serve(peer: Peer) -> None:
        nonlocal sent
        await peer.asked()
        await peer.say(begin)
        while True:
            await peer.say(more * 1_000)
            sent += len(more) * 1_000

    async with talking(serve) as (client, upstream):
        failure = await failure_of(client)
        await until(lambda: upstream.ended == 1)

    assert failure.kind == "not_mcp"
    assert "no end" in failure.phrase
    assert sent < 16 * 2**20  # what the buffers of both sides take


async def test_a_second_answer_is_nobodys() -> None:
    """Response splitting: what follows an answer must not answer the next request, whenever it comes."""
    forged = b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"forged"'
    async with talking(answering(OK + forged)) as (client, upstream):
        assert [await client.ask() for _ in range(3)] == [b"{}"] * 3
        assert len(upstream.peers) == 3

    async def late(peer: Peer) -> None:
        await peer.asked()
        await peer.say(OK)
        await asyncio.sleep(0.05)
        await peer.say(forged)
        await peer.until_gone()

    async with talking(late) as (client, upstream):
        assert await client.ask() == b"{}"
        await until(lambda: upstream.ended == 1)
        assert await client.ask() == b"{}"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, len(CHUNKED) - 1), max_size=12))
def test_an_answer_is_the_same_wherever_it_is_cut(cuts: list[int]) -> None:
    told = asyncio.run(said_in_pieces(CHUNKED, cuts))

    assert (told.status, told.body, told.ends) == (200, b"abcdefg", 1)


SAID = st.lists(
    st.sampled_from([*(CHUNKED[start : start + 9] for start in range(0, len(CHUNKED), 9)), OK, b"\r\n", b"0", b"\xff"])
    | st.binary(max_size=8),
    max_size=24,
).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(SAID, st.lists(st.integers(1, 200), max_size=6))
def test_whatever_is_said_the_request_ends_once_and_the_same_however_it_is_cut(said: bytes, cuts: list[int]) -> None:
    whole, cut = asyncio.run(said_in_pieces(said, [])), asyncio.run(said_in_pieces(said, cuts))

    assert whole.ends == cut.ends == 1
    assert (whole.status, whole.failure) == (cut.status, cut.failure)
    assert whole.failure is not None or whole.body == cut.body


@dataclass
class Told:
    """What a request came to: status and body of its answer, how it failed, and how often it was said to be over."""

    status: int | None = None
    body: bytes = b""
    failure: str | None = None
    ends: int = 0


async def said_in_pieces(said: bytes, cuts: list[int]) -> Told:
    """Answer a request with these bytes, cut there, and with the end of the connection."""
    told = Told()
    lost = asyncio.Event()
    ours, theirs = socket.socketpair()

    def over(_: HttpConnection) -> None:
        told.ends += 1

    with theirs:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: HttpConnection(on_over=over, on_lost=lambda _: lost.set()), sock=ours
        )
        asked = asyncio.ensure_future(connection.exchange(b"", b"x"))
        await asyncio.sleep(0)
        for start, end in pairwise([0, *sorted({cut for cut in cuts if cut < len(said)}), len(said)]):
            connection.data_received(said[start:end])
        theirs.shutdown(socket.SHUT_RDWR)
        try:
            response = await asked
            told.status = response.status
            while chunk := await response.chunk():
                told.body += chunk
        except TransportFailure as failure:
            told.failure = failure.kind
        connection.abort()
        await lost.wait()
    return told


async def test_what_nobody_reads_is_not_taken() -> None:
    taken = 0

    async def serve(peer: Peer) -> None:
        nonlocal taken
        await peer.asked()
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await peer.say(bytes(65_536))
            taken += 65_536

    async with talking(serve) as (client, upstream):
        response = await client.http.send("POST", client.url, headers={}, body=b"{}")
        before = -1
        while taken != before:
            before = taken
            await asyncio.sleep(0.1)
        assert taken < 32 * 2**20  # what the sockets hold
        received = 0
        while received <= before:
            received += len(await response.chunk())
        response.close()
        await until(lambda: upstream.ended == 1)


async def test_a_body_that_was_read_slowly_leaves_its_connection() -> None:
    body = bytes(LIMIT)
    async with talking(answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LIMIT + body)) as (
        client,
        upstream,
    ):
        for _ in range(3):
            response = await client.http.send("POST", client.url, headers={}, body=b"{}")
            await asyncio.sleep(0.02)
            assert await client.http.read(response, LIMIT) == body

    assert len(upstream.peers) == 1


async def test_an_answer_that_nobody_reads_to_its_end_leaves_its_connection_when_that_comes_soon() -> None:
    async def serve(peer: Peer) -> None:
        while True:
            await peer.asked()
            await peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
            await asyncio.sleep(0.02)
            await peer.say(b"100000\r\n", bytes(2**20), b"\r\n0\r\n\r\n")

    async with talking(serve) as (client, upstream):
        for _ in range(3):
            response = await client.http.send("POST", client.url, headers={}, body=b"{}")
            assert await response.chunk() == b"{}"
            response.leave()
            await until(lambda response=response: response.is_complete)  # type: ignore[misc]  # bound in time

    assert len(upstream.peers) == 1


async def test_an_answer_that_nobody_reads_to_its_end_is_closed_when_that_does_not_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_http_connection, "LEAVE_S", 0.05)

    async def serve(peer: Peer) -> None:
        await peer.asked()
        await peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
        await peer.until_gone()

    async with talking(serve) as (client, upstream):
        response = await client.http.send("POST", client.url, headers={}, body=b"{}")
        assert await response.chunk() == b"{}"
        response.leave()
        await until(lambda: upstream.ended == 1)

    assert not response.is_complete


async def test_a_request_that_was_given_up_takes_its_connection_along() -> None:
    """With MCP 2026-07-28 this is how a server learns of it; and its answer must not answer the next request."""

    async def serve(peer: Peer) -> None:
        await peer.asked()
        if peer.number == 0:
            await peer.until_gone()
        await peer.say(OK)

    async with talking(serve) as (client, upstream):
        with anyio.move_on_after(0.1):
            await client.ask()
        await until(lambda: upstream.ended == 1)
        assert await client.ask() == b"{}"

    assert len(upstream.peers) == 2


async def test_an_answer_that_comes_as_its_request_is_given_up_leaves_the_connection_to_others() -> None:
    """The answer may have come, and the connection be in use again, before the cancelled task runs."""
    async with talking(answering(OK)) as (client, upstream):
        for delay in range(60):
            first = asyncio.ensure_future(client.ask())
            await asyncio.sleep(delay / 50_000)
            first.cancel()
            assert await client.ask() == b"{}"
            await asyncio.gather(first, return_exceptions=True)
        assert await client.ask() == b"{}"
        ended_early = len(upstream.peers)

    assert ended_early >= 1


async def test_an_idle_connection_is_ended_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http_connection, "KEEP_ALIVE_S", 0.1)
    monkeypatch.setattr(_http_connections, "SWEEP_S", 0.1)
    async with talking(answering(OK)) as (client, upstream):
        await asyncio.gather(*(client.ask() for _ in range(3)))
        opened = len(upstream.peers)
        await until(lambda: upstream.ended == opened)
        assert await client.ask() == b"{}"
        assert len(upstream.peers) == opened + 1


@pytest.mark.parametrize(
    ("named", "kept_s"),
    [
        ("timeout=5", 4),
        ("timeout=5, max=100", 4),
        ('max=9, Timeout = "20"', 19),
        ("timeout=600", _http_connection.MAX_KEEP_ALIVE_S),
        ("timeout=0", -1),
        ("5", _http_connection.KEEP_ALIVE_S),
        ("timeout=soon", _http_connection.KEEP_ALIVE_S),
        ("timeout=99999999999999999999", _http_connection.KEEP_ALIVE_S),
    ],
)
async def test_how_long_an_upstream_keeps_a_connection_is_heeded(named: str, kept_s: float) -> None:
    """One that it closes under a request leaves open whether that was carried out: better to connect anew."""
    answer = b"HTTP/1.1 200 OK\r\nKeep-Alive: %b\r\nContent-Length: 2\r\n\r\n{}" % named.encode()
    async with talking(answering(answer)) as (client, upstream):
        response = await client.http.send("POST", client.url, headers={}, body=b"{}")
        assert response.keep_alive_s == kept_s
        await client.ask()
        assert len(upstream.peers) == (2 if kept_s < 0 else 1)


async def test_a_connection_that_the_upstream_ended_is_not_used_again() -> None:
    async def serve(peer: Peer) -> None:
        await peer.asked()
        await peer.say(OK)

    async with talking(serve) as (client, upstream):
        for number in range(1, 4):
            assert await client.ask() == b"{}"
            await until(lambda ended=number: upstream.ended == ended)  # type: ignore[misc]  # bound in time
            await asyncio.sleep(0.01)

    assert len(upstream.peers) == 3


async def test_the_head_of_a_request() -> None:
    heads: list[bytes] = []

    async def serve(peer: Peer) -> None:
        while True:
            heads.append(await peer.asked())
            await peer.say(OK)

    async with talking(serve, user="us%20er:p%40ss@") as (client, _):
        await client.ask({"accept": "text/x", "mcp-name": "é"})
        host = f"127.0.0.1:{client.url.port}"
    async with talking(serve, user="a:b@", auth=BearerAuth(token=Secret("s3cret"))) as (client, _):
        await client.ask()

    lines = heads[0].decode().split("\r\n")
    credential = base64.b64encode(b"us er:p@ss").decode()
    assert lines[0] == "POST /mcp?a=%20b HTTP/1.1"
    assert sorted(lines[1:-2])[:2] == ["accept-encoding: identity", "accept: text/x"]
    assert {f"host: {host}", f"authorization: Basic {credential}", "content-length: 2", "mcp-name: é"} < set(lines)
    assert heads[1].count(b"authorization: ") == 1
    assert b"authorization: Bearer s3cret" in heads[1]


@pytest.mark.parametrize("value", ["a\r\nx-forged: 1", "a\nb", "a\rb", "a\0b"])
async def test_a_header_with_a_line_break_is_not_sent(value: str) -> None:
    async with talking(answering(OK)) as (client, upstream):
        with pytest.raises(TransportFailure, match="line break") as caught:
            await client.ask({"last-event-id": value})

    assert caught.value.kind == "unsent"
    assert upstream.peers == []

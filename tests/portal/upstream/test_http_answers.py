"""What an upstream can answer over HTTP/1.1, well and badly formed."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from itertools import pairwise

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.upstream._failures import TransportFailure
from portal.upstream._http_connection import HttpConnection
from tests.portal.conftest import until
from tests.portal.upstream.talking import LIMIT, OK, Peer, answering, anyio_backend, beginning, failure_of, talking

__all__ = ["anyio_backend"]  # a fixture

CHUNKED = (
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n4;q\r\ndefg\r\n0\r\nT: 1\r\n\r\n"
)


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
    async with talking(beginning(b"HTTP/1.1 200 OK\r\n\r\n{")) as (client, _):
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
    stalled = beginning(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\n\r\n{")
    async with talking(stalled, max_concurrent=1) as (client, upstream):
        for ended in range(1, 4):
            response = await client.http.send("POST", client.url, headers={}, body=b"{}")
            with anyio.move_on_after(0.05):
                await client.http.refusal(response)
            await until(lambda ended=ended: upstream.ended == ended)  # type: ignore[misc]  # bound in time


async def test_a_header_that_is_no_text_comes_back_as_it_was() -> None:
    """A session's id is to be sent back, whatever it is made of."""
    answer = b"HTTP/1.1 200 OK\r\nMcp-Session-Id: s\xe9ss\r\nContent-Length: 2\r\n\r\n{}"
    async with talking(answering(answer)) as (client, upstream):
        response = await client.http.send("POST", client.url, headers={}, body=b"{}")
        await client.ask({"mcp-session-id": response.headers["mcp-session-id"]})

    assert b"mcp-session-id: s\xe9ss\r\n" in upstream.heads[1]


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

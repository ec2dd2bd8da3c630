"""What becomes of a connection to an upstream: used again, given up, ended; and what a request looks like on it."""

from __future__ import annotations

import asyncio
import base64

import anyio
import pytest

from portal._secret import Secret
from portal._server_config import BearerAuth
from portal.upstream import _http_connection, _http_connections
from portal.upstream._failures import TransportFailure
from tests.portal.conftest import until
from tests.portal.upstream.talking import LIMIT, OK, PATIENCE_S, Peer, answering, anyio_backend, beginning, talking

__all__ = ["anyio_backend"]  # a fixture


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


async def test_an_answer_that_nobody_reads_to_its_end_leaves_its_connection_when_that_comes_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_http_connection, "LEAVE_S", PATIENCE_S)  # soon may be late on a busy machine

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

    begun = beginning(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
    async with talking(begun) as (client, upstream):
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
    async with talking(answering(OK), user="us%20er:p%40ss@") as (client, first):
        await client.ask({"accept": "text/x", "mcp-name": "é"})
        host = f"127.0.0.1:{client.url.port}"
    async with talking(answering(OK), user="a:b@", auth=BearerAuth(token=Secret("s3cret"))) as (client, second):
        await client.ask()

    lines = first.heads[0].decode().split("\r\n")
    credential = base64.b64encode(b"us er:p@ss").decode()
    assert lines[0] == "POST /mcp?a=%20b HTTP/1.1"
    assert sorted(lines[1:-2])[:2] == ["accept-encoding: identity", "accept: text/x"]
    assert {f"host: {host}", f"authorization: Basic {credential}", "content-length: 2", "mcp-name: é"} < set(lines)
    assert second.heads[0].count(b"authorization: ") == 1
    assert b"authorization: Bearer s3cret" in second.heads[0]


@pytest.mark.parametrize("value", ["a\r\nx-forged: 1", "a\nb", "a\rb", "a\0b"])
async def test_a_header_with_a_line_break_is_not_sent(value: str) -> None:
    async with talking(answering(OK)) as (client, upstream):
        with pytest.raises(TransportFailure, match="line break") as caught:
            await client.ask({"last-event-id": value})

    assert caught.value.kind == "unsent"
    assert upstream.peers == []

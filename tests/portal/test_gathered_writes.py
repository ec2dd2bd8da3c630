"""What is written together is sent together, in order, and before an end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import pytest

from portal.server._gathered_writes import MOST_HELD_BYTES, GatheredWrites

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Peer(asyncio.Protocol):
    """The other end of a real connection: what came, piece by piece, and whether it has ended."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.came = asyncio.Event()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)
        self.came.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's name
        self.ended.set()


class Connection:
    """One connection over loopback, written to through ``writes``."""

    def __init__(self, writes: GatheredWrites, peer: Peer) -> None:
        self.writes = writes
        self.peer = peer

    async def received(self, size: int) -> bytes:
        with anyio.fail_after(10):
            while sum(map(len, self.peer.pieces)) < size:
                self.peer.came.clear()
                await self.peer.came.wait()
        return b"".join(self.peer.pieces)


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    loop = asyncio.get_running_loop()
    peer = Peer()
    server = await loop.create_server(lambda: peer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)
    yield Connection(GatheredWrites(transport, loop), peer)
    transport.abort()
    server.close()


async def test_a_head_and_a_body_arrive_as_one_piece(connection: Connection) -> None:
    connection.writes.write(b"head ")
    connection.writes.write(memoryview(b"body"))
    connection.writes.flush()

    assert await connection.received(9) == b"head body"
    assert connection.peer.pieces == [b"head body"]


async def test_what_nobody_flushes_is_sent_all_the_same(connection: Connection) -> None:
    connection.writes.write(b"event")

    assert await connection.received(5) == b"event"


async def test_order_is_kept_past_the_bound_of_what_is_held(connection: Connection) -> None:
    parts = [bytes([number]) * (MOST_HELD_BYTES // 2) for number in range(1, 8)]
    for part in parts:
        connection.writes.write(part)

    assert await connection.received(sum(map(len, parts))) == b"".join(parts)


async def test_closing_sends_what_is_held_and_ends(connection: Connection) -> None:
    connection.writes.write(b"last")
    connection.writes.close()

    with anyio.fail_after(10):
        await connection.peer.ended.wait()
    assert b"".join(connection.peer.pieces) == b"last"


async def test_aborting_drops_what_is_held(connection: Connection) -> None:
    connection.writes.write(b"never")
    connection.writes.abort()

    with anyio.fail_after(10):
        await connection.peer.ended.wait()
    assert connection.peer.pieces == []

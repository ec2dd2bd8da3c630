"""Faults 17, 25 and 26: clients that leave sessions behind, that do not read, that send what no client sends."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import socket
import tracemalloc
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest

import portal.server._http_protocol as protocol
from portal import Config, Portal, ServerConfig
from tests.portal.clients.conftest import MODERN, request
from tests.portal.conftest import until
from tests.portal.faults._numbers import fault
from tests.portal.faults._plain_http import connected, exchange, modern_call, parsed, written
from tests.portal.faults._tiny_server import TinyServers
from tests.portal.faults._traces import resident_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portal.server._sessions import Sessions
    from sandbox import Sandbox
    from tests.portal.conftest import HttpServer

MIB = 2**20
SESSIONS, MOST_SESSION_BYTES = 300, 100 * 2**10
ANSWER_BYTES = 10 * MIB
SLOW_READERS = 4
PATIENCE_S = 60.0
INITIALIZE = request(
    "initialize",
    {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "one of many", "version": "1"}},
)


@fault(17)
async def test_sessions_end_by_delete_or_by_themselves_and_their_memory_comes_back(
    http_server: HttpServer, sandbox: Sandbox
) -> None:
    """Three hundred are counted to the byte here, a thousand in a process of their own (tests/acceptance).

    Half of them end in their idle time, which is a day; here they have been idle for one already.
    """
    async with served(http_server, sandbox) as (portal, port):
        sessions = portal._open_face().sessions
        tracemalloc.start()
        try:
            rounds = [await a_round_of_sessions(sessions, port) for _ in range(3)]
        finally:
            tracemalloc.stop()
        old = await exchange(port, request("ping"), {"mcp-session-id": rounds[-1].last_id})

    assert max(each.bytes_each for each in rounds) <= MOST_SESSION_BYTES
    assert [each.left for each in rounds] == [SESSIONS - SESSIONS // 2] * 3
    assert len(sessions) == 0
    assert rounds[2].bytes_after - rounds[1].bytes_after <= rounds[2].bytes_each * SESSIONS / 10
    assert old.status == 404


@dataclass(frozen=True)
class Round:
    """Sessions that were begun and ended: what each took, what is used after them, how many did not end by DELETE."""

    bytes_each: float
    bytes_after: int
    left: int
    last_id: str


async def a_round_of_sessions(sessions: Sessions, port: int) -> Round:
    before = traced()
    begun = [(await exchange(port, INITIALIZE)).headers["mcp-session-id"] for _ in range(SESSIONS)]
    each = (traced() - before) / SESSIONS
    for session_id in begun[: SESSIONS // 2]:
        await exchange(port, None, {"mcp-session-id": session_id}, method="DELETE")
    left, usual_s = len(sessions), sessions._idle_s
    sessions._idle_s = 0.0
    sessions.sweep()
    sessions._idle_s = usual_s
    return Round(each, traced(), left, begun[-1])


def traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@asynccontextmanager
async def served(http_server: HttpServer, sandbox: Sandbox) -> AsyncIterator[tuple[Portal, int]]:
    """Serve a portal over a tiny server as ``portico serve`` does, with its bounds on connections."""
    with anyio.fail_after(PATIENCE_S):
        async with http_server(TinyServers()) as up:
            config = Config(servers=(ServerConfig(id="up", url=f"http://127.0.0.1:{up}/1/mcp"),))
            async with (
                Portal(config, sandbox=sandbox) as portal,
                http_server(portal.app, http=protocol.BoundedProtocol) as port,
            ):
                await portal.wait_ready()
                yield portal, port


@fault(25)
async def test_a_client_that_does_not_read_is_dropped_and_holds_one_answer_until_then(
    http_server: HttpServer, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given 30 s; here three. A kilobyte a second is as good as nothing: 64 of them would have to be read."""
    assert protocol.SLOW_READER_S == 30.0
    monkeypatch.setattr(protocol, "SLOW_READER_S", 3.0)
    async with served(http_server, sandbox) as (portal, port), AsyncExitStack() as stack:
        exchanges = portal._open_face().exchanges
        async with anyio.create_task_group() as quick:
            for _ in range(SLOW_READERS):
                quick.start_soon(partial(exchange, port, *modern_call("up_echo", size=ANSWER_BYTES)))
        before = peak = settled_bytes()
        slow = [await stack.enter_async_context(asking_for_much(port)) for _ in range(SLOW_READERS)]
        async with anyio.create_task_group() as tasks:
            for reader in slow:
                tasks.start_soon(sip, reader)
            while not all(reader.is_dropped for reader in slow):
                answer = (await exchange(port, *modern_call("up_echo", text="quick"))).answer
                assert answer["result"]["content"][0]["text"] == "1: quick"
                await anyio.sleep(0.1)
                peak = max(peak, settled_bytes()) if all(reader.received for reader in slow) else peak
        await until(lambda: len(exchanges) == 0)
        with anyio.move_on_after(10):
            await until(lambda: settled_bytes() - before <= ANSWER_BYTES)
        after = settled_bytes()

    assert all(reader.received < ANSWER_BYTES / 2 for reader in slow)
    assert peak - before <= SLOW_READERS * ANSWER_BYTES * 1.5
    assert after - before <= ANSWER_BYTES


def settled_bytes() -> int:
    """What is really held: not what the allocator keeps for later, which depends on all that went before."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return resident_bytes()


class SlowReader:
    """A client with a small window, which takes a kilobyte now and then."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self.received = 0
        self.is_dropped = False


@asynccontextmanager
async def asking_for_much(port: int) -> AsyncIterator[SlowReader]:
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(raw, ("127.0.0.1", port))
        message, headers = modern_call("up_echo", size=ANSWER_BYTES)
        await loop.sock_sendall(raw, written(message, headers))
        yield SlowReader(raw)


async def sip(reader: SlowReader) -> None:
    loop = asyncio.get_running_loop()
    while not reader.is_dropped:
        try:
            data = await loop.sock_recv(reader.raw, 1024)
        except ConnectionError:
            data = b""
        reader.received += len(data)
        reader.is_dropped = not data
        await anyio.sleep(0.2)


HEAD = "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\n"
JSON_HEAD = f"{HEAD}content-type: application/json\r\naccept: application/json, text/event-stream\r\n"


def posted(body: bytes, **headers: str) -> list[bytes]:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return [f"{JSON_HEAD}{lines}content-length: {len(body)}\r\n\r\n".encode() + body]


ROUGH = {
    "nothing": posted(b""),
    "no JSON": posted(b'{"jsonrpc":'),
    "no UTF-8": posted(b'{"jsonrpc":"2.0","id":1,"method":"\xff"}'),
    "no object": posted(b'"tools/list"'),
    "no method": posted(b'{"jsonrpc":"2.0","id":1}', mcp_protocol_version=MODERN),
    "a batch of 10,000": posted(b"[" + b",".join([b'{"jsonrpc":"2.0","id":1,"method":"ping"}'] * 10_000) + b"]"),
    "100,000 lists deep": posted(b"[" * 100_000 + b"]" * 100_000, mcp_protocol_version=MODERN),
    "100,000 objects deep": posted(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, mcp_protocol_version=MODERN),
    "50 MB": [f"{JSON_HEAD}content-length: {50 * MIB}\r\n\r\n".encode(), *[b"x" * MIB] * 50],
    "50 MB in chunks": [
        f"{JSON_HEAD}transfer-encoding: chunked\r\n\r\n".encode(),
        *[b"100000\r\n" + b"x" * MIB + b"\r\n"] * 50,
        b"0\r\n\r\n",
    ],
    "a header of 1 MB": [f"{HEAD}x-long: ".encode(), *[b"x" * 2**16] * 16, b"\r\n\r\n"],
}


@fault(26)
@pytest.mark.parametrize("name", ROUGH)
async def test_what_no_client_sends_is_refused_and_costs_no_memory(
    http_server: HttpServer, sandbox: Sandbox, name: str
) -> None:
    async with served(http_server, sandbox) as (_, port):
        await sent(port, ROUGH[name])
        before = settled_bytes()
        statuses = {await sent(port, ROUGH[name]) for _ in range(5)}
        rise = settled_bytes() - before
        healthy = await exchange(port, *modern_call("up_echo", text="well"))

    assert all(400 <= status < 500 for status in statuses), statuses
    assert rise <= 16 * MIB
    assert healthy.answer["result"]["content"][0]["text"] == "1: well"


async def sent(port: int, parts: list[bytes]) -> int:
    """Send bytes for as long as they are taken; return the status of the answer, 0 for none."""
    async with connected(port) as (reader, writer):
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
        except ConnectionError:
            pass  # refused while it was being sent
        try:
            return parsed(await reader.readuntil(b"\r\n\r\n")).status
        except (ConnectionError, asyncio.IncompleteReadError):
            return 0

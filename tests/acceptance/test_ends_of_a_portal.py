"""Faults 18, 19 and 24: a `portico serve` that is stopped or killed under load, and all who come back at once."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from tests.acceptance._running import free_port, serving
from tests.acceptance._upstream import listening
from tests.portal.clients.conftest import request
from tests.portal.conftest import is_running
from tests.portal.faults._numbers import fault
from tests.portal.faults._plain_http import Reply, exchange, modern_call
from tests.portal.faults._tiny_server import TinyServers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine import JsonObject
    from tests.acceptance._running import RunningPortal

WORKERS = 16
LOAD_S = 1.5
DRAIN_S = 30.0
CLIENTS = 1_000
COME_BACK_S = 30.0
VERSION = "2025-11-25"
INITIALIZE = request(
    "initialize",
    {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "one of many", "version": "1"}},
)


@dataclass
class Load:
    """What clients got that called a tool again and again; ``broken`` counts connections that gave no answer."""

    answered: int = 0
    refused: list[Reply] = field(default_factory=list)
    broken: int = 0


@pytest.fixture
def upstream() -> Iterator[tuple[TinyServers, JsonObject]]:
    """A server in a thread of this process, whose calls take a while, and the configuration of a portal over it."""
    servers = TinyServers(delay_s=0.2)
    with listening(servers) as url:
        yield servers, {"servers": [{"id": "up", "url": url.replace("/mcp", "/1/mcp")}]}


async def work(port: int, load: Load, stop: anyio.Event) -> None:
    """Call the tool until nobody listens any more."""
    while not stop.is_set():
        try:
            reply = await exchange(port, *modern_call("up_echo", text="hello"))
        except ConnectionRefusedError:
            return
        except ConnectionError:
            load.broken += 1
            continue
        if reply.status == 200 and "result" in reply.answer and not reply.answer["result"].get("isError"):
            load.answered += 1
        elif reply.status:
            load.refused.append(reply)
        else:
            load.broken += 1


async def end_under_load(portal: RunningPortal, number: signal.Signals) -> Load:
    """Send the signal in the midst of calls and wait until the process has ended."""
    port, load, stop = port_of(portal), Load(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        for _ in range(WORKERS):
            tasks.start_soon(work, port, load, stop)
        await anyio.sleep(LOAD_S)
        os.kill(portal.pid, number)
        with anyio.fail_after(DRAIN_S):
            while is_running(portal.pid):  # noqa: ASYNC110 -- another process gives no event
                await anyio.sleep(0.05)
        stop.set()
    return load


def port_of(portal: RunningPortal) -> int:
    return int(portal.url.rpartition(":")[2].partition("/")[0])


def session_headers(session_id: str) -> dict[str, str]:
    return {"mcp-session-id": session_id, "mcp-protocol-version": VERSION}


async def begin(port: int) -> str:
    """Begin a session, coming back when the portal says so; returns its id."""
    while True:
        reply = await exchange(port, INITIALIZE)
        if reply.status == 200:
            return reply.headers["mcp-session-id"]
        assert reply.status in {429, 503}, reply
        await anyio.sleep(float(reply.headers["retry-after"]))


@fault(18)
def test_calls_in_flight_at_a_stop_are_answered_and_old_sessions_are_404_afterwards(
    upstream: tuple[TinyServers, JsonObject], tmp_path: Path
) -> None:
    """The upstream knows which calls were in flight: each that reached it has its answer at the client."""
    servers, config = upstream
    listen = ("--port", str(free_port()))
    with serving(config, tmp_path, arguments=listen) as portal:
        old = anyio.run(begin, port_of(portal))
        load = anyio.run(end_under_load, portal, signal.SIGTERM)
        reached = servers.requests["1", "tools/call"]
    with serving(config, tmp_path, arguments=listen) as portal:
        port = port_of(portal)
        call = request("tools/call", {"name": "up_echo", "arguments": {}})
        statuses = [
            anyio.run(exchange, port, call, session_headers(old)).status,
            anyio.run(exchange, port, request("ping"), session_headers(old)).status,
        ]
        stateless = anyio.run(exchange, port, *modern_call("up_echo", text="hello"))

    assert load.answered == reached > WORKERS
    assert all(reply.status == 503 and "retry-after" in reply.headers for reply in load.refused)
    assert statuses == [404, 404]
    assert stateless.answer["result"]["content"][0]["text"] == "1: hello"


@fault(19)
def test_a_kill_loses_no_record_of_a_call_that_was_answered(
    upstream: tuple[TinyServers, JsonObject], tmp_path: Path, data_home: Path
) -> None:
    """Three kills in a row, in place of a thousand; there are no logins and tokens yet that could be lost."""
    _, config = upstream
    answered = 0
    for _ in range(3):
        with serving(config, tmp_path) as portal:
            answered += anyio.run(end_under_load, portal, signal.SIGKILL).answered
            assert integrity(data_home) == "ok"
    with serving(config, tmp_path) as portal:
        reply = anyio.run(exchange, port_of(portal), *modern_call("up_echo", text="hello"))
    records = count(data_home, "select count(*) from calls where server = 'up' and status = 'ok'")

    assert reply.answer["result"]["content"][0]["text"] == "1: hello"
    assert answered > 3 * WORKERS
    assert records >= answered + 1
    assert integrity(data_home) == "ok"


def integrity(home: Path) -> str:
    return str(query(home, "pragma integrity_check"))


def count(home: Path, question: str) -> int:
    return int(str(query(home, question)))


def query(home: Path, question: str) -> object:
    (file,) = home.rglob("*.db")
    with closing(sqlite3.connect(file)) as database:
        return database.execute(question).fetchone()[0]


@fault(24)
def test_a_thousand_clients_that_come_back_at_once_are_all_served_and_then_the_portal_rests(
    upstream: tuple[TinyServers, JsonObject], tmp_path: Path
) -> None:
    _, config = upstream
    listen = ("--port", str(free_port()))
    with serving(config, tmp_path, arguments=listen) as portal:
        old = anyio.run(begin_all, port_of(portal))
        os.kill(portal.pid, signal.SIGKILL)
    with serving(config, tmp_path, arguments=listen) as portal:
        began = time.monotonic()
        statuses = anyio.run(come_back, port_of(portal), old)
        took_s = time.monotonic() - began
        busy_before, rest_began = processor_s(portal.pid), time.monotonic()
        time.sleep(2)
        load = (processor_s(portal.pid) - busy_before) / (time.monotonic() - rest_began)

    assert statuses == {"old": {404}, "new": {200}}
    assert len(set(old)) == CLIENTS
    assert took_s <= COME_BACK_S
    assert load < 0.25


async def begin_all(port: int) -> list[str]:
    sessions: list[str] = []

    async def one() -> None:
        sessions.append(await begin(port))

    async with anyio.create_task_group() as tasks:
        for _ in range(CLIENTS):
            tasks.start_soon(one)
    return sessions


async def come_back(port: int, old: list[str]) -> Mapping[str, set[int]]:
    """Have every client find its session gone and begin a new one."""
    statuses: dict[str, set[int]] = {"old": set(), "new": set()}

    async def one(session_id: str) -> None:
        statuses["old"].add((await exchange(port, request("tools/list"), session_headers(session_id))).status)
        new = await begin(port)
        statuses["new"].add((await exchange(port, request("tools/list"), session_headers(new))).status)

    async with anyio.create_task_group() as tasks:
        for session_id in old:
            tasks.start_soon(one, session_id)
    return statuses


def processor_s(pid: int) -> float:
    """The processor time that a process has used, without its children's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

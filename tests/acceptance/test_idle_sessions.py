"""Fault 17: what a thousand idle sessions cost a `portico serve`, half of them with a stream that stands open."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio

from tests.acceptance._running import serving
from tests.acceptance._upstream import listening
from tests.acceptance.test_ends_of_a_portal import begin, port_of, session_headers
from tests.portal.faults._numbers import fault
from tests.portal.faults._plain_http import connected, exchange, written
from tests.portal.faults._tiny_server import TinyServers
from tests.portal.faults._traces import resident_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance._running import RunningPortal

SESSIONS = 1_000
MOST_BYTES = 100 * 2**10


@fault(17)
def test_a_thousand_idle_sessions_cost_little_and_thousands_more_use_the_same_memory(tmp_path: Path) -> None:
    """An hour of sessions is scaled to four thousand after each other, which have to reach a plateau."""
    with (
        listening(TinyServers()) as url,
        serving({"servers": [{"id": "up", "url": url.replace("/mcp", "/1/mcp")}]}, tmp_path) as portal,
    ):
        anyio.run(hold_sessions, portal, 20)
        before = resident_bytes(portal.pid)
        risen = [anyio.run(hold_sessions, portal, SESSIONS) - before for _ in range(4)]

    assert max(risen) <= SESSIONS * MOST_BYTES
    assert risen[3] <= risen[2] * 1.1


async def hold_sessions(portal: RunningPortal, number: int) -> int:
    """Begin sessions, look at the memory, and end them."""
    port = port_of(portal)
    async with AsyncExitStack() as streams:
        sessions = [await begin(port) for _ in range(number)]
        for session_id in sessions[::2]:
            reader, writer = await streams.enter_async_context(connected(port))
            writer.write(written(None, session_headers(session_id), method="GET"))
            await reader.readuntil(b"retry: 1000\n")
        used = resident_bytes(portal.pid)
    for session_id in sessions:
        reply = await exchange(port, None, session_headers(session_id), method="DELETE")
        assert reply.status == 200
    return used

"""A hundred upstreams, thirty of them dead in three ways: the others are as if they were alone. Faults 1 and 15."""

from __future__ import annotations

import socket
import time
from collections import Counter
from typing import TYPE_CHECKING

import anyio
from mcp.client import Client

from portal import ServerConfig
from portal._kept_offers import KeptOffers
from tests.portal.faults._tiny_server import TinyServers

if TYPE_CHECKING:
    from pathlib import Path

    from portal import Portal
    from tests.portal.conftest import HttpServer, PortalAt

LIVE, DEAD = 70, 30
START_S, LIST_S = 30.0, 20.0
"""Liveness bounds; alone on a machine both take a second."""


def live(port: int, numbers: range) -> list[ServerConfig]:
    return [ServerConfig(id=f"s{number}", url=f"http://127.0.0.1:{port}/{number}/mcp") for number in numbers]


def dead(numbers: range, *, refusing: int, blackhole: int) -> list[ServerConfig]:
    """Ten that refuse the connection, ten that take it and never answer, ten whose name nobody knows."""
    urls = [f"http://127.0.0.1:{refusing}/mcp", f"http://127.0.0.1:{blackhole}/mcp", "http://no-such-host.invalid/mcp"]
    return [ServerConfig(id=f"s{number}", url=urls[number % 3], connect_timeout_s=5) for number in numbers]


async def test_the_list_of_the_living_and_the_kept_lists_of_the_dead_are_there_soon_after_the_start(
    http_server: HttpServer, portal_at: PortalAt, free_port: int, tmp_path: Path
) -> None:
    servers = TinyServers()
    store = f"sqlite:///{tmp_path / 'portico.db'}"
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        blackhole = silent.getsockname()[1]
        gone = dead(range(LIVE, LIVE + DEAD), refusing=free_port, blackhole=blackhole)
        async with http_server(servers) as port:
            async with portal_at(*live(port, range(LIVE)), **stored(store)) as (portal, origin):
                assert await listed(origin) == LIVE
                kept = KeptOffers(portal.store.catalogs)
                for server in gone:  # as they were when they were last seen
                    await kept.keep(server, {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]})

            began = time.monotonic()
            async with portal_at(*live(port, range(LIVE)), *gone, **stored(store)) as (portal, origin):
                with anyio.fail_after(LIST_S):
                    names = await listed(origin)
                answers = await call_all(origin, range(LIVE))
                took = time.monotonic() - began

                assert names == LIVE + DEAD
                assert answers == {f"{number}: hello" for number in range(LIVE)}
                assert counted(portal) == {"ready": LIVE, "error": DEAD}
                assert took < START_S


def stored(url: str) -> dict[str, object]:
    from portal import Secret  # noqa: PLC0415

    return {"store": Secret(url)}


async def listed(origin: str) -> int:
    async with Client(f"{origin}/mcp") as client:
        return sum(tool.name.endswith("_echo") for tool in (await client.list_tools()).tools)


async def call_all(origin: str, numbers: range) -> set[str]:
    answers: set[str] = set()
    async with Client(f"{origin}/mcp") as client:
        for number in numbers:
            result = await client.call_tool(f"s{number}_echo", {"text": "hello"})
            answers.add(str(getattr(result.content[0], "text", "")))
    return answers


def counted(portal: Portal) -> dict[str, int]:
    return dict(Counter(server.status for server in portal.fleet.status()))

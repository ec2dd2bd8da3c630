"""Faults 10, 11 and 12: upstreams whose lists change, and which come and go."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import anyio
import pytest

import portal.server._announcements as announcing
import portal.upstream._breaker as breaking
import portal.upstream._owner as owning
from tests.portal.clients.conftest import RawClient, events
from tests.portal.conftest import until
from tests.portal.faults._fault_proxy import fault_proxy
from tests.portal.faults._numbers import fault
from tests.portal.faults._scene import scene_at
from tests.portal.upstream.conftest import serving_scripted
from tests.portal.upstream.offering import SCHEMA, Offering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.portal.conftest import PortalAt
    from tests.portal.faults._scene import InScene, Scene
    from tests.portal.upstream.conftest import Asked

CHANGED = "notifications/tools/list_changed"
ERAS = pytest.mark.parametrize("version", ["2025-11-25", None])


def tool(name: str) -> dict[str, object]:
    return {"name": name, "inputSchema": SCHEMA}


@asynccontextmanager
async def told(scene: Scene) -> AsyncIterator[list[float]]:
    """Hold the stream of a client with a session; gives the moments at which it was told that the tools changed."""
    moments: list[float] = []
    client = RawClient(scene.raw.http, scene.raw.url)
    await client.begin()

    async def listen() -> None:
        async with client.stream("GET") as response:
            async for event in events(response):
                if CHANGED in event.get("data", ""):
                    moments.append(time.monotonic())  # noqa: PERF401 -- seen while it grows

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        yield moments
        tasks.cancel_scope.cancel()


@fault(10)
@ERAS
async def test_two_hundred_announcements_in_a_burst_cost_two_lists_and_lose_nothing(
    in_scene: InScene, version: str | None
) -> None:
    offering = Offering.of(version)
    async with in_scene(offering) as scene, told(scene) as moments:
        await offering.heard()
        listed_before = offering.listed["tools/list"]
        for number in range(200):
            offering.lists["tools/list"].append(tool(f"new{number}"))
            await offering.announce(CHANGED)
        await until(lambda: len(scene.portal.fleet.listing("up").tools) == 201)
        names = await scene.names()
        await until(lambda: len(moments) >= 1)

    assert set(names) == {"up_echo", "well_echo", *(f"up_new{number}" for number in range(200))}
    assert offering.listed["tools/list"] - listed_before <= 2
    assert len(moments) <= 2


@fault(10)
async def test_a_server_that_announces_a_change_with_every_list_is_listed_once_a_second(in_scene: InScene) -> None:
    offering = Offering.of(None)
    moments: list[float] = []

    async def list_and_announce(asked: Asked) -> None:
        moments.append(time.monotonic())
        await offering.list(asked)
        offering.lists["tools/list"].append(tool(f"new{len(moments)}"))
        await offering.announce(CHANGED)

    offering.scripted.answers["tools/list"] = list_and_announce
    async with in_scene(offering):
        await offering.heard()
        began = len(moments)
        await offering.announce(CHANGED)
        await until(lambda: len(moments) >= began + 4)

    refreshes = moments[began:]
    assert refreshes[-1] - refreshes[0] >= len(refreshes) - 1 - 0.1


@fault(11)
@ERAS
async def test_a_change_that_is_announced_while_it_is_listed_holds_nobody_up_and_is_listed_next(
    in_scene: InScene, version: str | None
) -> None:
    offering = Offering.of(version)
    async with in_scene(offering) as scene:
        await offering.heard()
        offering.holds["tools/list"] = anyio.Event()
        await offering.announce(CHANGED)
        await until(lambda: offering.listed["tools/list"] == 2)
        offering.lists["tools/list"].append(tool("late"))
        for _ in range(10):
            await offering.announce(CHANGED)
        with anyio.fail_after(5):
            names_meanwhile = await scene.names()
            await scene.call()
        offering.holds["tools/list"].set()
        with anyio.fail_after(5):
            await until(lambda: "late" in scene.portal.fleet.listing("up").tools)
        names = await scene.names()

    assert names_meanwhile == ["up_echo", "well_echo"]
    assert names == ["up_echo", "up_late", "well_echo"]
    assert offering.listed["tools/list"] == 3


AGAIN_S, FLAP_S, FLAPS_S = 1.5, 0.25, 6.0
"""Twenty times faster than the fault says: told once in 30 s, down and up again each 5 s, for two minutes."""
FLAPS = 10
"""How often it goes and comes back at once, in place of 60 times in ten minutes."""


@fault(12)
async def test_a_server_that_comes_and_goes_keeps_its_tools_listed_and_tells_nobody_of_it(
    portal_at: PortalAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owning, "FIRST_RETRY_S", 0.05)
    monkeypatch.setattr(owning, "LAST_RETRY_S", 0.1)
    monkeypatch.setattr(breaking, "PROBE_S", 0.1)
    offering = Offering.of("2025-11-25")
    seen: set[tuple[str, ...]] = set()
    async with (
        serving_scripted(offering.scripted) as url,
        fault_proxy(url) as proxy,
        scene_at(portal_at, proxy.url()) as scene,
        told(scene) as moments,
    ):
        for _ in range(FLAPS):
            proxy.is_down = True
            proxy.cut()
            await scene.call()  # finds out
            await until(lambda: scene.status() == "error")
            seen.add(tuple(await scene.names()))
            proxy.is_down = False
            await until(lambda: scene.status() == "ready")
            seen.add(tuple(await scene.names()))

    assert seen == {("up_echo", "well_echo")}
    assert len(offering.scripted.of("initialize")) >= 1 + FLAPS
    assert len(moments) <= 1


@fault(12)
async def test_a_server_whose_list_changes_back_and_forth_is_told_of_at_most_once_in_a_while(
    in_scene: InScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert announcing.AGAIN_S == 30.0
    monkeypatch.setattr(announcing, "AGAIN_S", AGAIN_S)
    monkeypatch.setattr("portal.upstream._sync.RESYNC_S", FLAP_S / 5)
    offering = Offering.of(None)
    async with in_scene(offering) as scene, told(scene) as moments:
        await offering.heard()
        began = time.monotonic()
        while time.monotonic() - began < FLAPS_S:
            changed = [tool("echo")] if len(offering.lists["tools/list"]) > 1 else [tool("echo"), tool("other")]
            offering.lists["tools/list"] = changed
            await offering.announce(CHANGED)
            await anyio.sleep(FLAP_S)
        lists = offering.listed["tools/list"]
        offering.lists["tools/list"] = [tool("echo"), tool("last")]
        told_before = len(moments)
        await offering.announce(CHANGED)
        await until(lambda: len(moments) > told_before)
        names = await scene.names()

    gaps = [later - sooner for sooner, later in pairwise(moments[1:])]  # the first change of all does not count
    assert lists > FLAPS_S / FLAP_S / 3, "its list did change again and again"
    assert all(gap >= AGAIN_S - 0.2 for gap in gaps)
    assert names == ["up_echo", "up_last", "well_echo"]

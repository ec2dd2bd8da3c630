"""Streams that are cut off and taken up again: MCP 2025-11-25, basic/transports, "Resumability and Redelivery"."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio

from portal import ServerConfig
from portal.server import _channel, _event_stream, _exchanges, _session_http
from tests.portal.clients.conftest import CONFIRM, events, request
from tests.portal.clients.test_sessions import face_of
from tests.portal.conftest import until

if TYPE_CHECKING:
    import pytest

    from tests.portal.clients.conftest import AskedClient, RawAt
    from tests.portal.conftest import PortalAt, Serving, Upstreamed

OLD = "2025-06-18"


async def test_a_call_goes_on_when_its_stream_is_cut_and_the_client_gets_the_rest_once(
    asked_client: AskedClient,
) -> None:
    async with asked_client() as raw:
        async with raw.stream("POST", CONFIRM) as response:
            found = events(response)
            await anext(found)
            question = await anext(found)
        asked = json.loads(question["data"])
        await raw.post({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "decline"}})
        async with raw.stream("GET", headers={"last-event-id": question["id"]}) as response:
            rest = [each async for each in events(response)]
        async with raw.stream("GET", headers={"last-event-id": rest[-1]["id"]}) as response:
            nothing = [each async for each in events(response) if each["data"]]

    results = [json.loads(each["data"]) for each in rest if each["data"]]
    assert [each["id"] for each in results] == [5]
    assert "decline" in results[0]["result"]["content"][0]["text"]
    assert nothing == []


async def test_notifications_wait_for_a_stream_and_those_after_the_last_that_was_seen_come_again(
    portal_at: PortalAt, raw_client: RawAt
) -> None:
    """Fault 23: no event is lost and none comes twice."""
    async with portal_at() as (portal, origin), raw_client(origin) as raw:
        await raw.begin()
        session = next(iter(face_of(portal).sessions))
        await session.notify("notifications/one", {})
        async with raw.stream("GET") as response:
            found = events(response)
            primed, first = await anext(found), await anext(found)
            await session.notify("notifications/two", {})
            second = await anext(found)
        await until(lambda: not session.standing.is_attached)
        await session.notify("notifications/three", {})
        async with raw.stream("GET", headers={"last-event-id": first["id"]}) as response:
            found = events(response)
            await anext(found)
            again = [await anext(found), await anext(found)]

    assert primed["retry"] == "1000"
    assert [json.loads(each["data"])["method"] for each in (first, second, *again)] == [
        "notifications/one",
        "notifications/two",
        "notifications/two",
        "notifications/three",
    ]
    assert len({first["id"], second["id"], again[1]["id"]}) == 3


async def test_versions_before_2025_11_25_get_no_event_without_data(portal_at: PortalAt, raw_client: RawAt) -> None:
    async with portal_at() as (portal, origin), raw_client(origin) as raw:
        await raw.begin(OLD)
        session = next(iter(face_of(portal).sessions))
        await session.notify("notifications/one", {})
        async with raw.stream("GET") as response:
            first = await anext(events(response))

    assert json.loads(first["data"])["method"] == "notifications/one"
    assert first["retry"] == "1000"


async def test_each_message_goes_over_one_stream_only_the_newest(portal_at: PortalAt, raw_client: RawAt) -> None:
    """MCP 2025-11-25, "Multiple Connections": a message is never sent on two streams."""
    async with portal_at() as (portal, origin), raw_client(origin) as raw:
        await raw.begin()
        session = next(iter(face_of(portal).sessions))
        async with raw.stream("GET") as older, raw.stream("GET") as newer:
            await session.notify("notifications/one", {})
            found = events(newer)
            await anext(found)
            got = json.loads((await anext(found))["data"])
            face_of(portal).exchanges.drain(stop_after_s=10)
            on_older = [each async for each in events(older) if each["data"]]

    assert got["method"] == "notifications/one"
    assert on_older == []


async def test_what_is_not_kept_any_more_cannot_be_resumed(portal_at: PortalAt, raw_client: RawAt) -> None:
    async with portal_at() as (_, origin), raw_client(origin) as raw:
        await raw.begin()
        statuses = []
        for last in ("7-1", "x", "0", "-", "9" * 100, "1-" + "9" * 30):
            async with raw.stream("GET", headers={"last-event-id": last}) as response:
                statuses.append(response.status_code)

    assert statuses == [400] * 6


async def test_a_call_that_nobody_comes_back_for_is_cancelled(
    portal_at: PortalAt,
    upstream: Upstreamed,
    serving: Serving,
    raw_client: RawAt,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_session_http, "RETURN_S", 0.1)
    upstream.holds["echo"] = anyio.Event()
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (portal, origin),
        raw_client(origin) as raw,
    ):
        await raw.begin()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(raw.post, request("tools/call", {"name": "up_echo", "arguments": {}}))
            await upstream.entered.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(10):
            await upstream.cancelled.wait()
            await until(lambda: len(face_of(portal).exchanges) == 0)
        session = next(iter(face_of(portal).sessions))

    assert session.running == {}


async def test_a_call_that_takes_long_is_answered_on_a_stream_with_signs_of_life(
    portal_at: PortalAt,
    upstream: Upstreamed,
    serving: Serving,
    raw_client: RawAt,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_exchanges, "PATIENCE_S", 0.0)
    monkeypatch.setattr(_exchanges, "KEEP_ALIVE_S", 0.0)
    upstream.holds["echo"] = anyio.Event()
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        raw_client(origin) as raw,
    ):
        await raw.begin()
        call = request("tools/call", {"name": "up_echo", "arguments": {}})
        async with raw.stream("POST", call) as response:
            lines = response.aiter_lines()
            signs = 0
            while signs < 2:
                signs += await anext(lines) == ":"
            upstream.holds["echo"].set()
            rest = [line async for line in lines if line.startswith("data: {")]

    assert '"result"' in rest[0]
    assert _event_stream.KEEP_ALIVE_S <= 25


async def test_what_is_kept_for_a_client_that_is_away_is_bounded(portal_at: PortalAt, raw_client: RawAt) -> None:
    async with portal_at() as (portal, origin), raw_client(origin) as raw:
        await raw.begin()
        session = next(iter(face_of(portal).sessions))
        for _ in range(300):
            await session.notify("notifications/x", {"fill": "x" * 20_000})
        kept = session.standing._size
        session.close()

    assert kept <= _channel.KEPT_BYTES + 21_000
    assert session.standing._kept.total == 0

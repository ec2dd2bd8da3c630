"""Resources that somebody watches: counted, told to the server, and told again to every session with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from portal._errors import UpstreamRefused
from portal.upstream import _streamable as streaming
from portal.upstream import _subscriptions as subscribing
from tests.portal.conftest import until
from tests.portal.upstream.offering import Offering, connected

if TYPE_CHECKING:
    from tests.portal.upstream.conftest import Asked

UPDATED = "notifications/resources/updated"


def watched(offering: Offering) -> list[Any]:
    """The filters of the streams that were opened (MCP 2026-07-28), in order."""
    return [
        asked.message["params"]["notifications"].get("resourceSubscriptions")
        for asked in offering.scripted.of("subscriptions/listen")
    ]


async def test_a_server_with_sessions_is_told_once_and_with_the_last_one_who_leaves() -> None:
    offering = Offering.of("2025-11-25")
    heard: list[Any] = []
    async with connected(offering, on_notification=lambda *notification: heard.append(notification)) as up:
        await offering.heard()
        await up.subscribe("a://1")
        await up.subscribe("a://1")
        await offering.announce(UPDATED, uri="a://1")
        await until(lambda: len(heard) == 1)
        await up.unsubscribe("a://1")
        told = [len(offering.scripted.of("resources/unsubscribe"))]
        await up.unsubscribe("a://1")
        await up.unsubscribe("a://1")
        told.append(len(offering.scripted.of("resources/unsubscribe")))

    assert told == [0, 1]
    assert heard == [(UPDATED, {"uri": "a://1"})]
    assert [asked.message["params"] for asked in offering.scripted.of("resources/subscribe")] == [{"uri": "a://1"}]


async def test_a_subscription_that_the_server_refuses_does_not_count() -> None:
    offering = Offering.of("2025-11-25")

    async def refuse(asked: Asked) -> None:
        await asked.error(-32602, "no such resource")

    async with connected(offering) as up:
        offering.scripted.answers["resources/subscribe"] = refuse
        with pytest.raises(UpstreamRefused, match="no such resource"):
            await up.subscribe("a://2")
        offering.scripted.answers["resources/subscribe"] = offering.take
        assert not up.is_busy
        await up.subscribe("a://2")

    assert len(offering.scripted.of("resources/subscribe")) == 2


async def test_whoever_comes_while_the_server_is_told_of_a_resource_hears_what_came_of_it() -> None:
    offering = Offering.of("2025-11-25")
    release, outcomes = anyio.Event(), list[str]()

    async def refuse(asked: Asked) -> None:
        await release.wait()
        await asked.error(-32602, "no such resource")

    async with connected(offering) as up:
        offering.scripted.answers["resources/subscribe"] = refuse

        async def watch() -> None:
            with pytest.raises(UpstreamRefused, match="no such resource"):
                await up.subscribe("a://2")
            outcomes.append("refused")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await offering.scripted.reached("resources/subscribe")
            tasks.start_soon(watch)
            await anyio.wait_all_tasks_blocked()
            before = list(outcomes)
            release.set()
        is_busy = up.is_busy

    assert (before, outcomes) == ([], ["refused", "refused"])
    assert len(offering.scripted.of("resources/subscribe")) == 1
    assert not is_busy


async def test_a_subscription_whose_first_watcher_goes_away_is_made_for_the_next() -> None:
    offering = Offering.of("2025-11-25")
    release = anyio.Event()

    async def take(asked: Asked) -> None:
        await release.wait()
        await offering.take(asked)

    async with connected(offering) as up:
        offering.scripted.answers["resources/subscribe"] = take
        first = anyio.CancelScope()

        async def watch_and_leave() -> None:
            with first:
                await up.subscribe("a://1")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch_and_leave)
            await offering.scripted.reached("resources/subscribe")
            tasks.start_soon(up.subscribe, "a://1")
            await anyio.wait_all_tasks_blocked()
            first.cancel()
            await offering.scripted.reached("resources/subscribe", 2)
            release.set()
        is_busy = up.is_busy

    assert is_busy


async def test_subscriptions_are_made_again_on_the_session_after_a_lost_one() -> None:
    offering = Offering.of("2025-11-25")

    async def forget(asked: Asked) -> None:
        if len(offering.scripted.of("initialize")) == 1:
            await asked.reply(404)
        else:
            await offering.call(asked)

    offering.scripted.answers["tools/call"] = forget
    async with connected(offering) as up:
        await up.subscribe("a://1")
        await up.call("echo", {})
        await offering.scripted.reached("resources/subscribe", 2)

    assert len(offering.scripted.of("initialize")) == 2


async def test_a_server_without_sessions_has_one_stream_that_is_replaced_when_what_is_watched_changes() -> None:
    offering = Offering.of(None)
    heard: list[Any] = []
    async with connected(offering, on_notification=lambda *notification: heard.append(notification)) as up:
        await offering.heard()
        await up.subscribe("a://1")
        await until(lambda: watched(offering) == [None, ["a://1"]] and len(offering.streams) == 1)
        await up.subscribe("a://1")
        await up.subscribe("a://2")
        await until(lambda: len(watched(offering)) == 3 and len(offering.streams) == 1)
        await offering.announce(UPDATED, uri="a://2")
        await until(lambda: len(heard) == 1)
        await up.unsubscribe("a://2")
        await until(lambda: len(watched(offering)) == 4 and len(offering.streams) == 1)

    assert watched(offering) == [None, ["a://1"], ["a://1", "a://2"], ["a://1"]]
    assert heard == [(UPDATED, {"uri": "a://2"})], "the id of the subscription is nobody else's affair"


@pytest.mark.parametrize(("version", "method"), [(None, "subscriptions/listen"), ("2025-11-25", "GET")])
async def test_a_stream_that_broke_is_opened_again_and_what_was_missed_is_listed(
    version: str | None, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribing, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(streaming, "RETRY_S", 0.01)
    offering = Offering.of(version)
    async with connected(offering) as up:
        await offering.heard()
        offering.lists["tools/list"].append({"name": "new", "inputSchema": {"type": "object"}})
        offering.streams[0].writer.close()
        await until(lambda: "new" in up.tools)

    assert len(offering.scripted.of(method)) == 2


@pytest.mark.parametrize(("version", "method"), [(None, "subscriptions/listen"), ("2025-11-25", "GET")])
async def test_a_quiet_stream_that_a_proxy_cuts_every_time_is_opened_again_as_soon_every_time(
    version: str | None, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pauses that grow, the twelfth would come after minutes."""
    monkeypatch.setattr(subscribing, "FIRST_RETRY_S", 0.05)
    monkeypatch.setattr(streaming, "RETRY_S", 0.05)
    offering = Offering.of(version)

    async def cut(asked: Asked) -> None:
        with anyio.move_on_after(0.15):
            await offering.listen(asked)
        asked.writer.close()

    offering.scripted.answers[method] = cut
    async with connected(offering):
        await offering.scripted.reached(method, 12)

"""Faults 2 and 3: upstreams that take a request, or a connection, and never answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

import portal.upstream._breaker as breaking
import portal.upstream._owner as owning
from tests.portal.conftest import until
from tests.portal.faults._numbers import fault
from tests.portal.faults._scene import is_error, scene_at, text_of
from tests.portal.faults._traces import traces, until_gone
from tests.portal.upstream.conftest import serving_scripted
from tests.portal.upstream.offering import Offering

if TYPE_CHECKING:
    from tests.portal.conftest import PortalAt
    from tests.portal.faults._scene import InScene
    from tests.portal.upstream.conftest import Asked

CALLS = 20
# Longer than the loop stands still on a busy machine: an attempt must not time out before it has sent anything.
FAST = {"connect_timeout_s": 1.0, "call_timeout_s": 1.0}


@fault(2)
@pytest.mark.parametrize("version", [None, "2025-11-25"])
async def test_calls_that_are_never_answered_end_at_their_timeout_and_are_cancelled_once(
    in_scene: InScene, version: str | None
) -> None:
    """Half a second is the timeout here, and the second twenty must leave nothing beside the first.

    A modern upstream is told by the end of the connection.
    """
    offering = Offering.of(version)
    given_up: list[int] = []

    async def hold(asked: Asked) -> None:
        await asked.until_gone()
        given_up.append(asked.id)

    offering.scripted.answers["tools/call"] = hold
    async with in_scene(offering, limits={"call_timeout_s": 0.5}) as scene:
        await scene.call_often(CALLS)  # opens the connections that are kept afterwards
        await until(lambda: len(given_up) == CALLS)
        before = traces()
        answers = await scene.call_often(CALLS)
        await until(lambda: len(given_up) == 2 * CALLS)
        await until_gone(before, kept=CALLS)

    sent = [asked.id for asked in offering.scripted.of("tools/call")]
    told = [asked.message["params"]["requestId"] for asked in offering.scripted.of("notifications/cancelled")]
    assert {text_of(answer) for answer in answers} == {"up did not answer within 0.5 s"}
    assert all(is_error(answer) for answer in answers)
    assert sorted(given_up) == sorted(sent)
    assert sorted(told) == ([] if version is None else sorted(sent))


@fault(3)
@pytest.mark.parametrize("method", ["server/discover", "initialize", "tools/list"])
async def test_a_server_that_hangs_before_it_is_ready_is_left_alone_and_tried_after_a_while(
    portal_at: PortalAt, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe comes every 30 s, with jitter; here every 2 s."""
    assert (breaking.OPEN_AFTER, breaking.PROBE_S) == (5, 30.0)
    monkeypatch.setattr(breaking, "PROBE_S", 2.0)
    monkeypatch.setattr(owning, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(owning, "LAST_RETRY_S", 0.02)
    offering = Offering.of("2025-11-25" if method == "initialize" else None)
    usual = dict(offering.scripted.answers)
    attempts: list[float] = []

    async def hang(asked: Asked) -> None:
        attempts.append(time.monotonic())
        await asked.until_gone()

    async with serving_scripted(offering.scripted) as url:
        async with scene_at(portal_at, url) as scene:
            await scene.call()  # so that its list is kept
        offering.scripted.answers[method] = hang
        async with scene_at(portal_at, url, limits=FAST) as scene:
            breaker = scene.portal.fleet.listing("up")._owner.breaker
            await until(lambda: breaker.is_open)
            opened_after = len(attempts)
            told = {text_of(answer)[:27] for answer in await scene.call_often(CALLS)}
            attempts_when_told = len(attempts)
            await until(lambda: len(attempts) > opened_after)
            offering.scripted.answers = usual
            await until(lambda: scene.status() == "ready")
            answer = await scene.call()

    assert (opened_after, attempts_when_told) == (5, 5)
    assert told == {"up failed 5 times in a row;"}
    assert attempts[5] - attempts[4] >= 2.0 * 0.75
    assert not is_error(answer)

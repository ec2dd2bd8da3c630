"""A run's clock counts what counts, and nothing while it is paused."""

from __future__ import annotations

import math

import anyio
import pytest

from sandbox import RunClock


async def test_a_clock_that_has_not_begun_has_all_its_time() -> None:
    clock = RunClock()

    assert clock.elapsed_s == 0
    assert clock.remaining_s == math.inf


async def test_a_pause_takes_the_deadline_away_and_the_last_to_end_gives_it_back() -> None:
    clock, scope = RunClock(), anyio.CancelScope()
    clock.start(scope, limit_s=50)
    before = scope.deadline
    with clock.paused():
        with clock.paused():
            during_both = scope.deadline
        during_one = scope.deadline
    after = scope.deadline

    assert (during_both, during_one) == (math.inf, math.inf)
    assert before <= after < math.inf


async def test_time_does_not_count_while_paused() -> None:
    clock = RunClock()
    clock.start(anyio.CancelScope(), limit_s=50)
    with clock.paused():
        counted = clock.elapsed_s
        await anyio.sleep(0.02)
        counted_then = clock.elapsed_s

    assert clock.is_paused is False
    assert counted_then == counted


async def test_a_clock_may_be_paused_before_its_run_begins() -> None:
    clock, scope = RunClock(), anyio.CancelScope()
    with clock.paused():
        clock.start(scope, limit_s=50)
        deadline = scope.deadline

    assert deadline == math.inf
    assert scope.deadline < math.inf


async def test_a_clock_may_be_handed_to_a_run_that_has_begun() -> None:
    clock, scope = RunClock(), anyio.CancelScope()
    clock.start(scope, limit_s=50, counted_s=20)

    assert clock.remaining_s <= 30
    assert scope.deadline <= anyio.current_time() + 30
    assert clock.finish() >= 20


async def test_a_clock_serves_one_run() -> None:
    clock = RunClock()
    clock.start(anyio.CancelScope(), limit_s=1)
    clock.finish()

    with pytest.raises(ValueError, match="one run"):
        clock.start(anyio.CancelScope(), limit_s=1)


async def test_the_time_of_all_pauses_is_told() -> None:
    clock = RunClock()
    with clock.paused(), clock.paused():
        await anyio.sleep(0.02)
        meanwhile = clock.paused_s
    with clock.paused():
        await anyio.sleep(0.02)
    total = clock.paused_s
    await anyio.sleep(0.02)

    assert 0.02 <= meanwhile < total
    assert clock.paused_s == total

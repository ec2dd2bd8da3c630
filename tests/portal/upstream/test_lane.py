"""The way to one upstream: so many at once, so many in the queue, nobody during a pause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint

from portal._errors import UpstreamBusy
from portal.upstream._lane import MAX_PAUSE_S, SHORT_PAUSE_S, Lane

if TYPE_CHECKING:
    from anyio.abc import TaskGroup


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Traffic:
    """Calls on a lane, each until it is let go; ``entered`` are those that got a place, in order."""

    def __init__(self, lane: Lane, tasks: TaskGroup) -> None:
        self.entered: list[int] = []
        self.refused: list[int] = []
        self._lane = lane
        self._tasks = tasks
        self._ends: dict[int, anyio.Event] = {}
        self._scopes: dict[int, anyio.CancelScope] = {}

    async def start(self, *numbers: int) -> None:
        for number in numbers:
            self._ends[number], self._scopes[number] = anyio.Event(), anyio.CancelScope()
            self._tasks.start_soon(self._call, number)
        await settle()

    async def end(self, number: int) -> None:
        self._ends[number].set()
        await settle()

    async def cancel(self, number: int) -> None:
        self._scopes[number].cancel()
        await settle()

    async def _call(self, number: int) -> None:
        with self._scopes[number]:
            try:
                async with self._lane:
                    self.entered.append(number)
                    await self._ends[number].wait()
            except UpstreamBusy:
                self.refused.append(number)


async def settle() -> None:
    for _ in range(10):
        await checkpoint()


async def test_calls_beyond_the_width_wait_in_turn_and_beyond_the_queue_are_refused_at_once() -> None:
    async with anyio.create_task_group() as tasks:
        traffic = Traffic(Lane("up", width=2, max_queued=2), tasks)
        await traffic.start(1, 2, 3, 4, 5)
        assert (traffic.entered, traffic.refused) == ([1, 2], [5])
        await traffic.end(2)
        assert traffic.entered == [1, 2, 3]
        await traffic.start(6)
        await traffic.end(1)
        await traffic.end(3)

        assert (traffic.entered, traffic.refused) == ([1, 2, 3, 4, 6], [5])
        tasks.cancel_scope.cancel()


async def test_a_refusal_says_how_many_there_are_and_when_to_try_again() -> None:
    async with anyio.create_task_group() as tasks:
        lane = Lane("up", width=1, max_queued=0)
        await Traffic(lane, tasks).start(1)
        with pytest.raises(UpstreamBusy, match="up is busy: 1 calls are on their way and 0 wait") as refusal:
            async with lane:
                pass
        tasks.cancel_scope.cancel()

        assert refusal.value.retry_after_s == 1.0
        assert not refusal.value.is_outcome_unknown


async def test_one_who_waits_too_long_is_refused_and_leaves_the_queue() -> None:
    async with anyio.create_task_group() as tasks:
        lane = Lane("up", width=1, queue_wait_s=0.01)
        traffic = Traffic(lane, tasks)
        await traffic.start(1)
        with pytest.raises(UpstreamBusy, match="no call came to its turn"):
            async with lane:
                pass
        await traffic.start(2)
        await traffic.end(1)

        assert traffic.entered == [1, 2]
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("has_its_turn", [False, True])
async def test_a_cancelled_call_leaves_its_place_to_the_next(has_its_turn: bool) -> None:
    async with anyio.create_task_group() as tasks:
        traffic = Traffic(Lane("up", width=1), tasks)
        await traffic.start(1, 2, 3)
        if has_its_turn:
            traffic._ends[1].set()
            await checkpoint()  # call 1 is leaving: the place is handed to 2, which has not run yet
        await traffic.cancel(2)
        await traffic.end(1)

        assert traffic.entered[-1] == 3
        tasks.cancel_scope.cancel()


async def test_a_call_that_waits_for_a_person_holds_no_place() -> None:
    async with anyio.create_task_group() as tasks:
        lane = Lane("up", width=1)
        traffic = Traffic(lane, tasks)
        async with lane:
            with lane.stepped_out():
                await traffic.start(1, 2)
                assert traffic.entered == [1]
            await traffic.end(1)
            assert traffic.entered == [1], "the one who was asked has its place again"
        await settle()

        assert traffic.entered == [1, 2]
        tasks.cancel_scope.cancel()


async def test_a_long_pause_refuses_with_the_time_that_is_left() -> None:
    clock = Clock()
    lane = Lane("up", width=1, clock=clock)
    lane.pause(10)
    clock.now += 4
    with pytest.raises(UpstreamBusy, match="try again in 6 s") as refusal:
        await lane.open_again()
    assert refusal.value.retry_after_s == 6
    clock.now += 6

    await lane.open_again()


async def test_a_shorter_pause_does_not_end_a_longer_one_and_none_lasts_for_ever() -> None:
    clock = Clock()
    lane = Lane("up", width=1, clock=clock)
    lane.pause(1e9)
    lane.pause(1)
    clock.now += MAX_PAUSE_S - SHORT_PAUSE_S - 1
    with pytest.raises(UpstreamBusy):
        await lane.open_again()
    clock.now += SHORT_PAUSE_S + 1

    await lane.open_again()


async def test_a_short_pause_is_waited_out() -> None:
    lane = Lane("up", width=1)
    lane.pause(0.05)
    began = anyio.current_time()

    await lane.open_again()

    assert anyio.current_time() - began >= 0.04

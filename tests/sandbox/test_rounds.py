"""Host calls that are answered without a wait: how many begin before the event loop comes round to everything else."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint

from sandbox._rounds import AT_ONCE, ROUND_S, Rounds
from tests.sandbox._programs import value_of

if TYPE_CHECKING:
    from sandbox import HostCall
    from tests.sandbox._programs import Execute


class Ticks:
    """How often the event loop came round to a task that does nothing else."""

    def __init__(self) -> None:
        self.count = 0

    async def run(self) -> None:
        while True:
            await checkpoint()
            self.count += 1


def work(takes_s: float) -> None:
    """Let nobody else have the loop for so long."""
    ends_at = time.monotonic() + takes_s
    while time.monotonic() < ends_at:
        pass


@pytest.mark.parametrize(("calls", "takes_s", "at_once"), [(300, 0.0, AT_ONCE), (30, ROUND_S, 1)])
async def test_calls_that_are_answered_without_a_wait_hold_up_nothing_else(
    execute: Execute, calls: int, takes_s: float, at_once: int
) -> None:
    ticks, seen = Ticks(), Counter[int]()

    async def on_call(_: HostCall) -> bytes:
        seen[ticks.count] += 1
        work(takes_s)
        return b"1"

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ticks.run)
        source = f"(await Promise.all(Array.from({{length: {calls}}}, () => host.any()))).length"
        outcome = await execute(source, on_call=on_call)
        tasks.cancel_scope.cancel()

    assert value_of(outcome) == seen.total() == calls
    # From one tick to the next there may be the end of a round and all of the next one.
    assert max(seen.values()) <= 2 * at_once


async def test_calls_begin_in_the_order_in_which_they_come_and_those_that_are_cancelled_take_no_room() -> None:
    rounds, came = Rounds(), list[int]()
    gone = range(AT_ONCE, 4 * AT_ONCE)
    scopes = [anyio.CancelScope() for _ in range(6 * AT_ONCE)]

    async def call(number: int) -> None:
        with scopes[number]:
            await rounds.take_place()
            came.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(len(scopes)):
            tasks.start_soon(call, number)
        await checkpoint()
        for number in gone:
            scopes[number].cancel()

    assert came == [number for number in range(len(scopes)) if number not in gone]


@pytest.mark.parametrize(("users", "calls", "takes_s"), [(2 * AT_ONCE, 50, 0.0), (4, 10, ROUND_S)])
async def test_who_has_waited_goes_before_who_has_just_come(users: int, calls: int, takes_s: float) -> None:
    rounds, came = Rounds(), list[int]()

    async def call(user: int, count: int) -> None:
        for _ in range(count):
            await rounds.take_place()
            came.append(user)
            work(takes_s)

    async with anyio.create_task_group() as tasks:
        for user in range(users):
            tasks.start_soon(call, user, calls)
        await checkpoint()
        tasks.start_soon(call, users, 1)

    assert set(came[: 2 * users]) == set(range(users + 1))

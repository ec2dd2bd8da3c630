"""Who may begin a run, who waits, who comes back later; and that nobody's programs hold up those of others.

Citations: probes 29, 30 and 47 of the threat model, and fault 42.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
import pytest

from sandbox import (
    Bounds,
    CpuLimitExceeded,
    LimitExceeded,
    MemoryLimitExceeded,
    Outcome,
    Overloaded,
    Sandbox,
    SandboxConfig,
)
from tests.sandbox._programs import Held, executor, until, value_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sandbox import JsonValue
    from tests.sandbox._programs import Execute

MIB = 2**20
FILL = "const kept = new Uint8Array({mib} * 2 ** 20).fill(1); await host.wait(); kept.length"

HOSTILE = {
    "a loop": "for (;;) {}",
    "a loop after a call": "await host.echo(1); for (;;) {}",
    "memory": "const a = []; for (;;) a.push(new Uint8Array(2 ** 20).fill(1))",
    "console": "for (;;) console.log('x'.repeat(1000))",
    "calls": "for (;;) await Promise.all(Array.from({length: 16}, (_, n) => host.echo(n)))",
}


def bounded(cache_dir: Path, *, workers: int = 2, max_workers: int | None = None, **bounds: float) -> Sandbox:
    """Return a sandbox with these bounds."""
    return Sandbox(
        SandboxConfig(
            workers=workers,
            max_workers=max_workers,
            cache_dir=cache_dir,
            bounds=Bounds(**bounds),  # type: ignore[arg-type] # by name, as a test gives them
        )
    )


class Going:
    """Runs of one user that have called their host and wait for it."""

    def __init__(self, execute: Execute, owner: str) -> None:
        self.outcomes: list[Outcome] = []
        self.refusals: list[Overloaded] = []
        self.held = Held()
        self._execute = execute
        self._owner = owner

    async def run(self, source: str = "await host.wait()", cpu_s: float = 5) -> None:
        try:
            self.outcomes.append(await self._execute(source, on_call=self.held, owner=self._owner, cpu_s=cpu_s))
        except Overloaded as error:
            self.refusals.append(error)


async def test_a_user_has_so_many_runs_at_once_and_the_next_begin_when_they_end(cache_dir: Path) -> None:
    async with bounded(cache_dir, user_runs=2) as sandbox, anyio.create_task_group() as tasks:
        execute = executor(sandbox)
        ann = Going(execute, "ann")
        for _ in range(3):
            tasks.start_soon(ann.run)
        await until(lambda: ann.held.calls == 2)
        waiting = sandbox.status().waiting_runs
        of_another = await execute("1 + 1", owner="ben")
        of_nobody = await execute("1 + 2")
        ann.held.let_go.set()

    assert waiting == 1
    assert [value_of(of_another), value_of(of_nobody)] == [2, 3]
    assert [value_of(outcome) for outcome in ann.outcomes] == ["unharmed"] * 3


async def test_a_run_past_a_users_queue_is_refused_at_once_with_when_to_come_back(cache_dir: Path) -> None:
    async with bounded(cache_dir, user_runs=1, user_waiting=1) as sandbox, anyio.create_task_group() as tasks:
        ann = Going(executor(sandbox), "ann")
        tasks.start_soon(ann.run)
        await until(lambda: ann.held.calls == 1)
        tasks.start_soon(ann.run)
        await until(lambda: sandbox.status().waiting_runs == 1)
        began = time.monotonic()
        await ann.run()
        took_s = time.monotonic() - began
        refused = sandbox.status().refused_runs
        ann.held.let_go.set()

    assert [error.bound for error in ann.refusals] == ["user_waiting"]
    assert ann.refusals[0].retry_after_s >= 1
    assert f"in {ann.refusals[0].retry_after_s} s" in str(ann.refusals[0])
    assert took_s < 1
    assert refused == 1
    assert len(ann.outcomes) == 2


async def test_a_run_that_has_waited_long_enough_is_refused(cache_dir: Path) -> None:
    async with bounded(cache_dir, user_runs=1, wait_s=0.1) as sandbox, anyio.create_task_group() as tasks:
        ann = Going(executor(sandbox), "ann")
        tasks.start_soon(ann.run)
        await until(lambda: ann.held.calls == 1)
        await ann.run()
        ann.held.let_go.set()

    assert [error.bound for error in ann.refusals] == ["user_runs"]
    assert sandbox.status().waiting_runs == 0


async def test_the_runs_of_all_users_together_are_bounded(cache_dir: Path) -> None:
    async with bounded(cache_dir, runs=2, wait_s=0.1) as sandbox, anyio.create_task_group() as tasks:
        execute = executor(sandbox)
        users = [Going(execute, f"user {number}") for number in range(3)]
        for user in users[:2]:
            tasks.start_soon(user.run)
        await until(lambda: all(user.held.calls for user in users[:2]))
        await users[2].run()
        for user in users:
            user.held.let_go.set()

    assert [len(user.refusals) for user in users] == [0, 0, 1]


async def test_a_user_who_has_used_up_the_processor_time_comes_back_later_and_others_do_not_notice(
    cache_dir: Path,
) -> None:
    async with bounded(cache_dir, user_cpu_s=0.2, cpu_window_s=60) as sandbox:
        execute = executor(sandbox)
        used = await execute("for (;;) {}", cpu_s=0.3, owner="ann")
        with pytest.raises(Overloaded) as refused:
            await execute("1", owner="ann")
        of_another = await execute("2", owner="ben")

    assert isinstance(used.error, CpuLimitExceeded)
    assert refused.value.bound == "user_cpu_s"
    assert refused.value.retry_after_s >= 20  # 0.1 s too much, of which 0.2 come back in a minute
    assert value_of(of_another) == 2


async def test_what_a_user_has_used_is_made_up_for_as_time_passes(cache_dir: Path) -> None:
    async with bounded(cache_dir, user_cpu_s=0.2, cpu_window_s=0.2) as sandbox:
        execute = executor(sandbox)
        await execute("for (;;) {}", cpu_s=0.3, owner="ann")
        with anyio.fail_after(20):
            while True:
                try:
                    again = await execute("1", owner="ann")
                    break
                except Overloaded as error:
                    await anyio.sleep(error.retry_after_s / 10)

    assert value_of(again) == 1


async def test_a_hundred_full_isolates_at_once_stay_within_the_memory_of_all(cache_dir: Path) -> None:
    """Probe 47: they wait for each other, or are refused; the portal is not killed for them."""
    async with bounded(cache_dir, memory_bytes=256 * MIB, wait_s=0.2) as sandbox, anyio.create_task_group() as tasks:
        execute = executor(sandbox)
        ann = Going(execute, "")
        for _ in range(100):
            tasks.start_soon(ann.run, FILL.format(mib=30))
        await until(lambda: len(ann.refusals) + len(ann.outcomes) + ann.held.calls >= 100)
        going = ann.held.calls - len(ann.outcomes)
        of_another = await until_admitted(execute, ann)

    assert 2 <= going <= 8
    assert len(ann.refusals) + len(ann.outcomes) == 100
    assert all(outcome.error is None for outcome in ann.outcomes)
    assert value_of(of_another) == 2


async def until_admitted(execute: Execute, going: Going) -> Outcome:
    """Let the runs go that hold memory, and run one program after them."""
    going.held.let_go.set()
    with anyio.fail_after(20):
        while True:
            try:
                return await execute("1 + 1", owner="ben")
            except Overloaded:
                continue


async def test_a_run_that_takes_its_user_past_the_memory_is_stopped_with_a_typed_error(cache_dir: Path) -> None:
    """Each grew after it had begun, when nothing could be refused any more."""
    grow = "await host.wait(); const kept = new Uint8Array(40 * 2 ** 20).fill(1); await host.echo(1); kept.length"
    async with bounded(cache_dir, user_memory_bytes=150 * MIB) as sandbox, anyio.create_task_group() as tasks:
        execute = executor(sandbox)
        ann, ben = Going(execute, "ann"), Going(execute, "ben")
        for _ in range(4):
            tasks.start_soon(ann.run, grow)
        tasks.start_soon(ben.run, grow)
        await until(lambda: ann.held.calls + ben.held.calls == 5)
        ann.held.let_go.set()
        ben.held.let_go.set()

    stopped = [outcome.error for outcome in ann.outcomes if outcome.error is not None]
    assert 1 <= len(stopped) <= 2
    assert all(isinstance(error, MemoryLimitExceeded) and error.limit == "user_memory_bytes" for error in stopped)
    assert value_of(ben.outcomes[0]) == 40 * MIB


async def test_a_run_that_is_given_up_while_it_waits_leaves_its_place(cache_dir: Path) -> None:
    async with bounded(cache_dir, user_runs=1) as sandbox, anyio.create_task_group() as tasks:
        ann = Going(executor(sandbox), "ann")
        tasks.start_soon(ann.run)
        await until(lambda: ann.held.calls == 1)
        with anyio.move_on_after(0.1):
            await ann.run()
        waiting = sandbox.status().waiting_runs
        ann.held.let_go.set()

    assert waiting == 0
    assert len(ann.outcomes) == 1


async def test_a_waiting_run_is_not_held_up_by_the_long_turn_of_another_user_in_its_worker(cache_dir: Path) -> None:
    async with bounded(cache_dir, workers=1, max_workers=1) as sandbox, anyio.create_task_group() as tasks:
        execute = executor(sandbox)
        ann, ben = Going(execute, "ann"), Going(execute, "ben")
        tasks.start_soon(ann.run)
        await until(lambda: ann.held.calls == 1)
        tasks.start_soon(ben.run, "await host.echo(1); for (;;) {}", 20)
        await until(lambda: any(worker.is_in_long_turn for worker in sandbox.status().workers))
        began = time.monotonic()
        ann.held.let_go.set()
        await until(lambda: bool(ann.outcomes))
        took_s = time.monotonic() - began

    stopped = ben.outcomes[0].error
    assert value_of(ann.outcomes[0]) == "unharmed"
    assert took_s < 10
    assert isinstance(stopped, CpuLimitExceeded)
    assert stopped.limit == "shared_turn_s"


async def test_runs_of_different_users_are_kept_in_different_workers_while_there_are_enough(cache_dir: Path) -> None:
    async with bounded(cache_dir, workers=2) as sandbox, anyio.create_task_group() as tasks:
        execute = executor(sandbox)
        await until(lambda: len(sandbox.status().workers) == 2)
        ann, ben = Going(execute, "ann"), Going(execute, "ben")
        for calls, user in enumerate((ann, ben, ann, ben), 1):
            tasks.start_soon(user.run)
            await until(lambda: ann.held.calls + ben.held.calls == calls)  # noqa: B023 - awaited before the next
        runs = [worker.runs for worker in sandbox.status().workers]
        tasks.start_soon(ben.run, "await host.echo(1); for (;;) {}", 1)
        await until(lambda: any(worker.is_in_long_turn for worker in sandbox.status().workers))
        ann.held.let_go.set()
        await until(lambda: len(ann.outcomes) == 2)
        is_still_in_long_turn = any(worker.is_in_long_turn for worker in sandbox.status().workers)
        ben.held.let_go.set()

    assert sorted(runs) == [2, 2]
    assert is_still_in_long_turn


@pytest.fixture(scope="module")
async def under_attack(cache_dir: Path) -> AsyncIterator[tuple[Sandbox, list[str]]]:
    """A sandbox in which one user keeps fifty hostile programs going, and what came of those that ended."""
    ends: list[str] = []

    async def attack(number: int) -> None:
        source = list(HOSTILE.values())[number % len(HOSTILE)]
        while True:
            try:
                outcome = await executor(sandbox)(source, owner="mallory", cpu_s=2)
                ends.append(type(outcome.error).__name__)
            except Overloaded as error:
                ends.append(type(error).__name__)
                await anyio.sleep(0.1)  # ten times sooner than it was told

    async with Sandbox(SandboxConfig(cache_dir=cache_dir)) as sandbox, anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(attack, number)
        await until(lambda: len(ends) >= 5)
        yield sandbox, ends
        tasks.cancel_scope.cancel()


async def test_the_programs_of_a_user_succeed_while_another_keeps_fifty_hostile_ones_going(
    under_attack: tuple[Sandbox, list[str]],
) -> None:
    sandbox, ends = under_attack
    execute, values, took_s = executor(sandbox), list["JsonValue"](), list[float]()
    for number in range(20):
        began = time.monotonic()
        values.append(value_of(await execute(f"(await host.echo({number})) * 2", owner="ann")))
        took_s.append(time.monotonic() - began)

    assert values == [2 * number for number in range(20)]
    assert sorted(took_s)[10] < 2
    assert set(ends) <= {error.__name__ for error in LimitExceeded.__subclasses__()} | {"Overloaded", "ProgramError"}

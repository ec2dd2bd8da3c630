"""Turns that timers begin answer nothing, and most go unsaid; what the portal has to know of them it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from sandbox import Sandbox, SandboxConfig
from tests.sandbox._programs import executor, until, value_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LONG_TURN = "for (let i = 0; i < 2e7; i++);"
SLEEP = "await new Promise((go) => setTimeout(go, 60_000));"


@pytest.fixture
async def only_worker(cache_dir: Path) -> AsyncIterator[Sandbox]:
    """A sandbox that will never have a second worker."""
    async with Sandbox(SandboxConfig(workers=1, max_workers=1, cache_dir=cache_dir)) as sandbox:
        yield sandbox


async def test_a_worker_is_free_again_after_a_long_turn_that_hands_over_nothing(only_worker: Sandbox) -> None:
    execute = executor(only_worker)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(execute, f"setTimeout(() => {{ {LONG_TURN} }}, 5); {SLEEP}")
        await until(lambda: only_worker.status().workers[0].is_in_long_turn)
        await until(lambda: not only_worker.status().workers[0].is_in_long_turn)
        tasks.cancel_scope.cancel()

    assert value_of(await execute("'served'")) == "served"


async def test_what_a_timers_turn_makes_a_run_hold_counts_at_once(cache_dir: Path) -> None:
    config = SandboxConfig(workers=1, cache_dir=cache_dir)
    async with Sandbox(config) as sandbox:
        grow = "setTimeout(() => { globalThis.kept = new Uint8Array(2 ** 24).fill(1) }, 5);"

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(executor(sandbox), f"{grow} {SLEEP}")
            await until(lambda: sandbox._admission._kept_bytes > 2**24)
            tasks.cancel_scope.cancel()

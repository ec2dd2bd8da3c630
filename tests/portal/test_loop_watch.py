"""Stalls of the event loop are counted, those that its own code makes and no others."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from portal._config import Config
from portal._loop_watch import STALL_S, TICK_S, LoopWatch
from portal._portal import Portal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def watch() -> AsyncIterator[LoopWatch]:
    """A watch of the loop that the test runs in."""
    watch = LoopWatch()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        await anyio.sleep(TICK_S)
        yield watch
        tasks.cancel_scope.cancel()


def compute(for_s: float) -> None:
    """Use the processor without a pause."""
    began = time.thread_time()
    while time.thread_time() - began < for_s:
        pass


async def until_counted(watch: LoopWatch) -> None:
    with anyio.fail_after(20):
        while not watch.status().stalls:  # noqa: ASYNC110 - it tells nobody
            await anyio.sleep(0.01)


async def test_code_that_computes_for_long_is_a_stall(watch: LoopWatch) -> None:
    compute(4 * STALL_S)
    await until_counted(watch)

    assert watch.status().stalls == 1
    assert watch.status().longest_s >= 2 * STALL_S


async def test_code_that_waits_in_the_kernel_for_long_is_a_stall(
    watch: LoopWatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="portico.loop"):
        time.sleep(4 * STALL_S)  # noqa: ASYNC251 - what it is about
        await until_counted(watch)

    assert watch.status().longest_s >= 2 * STALL_S
    assert "the event loop stood still for" in caplog.text


async def test_a_machine_on_which_others_compute_is_no_stall(watch: LoopWatch) -> None:
    """Each of the others is as important to the kernel as this process, and there are more of them than processors."""
    others = [
        subprocess.Popen([sys.executable, "-c", "import time\nend = time.time() + 2\nwhile time.time() < end: pass"])
        for _ in range(8)
    ]
    try:
        await anyio.sleep(1)
    finally:
        for other in others:
            other.kill()
            other.wait()

    assert watch.status().stalls == 0


async def test_short_work_is_no_stall(watch: LoopWatch) -> None:
    for _ in range(20):
        compute(STALL_S / 10)
        await anyio.lowlevel.checkpoint()

    assert watch.status().stalls == 0


async def test_a_portal_tells_how_often_its_loop_stood_still() -> None:
    async with Portal(Config.demo({})) as portal:
        with anyio.fail_after(20):
            await anyio.sleep(2 * TICK_S)
            before = portal.loop_status().stalls
            compute(4 * STALL_S)
            while portal.loop_status().stalls == before:  # noqa: ASYNC110 - it tells nobody
                await anyio.sleep(0.01)

        assert portal.loop_status().longest_s >= 2 * STALL_S

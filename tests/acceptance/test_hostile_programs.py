"""Hostile programs end in one answer that names the limit, and the next request works as if they had not been there."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import anyio
import pytest

from tests.acceptance._clients import SdkClient
from tests.acceptance._running import RunningPortal, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine import JsonObject

LIMIT_S = 30.0  # for all of a test: it is about ending at all, on a machine that may be busy


@pytest.fixture(scope="module")
def strict(everything_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """A portal whose programs may compute for half a second; all of its processes are workers."""
    configuration: JsonObject = {"servers": [{"id": "everything", "url": everything_url}], "limits": {"run_cpu_s": 0.5}}
    with serving(configuration, tmp_path_factory.mktemp("strict")) as portal:
        yield portal


@pytest.mark.parametrize(
    ("program", "limit"),
    [
        ("while (true) {}", "cpu_s"),
        ("for (;;) try { for (;;); } catch {}", "cpu_s"),
        ("const kept = []; for (;;) kept.push(new Uint8Array(1e6).fill(1));", "memory_bytes"),
        ("const deeper = () => deeper() + 1; return deeper();", "stack_bytes"),
        ("return JSON.parse('['.repeat(1e6));", "stack_bytes"),
        ("const line = 'x'.repeat(1e4); for (let n = 0; n < 1e3; n++) console.log(line);", "log_bytes"),
        ("return 'x'.repeat(2e7);", "result_bytes"),
        ("await new Promise(() => {});", "a promise that nothing can settle"),
    ],
    ids=["loop", "loop that catches", "memory", "recursion", "nested JSON", "console", "result", "promise"],
)
async def test_a_hostile_program_is_one_error_that_names_its_limit(
    strict: RunningPortal, program: str, limit: str
) -> None:
    with anyio.fail_after(LIMIT_S):
        async with SdkClient(mode="auto").connect(strict.code_mode_url) as session:
            answer = await session.call("code", {"code": program})
            after = await session.call("code", {"code": "return 6 * 7"})

    assert answer.startswith("Stopped")
    assert limit in answer.splitlines()[0]
    assert len(answer) < 24_500
    assert after == "42"


async def test_a_run_that_waits_on_a_call_is_unharmed_by_a_hostile_one(strict: RunningPortal) -> None:
    waiting = "return await codemode.everything_trigger_long_running_operation({ duration: 2, steps: 2 })"
    answers: dict[str, str] = {}

    async def run(program: str) -> None:
        async with SdkClient(mode="auto").connect(strict.code_mode_url) as session:
            answers[program] = await session.call("code", {"code": program})

    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            for program in (waiting, "while (true) {}", "const all = []; for (;;) all.push(new Uint8Array(1e6));"):
                tasks.start_soon(run, program)

    assert "Long running operation completed" in answers.pop(waiting)
    assert all(answer.startswith("Stopped") for answer in answers.values())


async def test_the_next_request_works_after_every_worker_was_killed(strict: RunningPortal) -> None:
    workers = list(strict.descendants())
    for pid in workers:
        os.kill(pid, signal.SIGKILL)

    with anyio.fail_after(LIMIT_S):
        async with SdkClient(mode="auto").connect(strict.code_mode_url) as session:
            answer = await session.call("code", {"code": "return await codemode.everything_get_sum({ a: 40, b: 2 })"})

    assert workers
    assert "42" in answer

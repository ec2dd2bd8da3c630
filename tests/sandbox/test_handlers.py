"""The handler of a run's host calls: whom it waits beside, whose context it runs in, how it is stopped."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

import anyio
import pytest

from sandbox import MemoryLimitExceeded
from tests.sandbox._programs import value_of

if TYPE_CHECKING:
    from sandbox import HostCall
    from tests.sandbox._programs import Execute

CALLER = ContextVar("CALLER", default="nobody")


async def test_a_call_that_a_timer_makes_is_answered_beside_one_that_is_not_yet(execute: Execute) -> None:
    second_came = anyio.Event()

    async def on_call(call: HostCall) -> bytes:
        if call.method == "first":
            await second_came.wait()
        second_came.set()
        return b'"' + call.method.encode() + b'"'

    source = (
        "const first = host.first(); await new Promise((go) => setTimeout(go, 1)); [await host.second(), await first]"
    )

    assert value_of(await execute(source, on_call=on_call)) == ["second", "first"]


async def test_calls_of_one_turn_that_comes_in_several_frames_are_answered_beside_each_other(execute: Execute) -> None:
    all_came = anyio.Event()
    came: list[str] = []

    async def on_call(call: HostCall) -> bytes:
        came.append(call.method)
        if len(came) == 3:
            all_came.set()
        await all_came.wait()
        return b"1"

    source = "const text = 'x'.repeat(900_000); await Promise.all(['a', 'b', 'c'].map((name) => host[name](text)))"

    assert value_of(await execute(source, on_call=on_call)) == [1, 1, 1]


async def test_a_program_whose_calls_wait_with_more_than_its_memory_is_stopped(execute: Execute) -> None:
    async def on_call(_: HostCall) -> bytes:
        await anyio.sleep_forever()
        return b"null"

    source = """
        const text = 'x'.repeat(4_000_000);
        for (let i = 0; i < 50; i++) { host.wait(text); await new Promise((go) => setTimeout(go, 1)); }
    """
    outcome = await execute(source, on_call=on_call)

    assert isinstance(outcome.error, MemoryLimitExceeded)
    assert "without an answer" in outcome.error.message
    assert outcome.usage.calls < 20


async def test_a_call_tells_in_which_turn_of_the_program_it_was_made(execute: Execute) -> None:
    made: list[tuple[str, int]] = []

    async def on_call(call: HostCall) -> bytes:
        made.append((call.method, call.turn))
        return b"1"

    source = "await host.a(); await Promise.all(Array.from({length: 20}, () => host.b())); await host.c()"
    await execute(source, on_call=on_call)

    assert made[0] == ("a", 1)
    assert set(made[1:-1]) == {("b", 2)}
    assert made[-1][0] == "c"
    assert made[-1][1] > 2


@pytest.mark.parametrize(
    "source",
    [
        "[await host.first()]",
        "await Promise.all([host.first(), host.second(), host.third()])",
        "const first = host.wait(); await new Promise((go) => setTimeout(go, 1)); [await host.second(), await first]",
    ],
    ids=["one", "three at once", "one that a timer makes"],
)
async def test_every_handler_runs_in_the_context_of_the_caller(execute: Execute, source: str) -> None:
    seen: list[str] = []
    was_called = anyio.Event()

    async def on_call(call: HostCall) -> bytes:
        seen.append(CALLER.get())
        if call.method == "wait":
            await was_called.wait()
        elif call.method == "second":
            was_called.set()
        return b"null"

    CALLER.set("this test")  # of this test alone: each has a context of its own
    await execute(source, on_call=on_call)

    assert set(seen) == {"this test"}


async def test_a_handler_is_cancelled_when_its_run_ends_without_it(execute: Execute) -> None:
    was_cancelled = anyio.Event()

    async def on_call(_: HostCall) -> bytes:
        try:
            await anyio.sleep_forever()
        finally:
            was_cancelled.set()
        return b"null"

    outcome = await execute("host.never(); while (true) {}", on_call=on_call, cpu_s=0.05)

    assert type(outcome.error).__name__ == "CpuLimitExceeded"
    assert not was_cancelled.is_set(), "the call was never handed over: its turn did not end"

    source = "host.never(); await new Promise((go) => setTimeout(go, 1)); while (true) {}"
    outcome = await execute(source, on_call=on_call, cpu_s=0.05)

    assert type(outcome.error).__name__ == "CpuLimitExceeded"
    assert was_cancelled.is_set()


async def test_the_error_of_a_handler_is_raised_as_it_is(execute: Execute) -> None:
    async def on_call(_: HostCall) -> bytes:
        raise LookupError("ours")

    with pytest.raises(LookupError, match="ours"):
        await execute("await host.any()", on_call=on_call)
    with pytest.raises(LookupError, match="ours"):
        await execute("await Promise.all([host.any(), new Promise(() => {})])", on_call=on_call)

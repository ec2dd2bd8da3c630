"""Probes 18 to 30: programs that use up the processor, in ways that a loop's own check would not see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from sandbox import Bounds, Sandbox, SandboxConfig
from tests.sandbox.probes._rule import assert_canary, probe, rule_over
from tests.sandbox.probes._upstream import Upstream

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sandbox.probes._rule import Attack, Ended, Rule

LANGUAGE_ERRORS = {"RangeError", "TypeError", "InternalError"}


def is_bounded(ended: Ended) -> bool:
    """Whether a program that asks for too much was stopped, or was refused by an error of the language."""
    return ended.stopped_by in {"cpu_s", "memory_bytes"} or ended.record.status in LANGUAGE_ERRORS


@probe(18)
async def test_a_loop_is_stopped(attack: Attack) -> None:
    ended = await attack("while (true) {}")

    assert ended.stopped_by == "cpu_s"


@probe(19)
async def test_a_program_cannot_catch_its_own_end(attack: Attack) -> None:
    ended = await attack("while (true) { try { while (true) {} } catch {} finally { continue } }")

    assert ended.stopped_by == "cpu_s"


@probe(20)
async def test_a_native_loop_that_never_looks_at_the_flag_is_stopped_by_the_epoch(attack: Attack) -> None:
    ended = await attack("new Array(1e9) + ''")

    assert ended.stopped_by == "cpu_s"


@probe(21)
@pytest.mark.parametrize(
    "source",
    [
        "/^(a+)+$/.test('a'.repeat(40) + 'b')",
        "/^((a*)*)*$/.test('a'.repeat(40) + 'b')",
        "/^(.*)(.*)(.*)\\1\\2\\3x$/.test('ab'.repeat(400))",
        "/(x+x+)+y/.test('x'.repeat(60))",
    ],
    ids=["nested", "starred", "references", "overlapping"],
)
async def test_a_regular_expression_that_backtracks_is_stopped(attack: Attack, source: str) -> None:
    ended = await attack(source)

    assert ended.stopped_by == "cpu_s"


@probe(22)
@pytest.mark.parametrize(
    "source",
    [
        "Array.from({length: 3e5}, (_, i) => -i).sort(() => 1)",
        "Array.from({length: 1e5}, (_, i) => i).sort(() => { for (let i = 0; i < 1e4; i++); return -1 })",
        "for (;;) new Float64Array(4e6).map(Math.random).sort()",
    ],
    ids=["a wrong comparator", "a slow comparator", "a typed array"],
)
async def test_a_sort_is_stopped(attack: Attack, source: str) -> None:
    ended = await attack(source)

    assert ended.stopped_by == "cpu_s"


@probe(23)
@pytest.mark.parametrize(
    "source",
    [
        "Array.from({length: 2 ** 32 - 1})",
        "new Array(2 ** 32 - 1).fill(1)",
        "const a = []; a.length = 2 ** 32 - 1; a.indexOf(1)",
        "const a = []; a.length = 2 ** 31; a.join()",
        "const a = []; a[2 ** 32 - 2] = 1; a.sort(); a.reverse(); a.splice(0, 1)",
        "[...{length: 2 ** 31, [Symbol.iterator]: Array.prototype[Symbol.iterator]}]",
    ],
    ids=["from", "fill", "indexOf", "join", "sort", "spread"],
)
async def test_work_over_an_array_that_claims_to_be_long_is_bounded(attack: Attack, source: str) -> None:
    ended = await attack(f"{source}; 'ended'")

    assert is_bounded(ended), ended.text


@probe(24)
@pytest.mark.parametrize(
    "source",
    [
        "2n ** (2n ** 28n)",
        "let n = 7n; for (;;) n = n * n",
        "let n = 7n; for (;;) n = n * n % (2n ** 4096n)",
        "for (;;) (7n ** 300000n).toString()",
        "1n << (2n ** 40n)",
    ],
    ids=["power", "squares", "bounded squares", "text", "shift"],
)
async def test_work_on_large_integers_is_bounded(attack: Attack, source: str) -> None:
    ended = await attack(f"{source}; 'ended'")

    assert is_bounded(ended), ended.text


@probe(25)
@pytest.mark.parametrize(
    "source",
    [
        "'\\uFDFA'.repeat(1e6).normalize('NFKD')",
        "let s = 'a'; for (;;) s = s.replaceAll('a', 'aaaaaaaa')",
        "const s = 'ä'.repeat(1e6); for (;;) s.localeCompare(s + 'b')",
        "for (;;) 'ß'.repeat(1e6).toUpperCase()",
    ],
    ids=["normalize", "replaceAll", "localeCompare", "toUpperCase"],
)
async def test_text_that_grows_as_it_is_worked_on_is_bounded(attack: Attack, source: str) -> None:
    ended = await attack(f"{source}; 'ended'")

    assert is_bounded(ended) or ended.text == "ended"


@probe(25)
async def test_what_a_program_catches_for_want_of_memory_is_an_error(attack: Attack) -> None:
    """quickjs-ng 0.17 fails here without an error, and a program caught a value that is none of the language's."""
    ended = await attack("try { '\\uFDFA'.repeat(1e6).normalize('NFKD') } catch (e) { [typeof e, e.message] }", cpu_s=2)

    assert ended.value == ["object", "out of memory"]


@probe(26)
@pytest.mark.parametrize(
    "source",
    [
        "(function again() { Promise.resolve().then(again) })(); await new Promise(() => {})",
        "const again = () => queueMicrotask(again); again(); await new Promise(() => {})",
        "const again = async () => { for (;;) await null }; await again()",
    ],
)
async def test_jobs_without_an_end_are_stopped(attack: Attack, source: str) -> None:
    ended = await attack(source)

    assert ended.stopped_by == "cpu_s"


@probe(27)
@pytest.mark.parametrize(
    "source",
    [
        "[...(function* () { for (;;) yield })()]",
        "for await (const each of (async function* () { for (;;) yield 1 })());",
        "for (const each of {[Symbol.iterator]: () => ({next: () => ({done: false})})});",
        "new Set({[Symbol.iterator]: () => ({next: () => ({done: false, value: 1})})})",
        "Object.fromEntries((function* () { for (;;) yield ['a', 1] })())",
        "await Promise.all((function* () { for (;;) yield 1 })())",
    ],
)
async def test_iteration_without_an_end_is_stopped(attack: Attack, source: str) -> None:
    ended = await attack(source)

    assert ended.stopped_by in {"cpu_s", "memory_bytes"}


@probe(28)
@pytest.mark.parametrize(
    "source",
    [
        "try { throw 1 } finally { for (;;); }",
        "try { for (;;); } finally { for (;;); }",
        "new FinalizationRegistry(() => { for (;;); }).register({}); for (let i = 0; ; i++) ({i})",
        "return {toJSON() { for (;;); }}",
        "return {get a() { for (;;); }}",
        "Promise.resolve().then(() => Promise.resolve()).then(() => { for (;;); }); return 1",
        "setTimeout(() => { for (;;); }, 0); await codemode.tracker_wait({}); return 1",
        "codemode.tracker_greet({name: 'x'}).then(() => { for (;;); }); return 1",
    ],
)
async def test_work_in_finally_in_formatting_and_after_the_end_is_not_free_of_charge(
    attack: Attack, source: str
) -> None:
    ended = await attack(source)

    assert ended.stopped_by == "cpu_s"


@probe(28)
@pytest.mark.parametrize(
    "thrown",
    [
        "{get message() { for (;;); }}",
        "{toString() { for (;;); }}",
        "new Proxy({}, {get() { for (;;); }})",
        "Object.defineProperty(new Error('x'), 'stack', {get() { for (;;); }})",
    ],
)
async def test_an_error_is_written_without_the_programs_help_or_at_its_cost(attack: Attack, thrown: str) -> None:
    ended = await attack(f"throw {thrown}")

    assert ended.stopped_by == "cpu_s" or ended.record.status.endswith("Error")


@probe(29)
async def test_a_user_with_many_hostile_programs_keeps_nobody_else_waiting_for_good(
    cache_dir: Path, base_bytes: int
) -> None:
    """20 loops of one user; the probe's 1,000 would show the same of the queue, and take minutes."""
    config = SandboxConfig(workers=2, max_workers=2, cache_dir=cache_dir)
    endings: list[str | None] = []
    others: list[str] = []
    async with Sandbox(config) as sandbox, rule_over(sandbox, base_bytes, isolates=20)(cpu_s=0.15) as hostile:

        async def loop() -> None:
            endings.append((await hostile.run("for (;;);")).stopped_by)

        async def work() -> None:
            await assert_canary(sandbox)
            others.append("done")

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(loop)
                if number % 4 == 0:
                    tasks.start_soon(work)

    assert endings == ["cpu_s"] * 20
    assert others == ["done"] * 5


@probe(29)
async def test_past_a_users_bounds_his_programs_are_refused_and_nobody_elses(cache_dir: Path, base_bytes: int) -> None:
    """Two run, four wait, the rest is told at once when to try again; another user's are run meanwhile."""
    bounds = Bounds(user_runs=2, user_waiting=4)
    config = SandboxConfig(workers=2, max_workers=2, cache_dir=cache_dir, bounds=bounds)
    endings: list[Ended] = []
    async with Sandbox(config) as sandbox, rule_over(sandbox, base_bytes, isolates=20)(cpu_s=0.15) as hostile:

        async def loop() -> None:
            endings.append(await hostile.run("for (;;);"))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(loop)
            await assert_canary(sandbox)
    refused = [ended for ended in endings if ended.record.status == "Overloaded"]

    assert {ended.stopped_by for ended in endings if ended not in refused} == {"cpu_s"}
    assert len(refused) >= 10
    assert all("again" in ended.text for ended in refused)
    assert refused[0].record.cpu_s == 0


@probe(30)
async def test_a_call_that_hangs_is_cut_by_the_clock_and_cancelled(rule: Rule) -> None:
    """The epoch ticks on while the host waits; only time on the clock ends such a run."""
    upstream = Upstream()

    async with rule(upstream=upstream, wall_s=0.5) as probe:
        ended = await probe.run("await codemode.tracker_wait({})")

    assert ended.stopped_by == "wall_s"
    assert upstream.cancelled == 1
    assert ended.record.cpu_s < 0.2

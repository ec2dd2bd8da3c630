"""What bounds a program inside its isolate: each limit at, below and above, and what no program may survive."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sandbox._isolate import IsolateTrap
from sandbox._limits import MEMORY_BESIDE_HEAP_BYTES
from tests.sandbox._isolates import CLOCK_US, SEED, echo, make_setup

if TYPE_CHECKING:
    from tests.sandbox._isolates import Host


@pytest.mark.parametrize("size", [1, 99, 100])
def test_a_source_up_to_its_limit_runs(host: Host, size: int) -> None:
    assert host.run("1" + " " * (size - 1), source_bytes=100).value == 1


def test_a_source_past_its_limit_is_not_parsed(host: Host) -> None:
    run = host.run("(" * 101, source_bytes=100)

    assert (run.error["limit"], run.error["max"], run.error["used"]) == ("source_bytes", 100, 101)


@pytest.mark.parametrize("length", [94, 95, 96])
def test_arguments_up_to_their_limit_leave(host: Host, length: int) -> None:
    assert len(host.run(f"await host.x('a'.repeat({length}))", call_bytes=100).calls) == 1


def test_arguments_past_their_limit_reject_the_call_and_nothing_leaves(host: Host) -> None:
    run = host.run(
        "try { await host.x('a'.repeat(97)) } catch (e) { [e.name, e.limit, e.max, e.used] }", call_bytes=100
    )

    assert run.value == ["LimitError", "call_bytes", 100, 101]
    assert run.calls == []


def test_a_text_far_past_the_limit_is_not_even_written(host: Host) -> None:
    run = host.run("await host.x('a'.repeat(8e6))", call_bytes=100)

    assert (run.error["limit"], run.error["used"]) == ("call_bytes", 8_000_001)


@pytest.mark.parametrize(("depth", "is_sent"), [(2, True), (3, True), (4, False)])
def test_arguments_nest_up_to_their_depth(host: Host, depth: int, is_sent: bool) -> None:
    run = host.run(f"let v = 1; for (let i = 0; i < {depth}; i++) v = [v]; await host.x(v)", call_depth=3)

    assert bool(run.calls) is is_sent
    assert is_sent or run.error["limit"] == "call_depth"


@pytest.mark.parametrize(("wanted", "made"), [(2, 2), (3, 3), (4, 3)])
def test_calls_past_their_number_throw_at_once(host: Host, wanted: int, made: int) -> None:
    run = host.run(
        f"let n = 0; try {{ for (; n < {wanted}; n++) host.x(n) }} catch (e) {{ console.log(e.limit) }} n", calls=3
    )

    assert run.value == len(run.calls) == made
    assert run.logs == (["calls"] if wanted > made else [])


@pytest.mark.parametrize(("length", "is_cut"), [(98, False), (99, False), (100, True)])
def test_console_output_past_its_limit_is_cut_and_throws(host: Host, length: int, is_cut: bool) -> None:
    run = host.run(f"try {{ console.log('a'.repeat({length})) }} catch (e) {{ e.limit }}", log_bytes=100)

    assert run.value == ("log_bytes" if is_cut else None)
    assert run.logs == ["a" * min(length, 100)]


def test_a_flood_of_lines_ends_the_run_with_the_lines_that_fit(host: Host) -> None:
    """SECURITY.md probe 42."""
    run = host.run("while (true) console.log('spam')", log_bytes=100)

    assert run.error["limit"] == "log_bytes"
    assert run.logs == ["spam"] * 20


@pytest.mark.parametrize("length", [96, 97, 98])
def test_a_value_up_to_its_limit_is_returned(host: Host, length: int) -> None:
    assert len(host.run(f"'a'.repeat({length})", result_bytes=100).value) == length


@pytest.mark.parametrize(
    "source",
    [
        "'a'.repeat(99)",
        "Array(60).fill(1)",
        "({['k'.repeat(200)]: 1})",
        "'a'.repeat(2e7)",
        "const a = []; a.length = 4294967295; a",
    ],
)
def test_a_value_past_its_limit_ends_the_run(host: Host, source: str) -> None:
    """SECURITY.md probe 43."""
    run = host.run(source, result_bytes=100)

    assert (run.error["name"], run.error["limit"], run.error["max"]) == ("LimitError", "result_bytes", 100)


@pytest.mark.parametrize(("depth", "is_returned"), [(199, True), (200, True), (201, False)])
def test_a_value_nests_as_deep_as_json_readers_follow(host: Host, depth: int, is_returned: bool) -> None:
    run = host.run(f"let v = 1; for (let i = 0; i < {depth}; i++) v = [v]; v")

    assert run.end is not None
    assert ("value" in run.end) is is_returned
    assert is_returned or run.error["limit"] == "result_depth"


@pytest.mark.parametrize(
    "source",
    [
        "const a = []; while (true) a.push(new ArrayBuffer(2 ** 20))",
        "const a = []; while (true) a.push({a: 1})",
        "const a = []; const s = 'x'.repeat(1000); while (true) a.push(s + a.length)",
        "const m = new Map(); let i = 0; while (true) m.set(i++, {})",
        "'a'.repeat(2 ** 29)",
        "new ArrayBuffer(2 ** 31 - 1)",
        "Array.from({length: 2 ** 32 - 1})",
        "[...(function* () { while (true) yield 1 })()]",
        "let o = {}; while (true) o = {o}",
        "'\\ufdfa'.repeat(1e6).normalize('NFKD')",
    ],
)
def test_a_program_that_fills_its_memory_ends_with_the_limit(host: Host, source: str) -> None:
    """SECURITY.md probes 31 to 35."""
    run = host.run(source)

    assert (run.error["name"], run.error["limit"]) == ("LimitError", "memory_bytes")
    assert run.error["max"] == 32 * 2**20


@pytest.mark.parametrize("item", ["'x'.repeat(1000) + a.length", "{n: a.length}"])
@pytest.mark.parametrize("more_bytes", [0, 40, 400])
def test_a_program_may_catch_that_its_memory_is_full_and_go_on(host: Host, item: str, more_bytes: int) -> None:
    """The error is there to be caught also when not a byte is left for it."""
    source = f"let a = []; try {{ while (true) a.push({item}) }} catch (e) {{ a = null; [e.name, e.message] }}"

    run = host.run(source, memory_bytes=4 * 2**20 + more_bytes)

    assert run.value == ["InternalError", "out of memory"]


def test_memory_stays_within_its_limit_and_what_the_host_allows_beside_it(host: Host) -> None:
    isolate = host.isolate(memory_bytes=16 * 2**20)
    setup = make_setup(memory_bytes=16 * 2**20)

    turn = isolate.start(setup, b"const a = []; while (true) a.push([1, 2, 3])", clock_us=CLOCK_US, seed=SEED)

    assert turn.end is not None
    assert isolate.memory_used <= 17 * 2**20
    assert isolate._instance.size <= 16 * 2**20 + MEMORY_BESIDE_HEAP_BYTES
    isolate.close()


def test_an_answer_larger_than_memory_ends_the_run(host: Host) -> None:
    isolate = host.isolate(memory_bytes=16 * 2**20)
    isolate.start(make_setup(memory_bytes=16 * 2**20), b"await host.x()", clock_us=CLOCK_US, seed=SEED)

    turn = isolate.settle(b'[{"id":1,"ok":true,"value":"%b"}]' % (b"x" * 20_000_000), clock_us=CLOCK_US)
    isolate.close()

    assert b'"limit":"memory_bytes"' in (turn.end or b"")


@pytest.mark.parametrize(
    "source",
    [
        "function f() { f() }\nf()",
        "JSON.parse('['.repeat(1e6))",
        "let o = {}; for (let i = 0; i < 1e5; i++) o = {o}; JSON.stringify(o)",
        "eval('('.repeat(2e5))",
        "eval('`${'.repeat(1e5))",
        "(" * 50_000 + "1" + ")" * 50_000,
        "[" * 100_000,
        "!" * 200_000 + "1",
        "a=>" * 50_000 + "1",
    ],
)
def test_a_recursion_too_deep_is_a_limit_and_no_trap(host: Host, source: str) -> None:
    """SECURITY.md probes 36 to 39."""
    run = host.run(source)

    assert (run.error["name"], run.error["limit"]) == ("LimitError", "stack_bytes")


@pytest.mark.parametrize(
    "source",
    [
        "while (true) {}",
        "while (true) { try { while (true) {} } catch {} }",
        "try { while (true) {} } finally { while (true) {} }",
        "/^(a+)+$/.test('a'.repeat(40) + 'b')",
        "(function l() { Promise.resolve().then(l) })(); await new Promise(() => {})",
        "for await (const x of (async function* () { while (true) yield 1 })()) {}",
        "({toJSON() { while (true) {} }})",
        "throw Object.defineProperty(new Error(), 'message', {get() { while (true) {} }})",
        "new Proxy({}, {ownKeys() { while (true) {} }})",
        "while (true) try { console.log('x') } catch {}",
    ],
)
def test_the_flag_stops_a_program_wherever_it_loops(host: Host, source: str) -> None:
    """SECURITY.md probes 18 to 28."""
    isolate = host.isolate()
    stop = threading.Timer(0.05, isolate.interrupt)
    stop.start()

    with pytest.raises(IsolateTrap) as trapped:
        isolate.start(make_setup(), source.encode(), clock_us=CLOCK_US, seed=SEED)

    assert trapped.value.kind == "interrupt"
    stop.join()
    isolate.close()


def test_the_epoch_stops_a_native_loop_that_does_not_look_at_the_flag(host: Host) -> None:
    """SECURITY.md probe 20."""
    isolate = host.isolate()
    stop = threading.Timer(0.05, host.module.increment_epoch)
    stop.start()

    with pytest.raises(IsolateTrap) as trapped:
        isolate.start(make_setup(), b"console.log('before'); new Array(1e9) + ''", clock_us=CLOCK_US, seed=SEED)

    assert trapped.value.kind == "interrupt"
    assert trapped.value.logs == (b'{"level":"log","text":"before"}',)
    stop.join()
    isolate.close()


def test_an_epoch_that_was_raised_for_another_does_not_stop_a_later_turn(host: Host) -> None:
    isolate = host.isolate()
    isolate.start(make_setup(), b"await host.x(1)", clock_us=CLOCK_US, seed=SEED)
    host.module.increment_epoch()

    turn = isolate.settle(b'[{"id":1,"ok":true,"value":1}]', clock_us=CLOCK_US)
    isolate.close()

    assert turn.end is not None


def test_an_isolate_is_closed_once_and_for_all(host: Host) -> None:
    isolate = host.isolate()
    isolate.close()
    isolate.close()
    isolate.interrupt()

    with pytest.raises(ValueError, match="closed"):
        isolate.start(make_setup(), b"1", clock_us=CLOCK_US, seed=SEED)


def test_timers_have_a_number_past_which_setting_one_throws(host: Host) -> None:
    run = host.run("try { for (;;) setTimeout(() => {}, 1) } catch (e) { [e.limit, e.max] }")

    assert run.value == ["timers", 4096]


def test_a_limit_error_that_a_program_makes_up_is_not_taken_for_one(host: Host) -> None:
    run = host.run("let C; try { host.x('a'.repeat(1e6)).catch(e => C = e.constructor); await null } catch {}\n"
                   "throw Object.assign(new C('m'), {limit: 'cpu_s', max: 1})", echo)  # fmt: skip

    assert run.error["name"] == "LimitError"
    assert "limit" not in run.error

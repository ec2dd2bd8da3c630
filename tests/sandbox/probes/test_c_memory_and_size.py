"""Probes 31 to 47: programs that use up memory, the stack, or the room for what crosses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import orjson
import pytest

from engine import UpstreamError
from sandbox import Sandbox, SandboxConfig
from tests.sandbox.probes._rule import probe, rule_over
from tests.sandbox.probes._upstream import Upstream

if TYPE_CHECKING:
    from pathlib import Path

    from engine import JsonObject, JsonValue
    from tests.sandbox.probes._rule import Attack, Ended, Rule

MEMORY = 64 * 2**20
ALLOCATION_ERRORS = {"RangeError", "InternalError", "TypeError"}


def nested(levels: int) -> JsonValue:
    value: JsonValue = 1
    for _ in range(levels):
        value = [value]
    return value


def is_out_of_room(ended: Ended) -> bool:
    """Whether a program was told that there is no room, by the language or by its end."""
    return ended.stopped_by in {"memory_bytes", "cpu_s"} or ended.record.status in ALLOCATION_ERRORS


@probe(31)
@pytest.mark.parametrize("source", ["'a'.repeat(2 ** 29)", "'a'.padStart(2 ** 30)", "'ab'.padEnd(2 ** 31 - 1, 'xyz')"])
async def test_a_text_too_long_for_the_engine_is_an_error(attack: Attack, source: str) -> None:
    ended = await attack(source)

    assert is_out_of_room(ended)
    assert ended.record.memory_bytes <= MEMORY


@probe(32)
async def test_a_text_that_doubles_forever_ends(attack: Attack) -> None:
    ended = await attack("let s = 'x'; for (;;) s += s")

    assert is_out_of_room(ended)


@probe(33)
@pytest.mark.parametrize(
    "source",
    [
        "new ArrayBuffer(2 ** 31 - 1)",
        "const a = []; for (;;) a.push(new ArrayBuffer(2 ** 20))",
        "const a = []; for (;;) a.push(new Uint8Array(2 ** 20).fill(1))",
        "const b = new ArrayBuffer(8, {maxByteLength: 2 ** 30}); b.resize(2 ** 30); b",
    ],
)
async def test_buffers_stay_within_the_isolates_memory(attack: Attack, source: str) -> None:
    ended = await attack(source, cpu_s=2)

    assert is_out_of_room(ended)


@probe(34)
async def test_an_array_that_says_it_is_long_takes_no_memory(attack: Attack) -> None:
    ended = await attack("const a = []; a[4294967294] = 1; const b = []; b.length = 2 ** 32 - 1; [a.length, b.length]")

    assert ended.value == [2**32 - 1, 2**32 - 1]
    assert ended.record.memory_bytes < 2**20


@probe(35)
@pytest.mark.parametrize(
    "source",
    [
        "const m = new Map(); for (let i = 0; ; i++) m.set({}, i)",
        "const a = []; for (;;) a.push(Symbol('s'))",
        "let f = () => 0; for (;;) { const g = f; f = () => g }",
        "const a = []; for (;;) a.push(new WeakRef({}))",
        "const r = new FinalizationRegistry(() => 0), a = []; for (;;) { const o = {}; a.push(o); r.register(o) }",
        "for (let i = 0; ; i++) globalThis['g' + i] = i",
    ],
)
async def test_many_small_things_are_bounded_like_one_large_one(attack: Attack, source: str) -> None:
    ended = await attack(source)

    assert ended.stopped_by in {"memory_bytes", "cpu_s"}


@probe(36)
@pytest.mark.parametrize(
    "source",
    [
        "(function f() { f() })()",
        "(function f() { try { f() } catch { f() } })()",
        "const f = (a) => f([...a, 1]); f([])",
        "class A { get x() { return this.x } } new A().x",
        "const p = new Proxy({}, {get: (t, k, r) => r[k]}); p.x",
        "let s = {}; s.toString = () => `${s}`; `${s}`",
    ],
)
async def test_recursion_ends_in_an_error_about_the_stack(attack: Attack, source: str) -> None:
    ended = await attack(source)

    assert ended.stopped_by in {"stack_bytes", "cpu_s"} or "stack" in ended.text


@probe(37)
@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
async def test_deep_json_is_not_parsed(attack: Attack, opening: str) -> None:
    ended = await attack(f"JSON.parse({opening!r}.repeat(1e6))", cpu_s=2)

    assert ended.stopped_by == "stack_bytes" or "stack" in ended.text


@probe(38)
@pytest.mark.parametrize(
    "source",
    [
        "let a = []; for (let i = 0; i < 1e6; i++) a = [a]; JSON.stringify(a)",
        "let a = []; for (let i = 0; i < 1e6; i++) a = [a]; a",
        "let a = []; for (let i = 0; i < 1e6; i++) a = [a]; await codemode.tracker_echo({a})",
        "let a = []; for (let i = 0; i < 1e6; i++) a = [a]; console.log(a); throw a",
        "const o = {toJSON: () => [o, o]}; JSON.stringify(o)",
        "const o = {toJSON: () => ({o})}; o",
    ],
)
async def test_deep_values_are_not_written(attack: Attack, source: str) -> None:
    ended = await attack(source, cpu_s=2)

    assert ended.is_error
    assert len(ended.text) < 5_000


@probe(39)
@pytest.mark.parametrize(
    "source",
    [
        f"{'(' * 100_000}1{')' * 100_000}",
        f"{'[' * 100_000}",
        f"return {'`${' * 40_000}1{'}`' * 40_000}",
        f"/{'(a)' * 60_000}/.test('a')",
        f"{'!' * 200_000}1",
        f"return {'-(' * 60_000}1{')' * 60_000}",
        f"{'if(1){' * 30_000}",
        f"{'a=>' * 60_000}1",
        "eval('('.repeat(2e5))",
        "new RegExp('(a)'.repeat(1e5))",
    ],
    ids=["parentheses", "brackets", "templates", "groups", "nots", "minus", "blocks", "arrows", "eval", "RegExp"],
)
async def test_source_that_is_deep_is_refused_in_the_workers(attack: Attack, source: str) -> None:
    """Both parsers, of the check and of the run, are in processes of their own."""
    ended = await attack(source, cpu_s=2)

    assert ended.is_error
    assert len(ended.text) < 5_000


@probe(40)
@pytest.mark.parametrize(
    "source",
    ["1;\n" * 3_000_000, f"'{'x' * 5_000_000}'", " ".join(f"a{number}" for number in range(1_000_000))],
    ids=["lines", "one line", "identifiers"],
)
async def test_source_beyond_its_limit_is_refused_before_anything_reads_it(attack: Attack, source: str) -> None:
    ended = await attack(source)

    assert ended.stopped_by == "source_bytes"
    assert ended.record.cpu_s == 0


@probe(41)
@pytest.mark.parametrize(
    "source",
    [
        "Math.max.apply(null, {length: 1e9})",
        "Math.max(...new Array(1e7).fill(1))",
        "String.fromCharCode(...new Uint8Array(1e7))",
        "new (function () {}.bind(null, ...new Array(1e6)))()",
        "Reflect.construct(Array, {length: 2 ** 31})",
    ],
)
async def test_a_call_with_too_many_arguments_is_an_error(attack: Attack, source: str) -> None:
    ended = await attack(source, cpu_s=1)

    assert is_out_of_room(ended) or ended.stopped_by == "stack_bytes" or "stack" in ended.text


@probe(42)
@pytest.mark.parametrize(
    "source",
    [
        "for (let i = 0; i < 1e6; i++) console.log('line', i)",
        "console.log('x'.repeat(5e7))",
        "for (;;) console.error({a: [1, 2, 3]})",
        "for (let i = 0; i < 100; i++) console.log('x'.repeat(5000))",
    ],
)
async def test_a_flood_of_console_output_is_cut(attack: Attack, source: str) -> None:
    """An answer shows some 24,000 characters whatever a program prints; one in the wild had 212,116."""
    ended = await attack(source, cpu_s=2)

    assert ended.stopped_by in {"log_bytes", "memory_bytes"}
    assert len(ended.text) < 24_000


@probe(43)
async def test_a_result_of_fifty_megabytes_is_refused(attack: Attack) -> None:
    ended = await attack("'x'.repeat(5e7)", cpu_s=2)

    assert ended.stopped_by in {"result_bytes", "memory_bytes"}


@probe(43)
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("const a = {n: 1}; a.self = a; a", {"n": 1, "self": "[Circular]"}),
        ("[() => 1, Symbol('s'), undefined]", [None, None, None]),
        ("({f() {}, s: Symbol('s'), u: undefined, n: null})", {"n": None}),
        ("[2n ** 70n, NaN, -0, Infinity, 1e400, -1e400]", [str(2**70), None, 0, None, None, None]),
        ("[new Date(0)]", ["1970-01-01T00:00:00.000Z"]),
        ("[new Date(NaN)]", [None]),
        ("new Map([['a', new Set([1])]])", {"a": [1]}),
        ("[1, , 3]", [1, None, 3]),
        ("({e: new RangeError('no')})", {"e": {"name": "RangeError", "message": "no"}}),
        ("new Uint8Array([1, 255])", [1, 255]),
        ("({p: Promise.resolve(1), q: [Promise.resolve([2])]})", {"p": 1, "q": [[2]]}),
    ],
)
async def test_every_value_has_one_defined_form_as_json(attack: Attack, source: str, value: JsonValue) -> None:
    ended = await attack(source)

    assert ended.value == value


@probe(44)
@pytest.mark.parametrize(
    ("source", "limit"),
    [
        ("const o = {}; for (let i = 0; i < 1e6; i++) o['key' + i] = 1; await codemode.tracker_echo(o)", "call_bytes"),
        ("await codemode.tracker_echo({['k'.repeat(5e6)]: 1})", "call_bytes"),
        ("let a = 1; for (let i = 0; i < 1e5; i++) a = {a}; await codemode.tracker_echo(a)", "call_depth"),
        ("let a = 1; for (let i = 0; i < 101; i++) a = [a]; await codemode.tracker_echo({a})", "call_depth"),
        ("await codemode.tracker_echo({a: 'x'.repeat(5e6)})", "call_bytes"),
    ],
    ids=["a million keys", "a key of megabytes", "depth", "depth just over", "a text of megabytes"],
)
async def test_arguments_beyond_their_limits_never_reach_the_host(attack: Attack, source: str, limit: str) -> None:
    """The guest counts bytes and depth as it writes; the portal's parser sees only what has passed."""
    upstream = Upstream()

    ended = await attack(source, upstream=upstream, cpu_s=5)

    assert ended.stopped_by in {limit, "memory_bytes"}
    assert upstream.calls == []


@probe(45)
@pytest.mark.parametrize(
    "gift",
    [
        {"big": 10**18, "small": 5e-324, "zero": -0.0, "large": 1e308},
        {"digits": "9" * 400, "exponent": "1e400"},
        [2**53, 2**53 + 1, 2**63 - 1, 2**64 - 1],
    ],
)
async def test_numbers_at_the_edges_pass_without_an_exception(attack: Attack, gift: JsonValue) -> None:
    upstream = Upstream(gift=gift)

    ended = await attack("await codemode.tracker_give({})", upstream=upstream)

    assert json.loads(ended.text, parse_int=float) == json.loads(orjson.dumps(gift), parse_int=float)


@probe(45)
@pytest.mark.parametrize(
    ("gift", "value"),
    [
        ([2**64], [str(2**64)]),
        ({"a": -(2**63) - 1}, {"a": str(-(2**63) - 1)}),
        ([10**400], [str(10**400)]),
        ([float("inf"), float("nan")], [None, None]),
    ],
)
async def test_a_number_that_json_cannot_carry_is_text_or_null(
    attack: Attack, gift: JsonValue, value: JsonValue
) -> None:
    ended = await attack("await codemode.tracker_give({})", upstream=Upstream(gift=gift))

    assert ended.value == value


@probe(45)
@pytest.mark.parametrize("gift", [[10**5000], nested(1_000)], ids=["digits", "levels"])
async def test_a_result_that_cannot_be_written_is_one_typed_error(attack: Attack, gift: JsonValue) -> None:
    ended = await attack("await codemode.tracker_give({})", upstream=Upstream(gift=gift))

    assert ended.record.status == "ToolError"
    assert "cannot be passed on" in ended.text


@probe(45)
async def test_an_errors_data_that_json_cannot_carry_is_still_the_programs_to_catch(attack: Attack) -> None:
    async def refuse(_: JsonObject) -> JsonObject:
        data: JsonValue = {"wait_s": float("inf"), "id": 2**80, "deep": nested(500)}
        raise UpstreamError("429 slow down", server="tracker", tool="echo", data=data)

    upstream = Upstream(answers={"echo": refuse})

    ended = await attack("await codemode.tracker_echo({}).catch(e => [e.name, e.message])", upstream=upstream)

    assert ended.value == ["ToolError", "429 slow down"]


@probe(45)
@pytest.mark.parametrize("number", ["1e400", "-1e400", "9".ljust(400, "9"), "0.1e-400", "-0"])
async def test_numbers_in_arguments_arrive_as_json_has_them(attack: Attack, number: str) -> None:
    upstream = Upstream()

    ended = await attack(f"await codemode.tracker_echo({{n: {number}}})", upstream=upstream)

    assert not ended.is_error
    assert upstream.calls[0][1]["n"] in {None, 0}


@probe(46)
async def test_memory_comes_back_however_often_a_program_fills_it(rule: Rule) -> None:
    """40 fillings; a leak of half a MiB each would show, and the probe's 1,000 take a minute more."""
    fill = "const kept = []; for (;;) kept.push(new Uint8Array(2 ** 20).fill(7))"

    async with rule(cpu_s=5, memory_bytes=MEMORY) as probe:
        stopped = [(await probe.run(fill)).stopped_by for _ in range(40)]

    assert stopped == ["memory_bytes"] * 40


@probe(47)
async def test_programs_that_fill_a_worker_together_end_typed_and_leave_it_whole(
    cache_dir: Path, base_bytes: int
) -> None:
    """16 that hold 40 MiB each while they wait, in a worker that has 512 MiB for all of them."""
    hold = "const kept = new Uint8Array(40 * 2 ** 20).fill(7); await codemode.tracker_wait({})"
    config = SandboxConfig(workers=1, max_workers=1, worker_bytes=512 * 2**20, cache_dir=cache_dir)
    endings: list[str] = []
    async with Sandbox(config) as sandbox, rule_over(sandbox, base_bytes, isolates=16)(wall_s=3, cpu_s=5) as probe:
        before = sandbox.status().workers

        async def run() -> None:
            endings.append((await probe.run(hold)).record.status)

        async with anyio.create_task_group() as tasks:
            for _ in range(16):
                tasks.start_soon(run)
        after = sandbox.status().workers

    assert set(endings) <= {"Stopped (wall_s limit)", "Stopped (memory_bytes limit)"}
    assert endings.count("Stopped (wall_s limit)") >= 8
    assert [worker.pid for worker in after] == [worker.pid for worker in before]

"""The forms in which agents write programs, and the JSON that their values become."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sandbox._isolates import CLOCK_US, SEED, make_setup

if TYPE_CHECKING:
    from tests.sandbox._isolates import Host


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("1 + 1", 2),
        ("{a: 1, b: [2]}", {"a": 1, "b": [2]}),
        ("async () => { return await host.x(1) }", [1]),
        ("async () => {\n  return 5;\n};", 5),
        ("function () { return 6 }", 6),
        ("(() => 7)()", 7),
        ("() => () => 8", None),
        ("await host.x({a: await host.y(2)})", [{"a": [2]}]),
        ("const x = await host.x(3);\nx[0] + 1", 4),
        ("const f = async () => 9;\nf", 9),
        ("async function main() { return 10 }\nmain()", 10),
        ("if (true) { 'yes' } else { 'no' }", "yes"),
        ("let n = 0; for (const k of [1, 2, 3]) n += k; n", 6),
        ("const x = await host.x(4);\nreturn x[0]", 4),
        ("for await (const v of (async function* () { yield 11 })()) return v", 11),
        ("export default async function () { return 12 }", 12),
        ("export const x = 13;\nexport default x + 1", 14),
        ("export async function main() { return 15 }", 15),
        ("\ufeff#!/usr/bin/env node\n16", 16),
        ("'use strict'; 17", 17),
        ("({then(resolve) { resolve(18) }})", 18),
        ("", None),
        ("// nothing but this", None),
        ("let unused = 1", None),
    ],
)
def test_a_program_in_any_form_gives_its_value(host: Host, source: str, value: object) -> None:
    assert host.run(source).value == value


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("async function main() { return 1 }", 1),
        ("function helper() { return 2 }\nasync function main() { return helper() }", 2),
        ("async function run() { return 3 }\nfunction helper() {}", 3),
        ("function first() { return 0 }\n// and\nfunction second() { return 4 };", 4),
        ("'use strict';\nasync function main() { return 5 }", 5),
        ("let n = 0;\nfunction main() { n += 1; return n }\nmain();\nn", 1),
    ],
)
def test_functions_that_are_only_declared_are_called_and_no_others(host: Host, source: str, value: object) -> None:
    assert host.run(source).value == value


def test_a_declaration_before_a_parenthesis_is_not_called_with_what_is_in_it(host: Host) -> None:
    run = host.run("async function main(x) { return typeof x }\n(async () => { return await main() })()")

    assert run.value == "undefined"


def test_a_function_that_ends_a_script_is_called_once(host: Host) -> None:
    run = host.run("let count = 0;\nasync () => { count += 1; return count }")

    assert run.value == 1


def test_promises_inside_the_value_are_awaited(host: Host) -> None:
    run = host.run(
        "({list: [host.x(1), new Promise(done => setTimeout(done, 20, 'late'))], map: new Map([['k', host.x(2)]])})"
    )

    assert run.value == {"list": [[1], "late"], "map": {"k": [2]}}
    assert run.end is not None
    assert run.end["unawaited"] == 0


def test_what_calls_add_after_the_program_returned_is_in_its_value(host: Host) -> None:
    assert host.run("const out = [];\n[1, 2, 3].forEach(async n => out.push(await host.x(n)));\nout").value == [
        [1],
        [2],
        [3],
    ]


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("[undefined, () => 1, Symbol('s'), NaN, Infinity, -0]", [None, None, None, None, None, 0]),
        ("({a: undefined, b: () => 1, c: Symbol('s'), d: null})", {"d": None}),
        ("123456789012345678901234567890n", "123456789012345678901234567890"),
        ("[1e21, 0.1, 5e-324, 1.7976931348623157e308, 2 ** 53]", [1e21, 0.1, 5e-324, 1.7976931348623157e308, 2**53]),
        ("[new Date(0), new Date(NaN), new Date(-1), new Date(8.64e15)]",
         ["1970-01-01T00:00:00.000Z", None, "1969-12-31T23:59:59.999Z", "+275760-09-13T00:00:00.000Z"]),
        ("new Date(-62198755200000)", "-000001-01-01T00:00:00.000Z"),
        ("new Map([['a', 1], ['b', new Set([2])]])", {"a": 1, "b": [2]}),
        ("new Map([[1, 'one'], ['x', undefined]])", [[1, "one"], ["x", None]]),
        ("Object.assign(new RangeError('no'), {code: 5})", {"name": "RangeError", "message": "no", "code": 5}),
        ("[new Uint8Array([1, 255]), new ArrayBuffer(2), new Float32Array([0.5])]", [[1, 255], [0, 0], [0.5]]),
        ("[Object(1), Object('s'), Object(true), Object(2n)]", [1, "s", True, "2"]),
        ("const a = {n: 1}; a.self = a; a.list = [a]; a", {"n": 1, "self": "[Circular]", "list": ["[Circular]"]}),
        ("const shared = {x: 1}; [shared, shared]", [{"x": 1}, {"x": 1}]),
        ("new (class Point { x = 1; get y() { return 2 } toJSON() { return {x: this.x, z: 3} } })", {"x": 1, "z": 3}),
        ("({get a() { return 3 }})", {"a": 3}),
        ("new Proxy([1, 2], {})", [1, 2]),
        ("[1, , 3]", [1, None, 3]),
        ("new URL('https://a.b/c?d')", "https://a.b/c?d"),
        ("Object.create(null, {v: {value: 1, enumerable: true}, w: {value: 2}})", {"v": 1}),
    ],
)  # fmt: skip
def test_values_have_one_defined_form_in_json(host: Host, source: str, value: object) -> None:
    assert host.run(source).value == value


def test_an_undefined_value_is_absent_from_the_end_record(host: Host) -> None:
    run = host.run("undefined")

    assert run.end == {"unhandled": [], "unawaited_calls": [], "unawaited": 0, "dropped_timers": 0}


@pytest.mark.parametrize(
    "text", ["\u2028\u2029", 'quote " slash \\ tab \t nul \0 bell \x07', "e\u0301 \U0001f600 \u202e", "\x7f\x80\xff"]
)
def test_text_crosses_unchanged_in_both_directions(host: Host, text: str) -> None:
    run = host.run("const got = await host.x(); console.log(got); got", lambda _: {"ok": True, "value": text})

    assert run.value == text
    assert run.logs == [text]


def test_lone_surrogates_become_replacement_characters(host: Host) -> None:
    run = host.run("console.log('a\\ud800b'); await host.x('\\udc00'); ['\\ud83d\\ude00', '\\ud83d', {'\\udfff': 1}]")

    assert run.value == ["\U0001f600", "\ufffd", {"\ufffd": 1}]
    assert run.logs == ["a\ufffdb"]
    assert run.calls[0]["args"] == ["\ufffd"]


def test_a_timer_that_is_set_when_the_run_ends_is_dropped_and_counted(host: Host) -> None:
    run = host.run("setTimeout(() => console.log('never'), 5); setInterval(() => {}, 10); 'done'")

    assert run.value == "done"
    assert run.end is not None
    assert run.end["dropped_timers"] == 2
    assert run.logs == []


def test_a_promise_that_nothing_can_settle_leaves_a_turn_without_end_or_timer(host: Host) -> None:
    isolate = host.isolate()
    turn = isolate.start(make_setup(), b"await new Promise(() => {})", clock_us=CLOCK_US, seed=SEED)
    isolate.close()

    assert (turn.calls, turn.end, turn.wake_at_us) == ((), None, None)

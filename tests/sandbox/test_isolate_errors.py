"""Errors: their place in the agent's own source, and their text, whatever was thrown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sandbox._isolates import Host


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("const a = ;", (1, 11)),
        ("let ok = 1;\nconst s = 'é😀' +;", (2, 17)),
        ("if (x {\n  a()\n}", (1, 7)),
        ("const a = [1, 2\nconst b = 3", (2, 1)),
        ("return {\n  a: 1,,\n}", (2, 8)),
        ("async () => {\n  const x = await host.x({});\n  return x..y\n}", (3, 12)),
        ("export const x = ;", (1, 18)),
        ("a b c", (1, 3)),
        ("return await host.x({}))", (1, 24)),
    ],
)
def test_a_syntax_error_is_placed_in_the_form_that_was_meant(host: Host, source: str, place: tuple[int, int]) -> None:
    run = host.run(source)

    assert run.error["is_syntax"] is True
    assert run.place == place


@pytest.mark.parametrize(
    ("source", "place"), [("host.x(", (1, 8)), ("async () => {\n  return 1;\n", (3, 1)), ("`${", (1, 4))]
)
def test_a_source_that_stops_short_is_told_so_at_its_end(host: Host, source: str, place: tuple[int, int]) -> None:
    run = host.run(source)

    assert run.error["message"].lower() == "unexpected end of input"
    assert run.place == place


@pytest.mark.parametrize(
    ("source", "place", "functions"),
    [
        ("throw new Error('x')", (1, 11), [""]),
        ("\n\n  nope.x", (3, 3), [""]),
        ("const o = {};\no.nope(\n  String(1)\n)", (2, 3), [""]),
        ("const s = 'é😀'; s.x.y", (1, 17), [""]),
        ("async () => {\n  const a = await host.x();\n  return a.b.c\n}", (3, 10), [""]),
        ("function f() {\n  throw new Error('x')\n}\nfunction g() {\n  f()\n}\ng()", (2, 13), ["f", "g", ""]),
        ("async function f() {\n  await null;\n  throw new Error('x')\n}\nconst g = async () => await f();\nawait g()",
         (3, 13), ["f"]),
        ("class A {\n  constructor() { null.x }\n}\nnew A(\nString(1))", (2, 19), ["A", ""]),
        ("[1].map(function inner(x) {\n  return x.y.z\n})", (2, 10), ["inner", ""]),
        ("return undefined.x", (1, 8), [""]),
        ("export default () => {\n  null.x\n}", (2, 3), ["default"]),
        ("const {a} = await import('z')", (1, 19), [""]),
    ],
)  # fmt: skip
def test_an_error_is_placed_in_the_source_through_every_form_and_await(
    host: Host, source: str, place: tuple[int, int], functions: list[str]
) -> None:
    run = host.run(source)

    assert run.place == place
    assert [frame["function"] for frame in run.error["frames"]] == functions


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("host.x.y = 1; missing()", "missing is not defined"),
        ("const o = {a: {}}; o.a.b()", "o.a.b is not a function"),
        ("let n = 1; n(2)", "n is not a function"),
        ("null.x", "cannot read property 'x' of null"),
    ],
)
def test_messages_name_what_was_wrong(host: Host, source: str, message: str) -> None:
    assert host.run(source.replace("host.x.y = 1; ", "")).error["message"] == message


@pytest.mark.parametrize(
    "name", ["fetch", "require", "process", "Buffer", "XMLHttpRequest", "fs", "Deno", "Bun", "Intl"]
)
def test_a_name_that_is_absent_on_purpose_says_what_to_do_instead(host: Host, name: str) -> None:
    run = host.run(f"if (typeof {name} === 'undefined') {name}.use()")

    assert run.error["name"] == "ReferenceError"
    assert run.error["message"].startswith(f"{name} is not defined: ")


def test_advice_of_the_host_replaces_the_general_one(host: Host) -> None:
    run = host.run("fetch('x')", hints={"fetch": 'host.search("...") finds a tool'})

    assert run.error["message"] == 'fetch is not defined: host.search("...") finds a tool'


def test_advice_reaches_a_name_that_is_asked_of_the_global_object(host: Host) -> None:
    message = host.run("globalThis.fetch('x')").error["message"]

    assert message.startswith("globalThis.fetch is not a function: there is no network")


@pytest.mark.parametrize(
    "source",
    ["import fs from 'fs';\nfs.x()", "const fs = await import('fs')", "await import('data:text/javascript,1')"],
)
def test_an_import_is_refused_and_says_what_there_is(host: Host, source: str) -> None:
    """SECURITY.md probe 4."""
    message = host.run(source).error["message"]

    assert "is not available in this isolate" in message
    assert "methods of host" in message


@pytest.mark.parametrize(
    ("thrown", "name", "message"),
    [
        ("'text'", "Error", "text"),
        ("null", "Error", "null"),
        ("undefined", "Error", "undefined"),
        ("42n", "Error", "42"),
        ("{code: 1}", "Error", '{"code":1}'),
        ("() => 1", "Error", "a value that cannot be shown"),
        ("new Proxy({}, {get() { throw 1 }, ownKeys() { throw 2 }})", "Error", "a value that cannot be shown"),
        ("Object.assign(new Error('m'), {name: Symbol('s')})", "Error", "m"),
        ("Object.defineProperty(new Error('m'), 'message', {get() { throw 3 }})", "Error", ""),
        ("new (class Mine extends TypeError { name = 'Mine' })('m')", "Mine", "m"),
        ("new AggregateError([new Error('a')], 'many')", "AggregateError", "many"),
    ],
)
def test_whatever_is_thrown_is_told_safely(host: Host, thrown: str, name: str, message: str) -> None:
    """SECURITY.md probe 6."""
    run = host.run(f"throw {thrown}")

    assert (run.error["name"], run.error["message"]) == (name, message)


def test_a_getter_on_an_error_runs_once(host: Host) -> None:
    run = host.run(
        "let n = 0; throw Object.defineProperty(new Error(), 'message', {get() { console.log(++n); return 'm' }})"
    )

    assert run.error["message"] == "m"
    assert run.logs == ["1"]


def test_an_error_carries_its_own_fields(host: Host) -> None:
    run = host.run("throw Object.assign(new Error('m'), {code: 5, data: {list: [1]}, skip: undefined})")

    assert run.error["fields"] == {"code": 5, "data": {"list": [1]}}


def test_a_long_message_is_cut(host: Host) -> None:
    """SECURITY.md probe 52."""
    assert len(host.run("throw new Error('x'.repeat(1e6))").error["message"]) == 8 * 1024


@pytest.mark.parametrize("source", ["Error.prepareStackTrace = () => 'x (program:77:77)'", "Error.stackTraceLimit = 0"])
def test_a_program_can_hide_its_stack_but_not_put_another_in_its_place(host: Host, source: str) -> None:
    """SECURITY.md probe 5."""
    run = host.run(f"{source};\nthrow new Error('y')")

    assert run.error["message"] == "y"
    assert "line" not in run.error


def test_stacks_show_neither_our_code_nor_a_path(host: Host) -> None:
    """SECURITY.md probe 5."""
    run = host.run(
        "try { console.log({get a() { return 1 }}, structuredClone(() => 1)) } "
        "catch (e) { e.stack + host.x + console.log }"
    )

    assert "prelude" not in run.value
    assert "/" not in run.value
    assert "natives" not in run.value


def test_an_error_in_a_timer_is_reported_and_the_run_goes_on(host: Host) -> None:
    run = host.run(
        "setTimeout(() => { throw new Error('late') }, 1);\nawait new Promise(r => setTimeout(r, 5));\n'done'"
    )

    assert run.value == "done"
    assert run.end is not None
    assert [(r["message"], r["line"]) for r in run.end["unhandled"]] == [("late", 1)]

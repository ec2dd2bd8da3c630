"""Host calls: the namespace object, what leaves, and what comes back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sandbox._errors import ProtocolError
from tests.sandbox._isolates import CLOCK_US, SEED, make_setup

if TYPE_CHECKING:
    from tests.sandbox._isolates import Host, Record


def fail(call: Record) -> Record:
    error = {"name": "ToolError", "message": "403 Resource not accessible", "server": "tracker", "code": 403}
    return {"ok": False, "error": error}


@pytest.mark.parametrize(
    ("source", "method", "args"),
    [
        ("await host.tracker_list({limit: 2})", "tracker_list", [{"limit": 2}]),
        ("await host.tracker.list.all(1, 'two')", "tracker.list.all", [1, "two"]),
        ("await host['not an identifier'](null)", "not an identifier", [None]),
        ("const {tracker_list} = host; await tracker_list()", "tracker_list", []),
        ("await host.x(undefined)", "x", []),
        ("await host.x(1, undefined, 3, undefined)", "x", [1, None, 3]),
        ("await host.constructor_('a')", "constructor_", ["a"]),
        ("await host.tracker_list.call(null, 4)", "tracker_list", [4]),
        ("await [5].map(host.x)[0]", "x", [5, 0, [5]]),
    ],
)
def test_a_call_names_its_method_and_carries_its_arguments(
    host: Host, source: str, method: str, args: list[object]
) -> None:
    call = host.run(source).calls[0]

    assert (call["id"], call["method"], call["args"]) == (1, method, args)


def test_a_call_is_placed_where_its_method_is_named(host: Host) -> None:
    run = host.run(
        "const list = await host.tracker_list({\n  filter: String('ü'),\n  n: Math.max(1, 2),\n});\n\n"
        "await  host.x(\nlist)"
    )

    assert [(call["line"], call["column"]) for call in run.calls] == [(1, 25), (6, 13)]


def test_calls_of_one_turn_are_handed_over_together(host: Host) -> None:
    run = host.run("const all = await Promise.all([1, 2, 3].map(n => host.x(n)));\nall.flat()")

    assert run.value == [1, 2, 3]
    assert run.turns == 2


def test_answers_may_come_in_any_order(host: Host) -> None:
    isolate = host.isolate()
    isolate.start(make_setup(), b"Promise.all([host.x(1), host.y(2)])", clock_us=CLOCK_US, seed=SEED)

    waiting = isolate.settle(b'[{"id":2,"ok":true,"value":"second"}]', clock_us=CLOCK_US)
    ended = isolate.settle(b'[{"id":1,"ok":true,"value":"first"}]', clock_us=CLOCK_US)
    isolate.close()

    assert waiting.end is None
    assert json.loads(ended.end or b"")["value"] == ["first", "second"]


def test_an_answer_to_a_call_that_is_not_out_is_ignored(host: Host) -> None:
    isolate = host.isolate()
    isolate.start(make_setup(), b"await host.x(1)", clock_us=CLOCK_US, seed=SEED)

    turn = isolate.settle(
        b'[{"id":7,"ok":true,"value":"forged"},{"id":"1","ok":true},{"id":1,"ok":true,"value":"own"},'
        b'{"id":1,"ok":true,"value":"again"}]',
        clock_us=CLOCK_US,
    )
    isolate.close()

    assert json.loads(turn.end or b"")["value"] == "own"


@pytest.mark.parametrize("settlements", [b"", b"{}", b"[", b"nonsense", b"[]]", b"\xff"])
def test_what_is_no_list_of_settlements_is_refused(host: Host, settlements: bytes) -> None:
    isolate = host.isolate()
    isolate.start(make_setup(), b"await host.x(1)", clock_us=CLOCK_US, seed=SEED)

    with pytest.raises(ProtocolError):
        isolate.settle(settlements, clock_us=CLOCK_US)
    isolate.close()


def test_the_namespace_tells_its_known_methods_without_an_answer_for_others(host: Host) -> None:
    run = host.run("""[
        Object.keys(host), 'tracker_list' in host, 'trackerList' in host, 'Tracker.Get-Issue' in host, 'search' in host,
        'nothing' in host, typeof host.nothing, typeof host.then, typeof host.toJSON, typeof host[Symbol.iterator],
        typeof host.x.then, host.x === host.x, (() => { const seen = []; for (const k in host) seen.push(k);
            return seen })(),
    ]""")

    names = ["tracker_list", "tracker_get_issue"]
    assert run.value[0] == run.value[-1] == names
    assert run.value[1:-1] == [True, True, True, True, False, "function", "undefined", "undefined", "undefined",
                               "undefined", True]  # fmt: skip


def test_a_namespace_without_known_methods_is_empty(host: Host) -> None:
    assert host.run("[Object.keys(host), 'x' in host]", methods="").value == [[], False]


@pytest.mark.parametrize("count", [3, 3_000])
def test_the_namespace_knows_its_methods_after_answers_of_any_size_have_come(host: Host, count: int) -> None:
    """The names stay bytes where the host wrote them, or in a copy, until a program asks."""
    names = [f"tracker_méthode_{number}" for number in range(count)]

    run = host.run(
        "await host.x(1); await host.x(2); [Object.keys(host), host.x.name, 'Tracker.méthode2' in host]",
        lambda call: {"ok": True, "value": "y" * 10 ** (5 * call["args"][0] - 4)},
        methods="\n".join(names),
        result_bytes=2**20,
    )

    assert run.value == [names, "x", True]


def test_the_namespace_cannot_be_written(host: Host) -> None:
    run = host.run("try { host.tracker_list = 1 } catch (e) { console.log(e.message) }\nawait host.tracker_list()")

    assert run.logs == ["host is read-only"]
    assert run.calls[0]["method"] == "tracker_list"


def test_a_rejection_is_an_error_of_the_named_class_with_its_fields_and_the_place_of_the_call(host: Host) -> None:
    run = host.run(
        "try {\n  await host.x()\n} catch (e) {\n"
        "  [e instanceof ToolError, e instanceof Error, e.name, e.message, e.code, Object.keys(e), e.stack]\n}",
        fail,
    )

    assert run.value == [
        True,
        True,
        "ToolError",
        "403 Resource not accessible",
        403,
        ["server", "code"],
        "    at <eval> (program:2:14)\n",
    ]


def test_a_rejection_of_an_unknown_class_is_an_error_of_that_name(host: Host) -> None:
    run = host.run("await host.x()", lambda _: {"ok": False, "error": {"name": "Odd", "message": "m"}})

    assert (run.error["name"], run.error["message"]) == ("Odd", "m")


def test_an_uncaught_rejection_ends_the_run_where_the_call_was_made(host: Host) -> None:
    run = host.run("async function load() {\n  return await host.x({\n    a: String(1),\n  })\n}\nawait load()", fail)

    assert run.place == (2, 21)
    assert run.error["fields"] == {"server": "tracker", "code": 403}
    assert [frame["function"] for frame in run.error["frames"]] == ["load", ""]


def test_a_promise_among_the_arguments_is_told_as_a_forgotten_await(host: Host) -> None:
    run = host.run("await host.x({id: host.y()})")

    assert [call["method"] for call in run.calls] == ["y"]
    assert run.error["name"] == "TypeError"
    assert run.error["message"] == 'x: argument "id" is a Promise: await it before passing it'


def test_calls_that_nobody_awaits_finish_and_are_reported(host: Host) -> None:
    run = host.run("host.x(1);\nconst p = host.y(2);\nawait host.z(3);\nhost.w(4).then(() => {});\n'done'")

    assert run.value == "done"
    assert run.end is not None
    assert run.end["unawaited"] == 2
    assert [(c["method"], c["line"]) for c in run.end["unawaited_calls"]] == [("x", 1), ("y", 2)]


def test_a_rejection_that_nobody_handles_is_reported_with_its_call(host: Host) -> None:
    run = host.run("host.x(1);\nhost.y(2).then(r => r);\nPromise.reject(new Error('own'));\n'done'", fail)

    assert run.value == "done"
    assert run.end is not None
    reported = {(r.get("method"), r["message"], r["line"]) for r in run.end["unhandled"]}
    assert reported == {
        ("x", "403 Resource not accessible", 1),
        ("y", "403 Resource not accessible", 2),
        (None, "own", 3),
    }


def test_a_rejection_that_is_handled_later_is_not_reported(host: Host) -> None:
    run = host.run("const p = host.x(1);\nawait host.y(2);\ntry { await p } catch {}\n'done'", fail_first)

    assert run.value == "done"
    assert run.end is not None
    assert run.end["unhandled"] == []


def fail_first(call: Record) -> Record:
    return fail(call) if call["id"] == 1 else {"ok": True, "value": None}


def test_names_that_mean_something_to_javascript_stay_plain_data_in_answers(host: Host) -> None:
    """SECURITY.md probe 59."""
    hostile = '{"__proto__":{"polluted":1},"constructor":1,"then":"text","toString":2,"length":3,"0":4,"a":1,"a":2}'
    isolate = host.isolate()
    isolate.start(
        make_setup(),
        b"const r = await host.x(); [Object.keys(r), r.polluted === undefined, ({}).polluted === undefined, r.a]",
        clock_us=CLOCK_US,
        seed=SEED,
    )
    turn = isolate.settle(f'[{{"id":1,"ok":true,"value":{hostile}}}]'.encode(), clock_us=CLOCK_US)
    isolate.close()

    keys = ["0", "__proto__", "constructor", "then", "toString", "length", "a"]
    assert json.loads(turn.end or b"")["value"] == [keys, True, True, 2]


def test_after_the_end_nothing_calls_any_more(host: Host) -> None:
    run = host.run("({get late() { try { host.x() } catch (e) { return e.message } }})")

    assert run.value == {"late": "the run has ended: no more calls"}
    assert run.calls == []

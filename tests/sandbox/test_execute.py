"""A program runs in a fresh isolate, calls its host, and comes to an outcome."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import pytest

from sandbox import HostCall, ProgramError, ProgramSyntaxError, Rejection, Sandbox, SandboxClosed
from tests.sandbox._programs import executor, value_of

if TYPE_CHECKING:
    from tests.sandbox._programs import Execute


async def test_an_expression_evaluates_to_its_value(execute: Execute) -> None:
    outcome = await execute("1 + 1")

    assert value_of(outcome) == 2
    assert outcome.logs == ()
    assert (outcome.usage.calls, outcome.usage.turns) == (0, 1)
    assert 0 < outcome.usage.cpu_s < 5
    assert outcome.usage.memory_bytes > 0


async def test_undefined_has_no_value(execute: Execute) -> None:
    outcome = await execute("undefined")

    assert (outcome.value, outcome.error) == (None, None)


async def test_a_host_call_gets_its_arguments_and_gives_its_answer(execute: Execute) -> None:
    calls: list[HostCall] = []

    async def on_call(call: HostCall) -> bytes:
        calls.append(call)
        return b'{"n":41}'

    outcome = await execute("const a = await host.add_one({n: 40}, 'x');\na.n + 1", on_call=on_call)

    assert value_of(outcome) == 42
    assert [(call.method, json.loads(call.args), call.line) for call in calls] == [("add_one", [{"n": 40}, "x"], 1)]
    assert outcome.usage.calls == 1


async def test_a_rejection_arrives_as_an_error_of_its_class_with_its_fields(execute: Execute) -> None:
    async def on_call(_: HostCall) -> bytes:
        raise Rejection("not found", name="ToolError", fields={"code": 404})

    outcome = await execute(
        "try { await host.fail() } catch (e) { [e instanceof ToolError, e instanceof Error, e.message, e.code] }",
        on_call=on_call,
    )

    assert value_of(outcome) == [True, True, "not found", 404]


async def test_a_rejection_that_nothing_catches_is_the_error_of_the_run(execute: Execute) -> None:
    async def on_call(_: HostCall) -> bytes:
        raise Rejection("not found", name="ToolError", fields={"code": 404})

    outcome = await execute("1;\nawait host.fail()", on_call=on_call)

    assert isinstance(outcome.error, ProgramError)
    assert (outcome.error.name, outcome.error.message, outcome.error.line) == ("ToolError", "not found", 2)
    assert outcome.error.fields["code"] == 404


async def test_the_error_of_a_handler_that_is_no_rejection_is_raised_as_it_is(execute: Execute) -> None:
    async def on_call(_: HostCall) -> bytes:
        raise LookupError("a fault of the host")

    with pytest.raises(LookupError, match="a fault of the host"):
        await execute("await host.fail()", on_call=on_call)


async def test_console_lines_are_kept_in_order_also_when_the_program_fails(execute: Execute) -> None:
    outcome = await execute("console.log('a', 1); console.warn('b'); await host.echo(1); console.log('c'); throw 1")

    assert [(line.level, line.text) for line in outcome.logs] == [("log", "a 1"), ("warn", "b"), ("log", "c")]
    assert outcome.error is not None


async def test_a_thrown_error_says_where(execute: Execute) -> None:
    outcome = await execute("function f() {\n  throw new TypeError('bad')\n}\nf()")

    assert isinstance(outcome.error, ProgramError)
    assert (outcome.error.name, outcome.error.message, outcome.error.line) == ("TypeError", "bad", 2)
    assert [frame.line for frame in outcome.error.frames][:2] == [2, 4]


async def test_a_program_that_does_not_parse_says_where_and_shows_the_line(execute: Execute) -> None:
    outcome = await execute("let a = 1;\nlet b = ;\n")

    assert isinstance(outcome.error, ProgramSyntaxError)
    assert (outcome.error.line, outcome.error.source_line) == (2, "let b = ;")


async def test_a_syntax_error_at_run_time_is_not_one_of_the_program(execute: Execute) -> None:
    outcome = await execute("JSON.parse('{')")

    assert isinstance(outcome.error, ProgramError)
    assert outcome.error.name == "SyntaxError"


async def test_calls_wait_beside_each_other_up_to_the_limit_and_the_rest_queue(execute: Execute) -> None:
    most = now = 0

    async def on_call(_: HostCall) -> bytes:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await anyio.sleep(0.001)
        now -= 1
        return b"1"

    outcome = await execute(
        "(await Promise.all(Array.from({length: 50}, () => host.wait()))).length", on_call=on_call, concurrent_calls=7
    )

    assert value_of(outcome) == 50
    assert most == 7


async def test_a_hundred_calls_that_sleep_a_tenth_of_a_second_overlap(execute: Execute) -> None:
    async def on_call(_: HostCall) -> bytes:
        await anyio.sleep(0.1)
        return b"1"

    outcome = await execute(
        "(await Promise.all(Array.from({length: 100}, () => host.wait()))).length",
        on_call=on_call,
        concurrent_calls=100,
    )

    assert value_of(outcome) == 100
    assert outcome.usage.wall_s < 2


async def test_calls_that_answer_out_of_order_reach_their_own_promises(execute: Execute) -> None:
    async def on_call(call: HostCall) -> bytes:
        await anyio.sleep(0.02 - 0.001 * json.loads(call.args)[0])
        return call.args

    outcome = await execute("await Promise.all(Array.from({length: 16}, (_, i) => host.wait(i)))", on_call=on_call)

    assert value_of(outcome) == [[n] for n in range(16)]


async def test_large_arguments_and_answers_arrive_whole(execute: Execute) -> None:
    outcome = await execute("(await host.echo('x'.repeat(3e6) + 'é')).length")

    assert value_of(outcome) == 3_000_001


async def test_an_answer_that_cannot_fit_rejects_the_call(execute: Execute) -> None:
    async def on_call(_: HostCall) -> bytes:
        return b'"' + b"x" * 5_000_000 + b'"'

    outcome = await execute("await host.big().catch(e => e.message)", on_call=on_call, memory_bytes=4_000_000)

    assert "5000002 bytes" in str(value_of(outcome))


async def test_a_sleep_takes_time_and_no_processor(execute: Execute) -> None:
    outcome = await execute("await new Promise(r => setTimeout(r, 300)); 1")

    assert value_of(outcome) == 1
    assert outcome.usage.wall_s >= 0.3
    assert outcome.usage.cpu_s < 0.2


async def test_the_clock_moves_between_turns_and_stands_still_within_one(execute: Execute) -> None:
    outcome = await execute(
        "const a = Date.now(); for (let i = 0; i < 1e5; i++); const b = Date.now();"
        "await new Promise(r => setTimeout(r, 50)); [b - a, Date.now() - a >= 50]"
    )

    assert value_of(outcome) == [0, True]


async def test_a_run_with_the_same_seed_draws_the_same_numbers(execute: Execute) -> None:
    program = "[Math.random(), crypto.randomUUID()]"
    first, second = await execute(program, seed=bytes(32)), await execute(program, seed=bytes(32))
    other = await execute(program)

    assert value_of(first) == value_of(second)
    assert value_of(first) != value_of(other)


async def test_a_seed_has_32_bytes(execute: Execute) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        await execute("1", seed=b"short")


async def test_calls_that_nobody_awaited_finish_and_are_reported(execute: Execute) -> None:
    answered: list[str] = []

    async def on_call(call: HostCall) -> bytes:
        await anyio.sleep(0.01)
        answered.append(call.method)
        return b"1"

    outcome = await execute("host.first();\nhost.second();\n3", on_call=on_call)

    assert value_of(outcome) == 3
    assert answered == ["first", "second"]
    assert outcome.unawaited_count == 2
    assert [(call.method, call.line) for call in outcome.unawaited] == [("first", 1), ("second", 2)]


async def test_an_unhandled_rejection_is_reported_with_its_call(execute: Execute) -> None:
    async def on_call(_: HostCall) -> bytes:
        raise Rejection("no", name="ToolError")

    outcome = await execute("host.fail();\n3", on_call=on_call)

    assert value_of(outcome) == 3
    assert [(each.message, each.method) for each in outcome.unhandled] == [("no", "fail")]


async def test_timers_that_are_left_are_dropped_and_counted(execute: Execute) -> None:
    outcome = await execute("setTimeout(() => {}, 1e6); setInterval(() => {}, 1e6); 1")

    assert value_of(outcome) == 1
    assert outcome.dropped_timers == 2


async def test_a_closed_sandbox_refuses_and_stops_what_runs() -> None:
    sandbox = Sandbox()

    with pytest.raises(SandboxClosed):
        await executor(sandbox)("1")


async def test_source_that_is_not_valid_unicode_is_still_run(execute: Execute) -> None:
    outcome = await execute("'\ud800'.length")

    assert value_of(outcome) == 1

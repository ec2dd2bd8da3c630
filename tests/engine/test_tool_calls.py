"""Tool calls from inside a program: what comes back, what is refused, what the answer says of failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from engine import Catalog, Engine, EngineLimits, JsonObject, ServerTools, UpstreamError
from sandbox import Limits
from tests.engine.conftest import schema, structured, text
from typegen import Tool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine import Answer
    from sandbox import Sandbox
    from tests.engine.conftest import Upstream

    Run = Callable[[str], Awaitable[Answer]]


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        ("return (await codemode.tracker_get_issue({id: 3})).title", "Issue 3"),
        ("return (await codemode.tracker_report()).open", "334"),
        ("return await codemode.tracker_greet({name: 'Ada'})", "Hello, Ada!"),
        ("return await codemode.my_files_read({path: 'a'})", "line one\nline two\n"),
        ("return (await codemode.raw('tracker_greet', {name: 'Ada'})).content[0].text", "Hello, Ada!"),
        ("return (await codemode.raw('tracker_get_issue', {id: 9999})).isError", "true"),
        ("return (await codemode['tracker_get_issue']({id: 3})).id", "3"),
        ("const {tracker_get_issue: get} = codemode; return (await get({id: 3})).id", "3"),
        ("return (await codemode.trackerGetIssue({id: 3})).id", "3"),
        ("return (await codemode.tracker.getIssue({id: 3})).id", "3"),
        ("return (await codemode['tracker_get-issue']({id: 3})).id", "3"),
        ("return (await codemode['my-files_read']({path: 'a'})).length", "18"),
        (
            "return ['tracker_greet' in codemode, 'tracker_nope' in codemode, typeof codemode.then]",
            '[true,false,"undefined"]',
        ),
        ("return Object.keys(codemode).length", "8"),
    ],
)
async def test_a_call_returns_the_unwrapped_result(run: Run, program: str, answer: str) -> None:
    assert (await run(program)).text == answer


async def test_servers_are_listed_with_their_status(run: Run) -> None:
    assert (await run("return (await codemode.servers()).map(s => [s.id, s.tools, s.status].join(' '))")).text == (
        '["down 0 error","my-files 2 ready","tracker 6 ready"]'
    )


async def test_a_failed_call_throws_a_tool_error_that_the_program_can_catch(run: Run) -> None:
    written = await run(
        "try { await codemode.tracker_get_issue({id: 9999}) } catch (error) {"
        "  const {name, server, tool, message} = error;"
        "  return [error instanceof ToolError, error instanceof Error, name, server, tool, message]"
        "}"
    )

    assert written.text == '[true,true,"ToolError","tracker","get_issue","404 no issue 9999"]'


async def test_an_unreachable_server_is_a_tool_error_with_its_code(run: Run) -> None:
    written = await run("try { await codemode.my_files_broken() } catch (e) { return [e.code, e.message] }")

    assert written.text == '["unreachable","no connection"]'


async def test_an_unknown_tool_names_the_nearest_and_reaches_no_server(run: Run, upstream: Upstream) -> None:
    written = await run("const name = 'tracker_get_isue';\nreturn await codemode[name]({id: 1})")

    assert written.is_error
    assert written.text.splitlines()[0].startswith(
        "ToolError at 2:23: tracker_get_isue: no such tool. Nearest: tracker_get_issue, tracker_list_issues"
    )
    assert upstream.calls == []


@pytest.mark.parametrize(
    ("arguments", "finding"),
    [
        ("{}", 'missing "id"'),
        ("{id: '3'}", '"id": expected integer, got "3"'),
        ("{issue: 3, id: 3}", 'unknown "issue"'),
        ("{id: 3, detial: 'full'}", 'unknown "detial" (did you mean detail?)'),
        ("{id: 3, detail: 'long'}", '"detail": expected one of ["short","full"], got "long"'),
        ("3", "takes one object of named arguments"),
        ("{id: 3}, {more: 1}", "takes one object of named arguments"),
    ],
)
async def test_wrong_arguments_are_refused_with_path_expected_and_got(
    run: Run, upstream: Upstream, arguments: str, finding: str
) -> None:
    written = await run(f"const made = [{arguments}]; return await codemode.tracker_get_issue(...made)")

    assert written.is_error
    assert f"ToolError at 1:{40 + len(arguments)}" in written.text
    assert f"tracker_get_issue: {finding}" in written.text
    assert upstream.calls == []


async def test_an_integer_beyond_64_bits_is_told_as_it_was_sent(
    engine: Engine, catalog: Catalog, upstream: Upstream
) -> None:
    arguments: JsonObject = {"name": 123456789012345678901234567890}

    written = await engine.execute("tracker_greet", arguments, catalog=catalog, invoker=upstream)

    assert 'tracker_greet: "name": expected string, got "123456789012345678901234567890"' in written.text


async def test_the_first_of_many_findings_are_told_and_the_others_counted(run: Run) -> None:
    written = await run(
        "const a = {}; for (let i = 0; i < 300; i++) a[`p${i}`] = 1; await codemode.tracker_get_issue(a)"
    )

    shown = "; ".join(f'unknown "p{number}"' for number in range(5))
    assert f"tracker_get_issue: {shown}; and 296 more\n" in written.text


async def test_of_arguments_with_very_many_parts_the_first_error_is_told(engine: Engine, upstream: Upstream) -> None:
    numbers: JsonObject = {"type": "array", "items": {"type": "string"}}
    tools = (Tool(name="add", input_schema=schema(numbers=numbers)),)
    catalog = Catalog.build([ServerTools(id="sums", tools=tools)])

    few = await engine.execute("sums_add", {"numbers": [1] * 400}, catalog=catalog, invoker=upstream)
    many = await engine.execute("sums_add", {"numbers": [1] * 100_000}, catalog=catalog, invoker=upstream)

    assert '"numbers[4]": expected string, got 1; and 395 more' in few.text
    assert '"numbers[0]": expected string, got 1\n' in many.text


async def test_long_names_of_arguments_are_cut(run: Run) -> None:
    written = await run("const a = {id: 1, ['x'.repeat(100_000)]: 1}; await codemode.tracker_get_issue(a)")

    assert f'unknown "{"x" * 100}…"\n' in written.text


async def test_a_tool_outside_the_catalog_is_simply_unknown(engine: Engine, upstream: Upstream) -> None:
    hidden = Tool(name="drop_all", description="", input_schema=schema())
    without = Catalog.build([ServerTools(id="db", tools=(Tool(name="query", input_schema=schema()),))])
    Catalog.build([ServerTools(id="db", tools=(hidden,))])

    written = await engine.code(
        "try { await codemode.db_drop_all() } catch (e) { return e.message }", catalog=without, invoker=upstream
    )

    assert "no such tool" in written.text
    assert upstream.calls == []


async def test_a_failed_run_says_which_calls_completed_and_which_changes_were_made(run: Run) -> None:
    written = await run(
        "await codemode.tracker_get_issue({id: 1});\n"
        "for (let id = 1; id <= 30; id++)\n"
        "  await codemode.tracker_create_comment({id, text: 'hi'});\n"
    )

    assert written.text.splitlines() == [
        "ToolError at 3:18: tracker_create_comment: 403 Resource not accessible",
        "  3 | await codemode.tracker_create_comment({id, text: 'hi'});",
        "27 calls ok, 1 failed. Changes made: tracker_create_comment x26.",
        f'Send the fix with resume "{written.run.run_id}": finished calls are not sent again.',
    ]


async def test_calls_that_nobody_awaited_finish_and_are_named(run: Run, upstream: Upstream) -> None:
    written = await run("codemode.tracker_create_comment({id: 1, text: 'x'}); return 'done'")

    assert len(upstream.calls) == 1
    assert written.text.splitlines() == [
        "done",
        (
            "[not awaited: codemode.tracker_create_comment at 1:10; "
            "the calls finished, but write await to use what they return]"
        ),
    ]


async def test_an_error_of_a_call_that_nobody_awaited_is_reported(run: Run) -> None:
    written = await run("codemode.tracker_create_comment({id: 27, text: 'x'}); return 'done'")

    assert not written.is_error
    assert "403 Resource not accessible" in written.text


async def test_parallel_calls_overlap_up_to_the_limit_and_the_rest_queue(
    sandbox: Sandbox, catalog: Catalog, upstream: Upstream
) -> None:
    running, most = 0, 0
    four_at_once = anyio.Event()

    async def slow(_arguments: JsonObject) -> JsonObject:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 4:
            four_at_once.set()
        with anyio.fail_after(10):
            await four_at_once.wait()
        running -= 1
        return text("ok")

    upstream.answers["tracker_greet"] = slow
    async with Engine(sandbox, limits=EngineLimits(run=Limits(concurrent_calls=4))) as engine:
        written = await engine.code(
            "return (await Promise.all(Array.from({length: 20}, () => codemode.tracker_greet()))).length",
            catalog=catalog,
            invoker=upstream,
        )

    assert written.text == "20"
    assert most == 4


async def test_an_error_of_an_invoker_reaches_the_program_without_its_cause(run: Run, upstream: Upstream) -> None:
    async def fail(_arguments: JsonObject) -> JsonObject:
        raise UpstreamError("refused", server="tracker", tool="greet", code=-32000) from ValueError("token s3cret")

    upstream.answers["tracker_greet"] = fail
    written = await run("return await codemode.tracker_greet()")

    assert "refused" in written.text
    assert "s3cret" not in written.text


async def test_keys_of_a_result_are_plain_data(run: Run, upstream: Upstream) -> None:
    """Probe 59: names that mean something to JavaScript become own properties and change no prototype."""

    async def hostile(_arguments: JsonObject) -> JsonObject:
        return structured({"__proto__": {"polluted": 1}, "constructor": 2, "then": 3, "toString": 4})

    upstream.answers["tracker_report"] = hostile
    written = await run(
        "const r = await codemode.tracker_report(); return [Object.keys(r).length, ({}).polluted ?? null]"
    )

    assert written.text == "[4,null]"

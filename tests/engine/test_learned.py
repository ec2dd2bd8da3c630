"""Result types learned from what tools returned, and shown to whoever may see them."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine import Catalog, Engine, LearnedKey, MemoryLearnedTypes, ServerTools
from engine._learned import LOOK_EVERY, SETTLED_AFTER
from portal._tokens import count_tokens
from tests.engine.conftest import TOOLS, structured, text
from typegen import Tool, learn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine import Answer, JsonObject, JsonValue
    from sandbox import Sandbox
    from tests.engine.conftest import Upstream

    Run = Callable[[str], Awaitable[Answer]]

ISSUE = "{ id: number; title: string; open: boolean; votes: number }"


def returning(*results: JsonObject) -> Callable[[JsonObject], Awaitable[JsonObject]]:
    """Answer a tool with one result after the other, the last one again and again."""
    waiting = list(results)

    async def answer(_: JsonObject) -> JsonObject:
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return answer


async def test_a_tool_without_an_output_schema_is_declared_as_its_results_were(run: Run) -> None:
    before = await run("return codemode.describe('tracker_get_issue')")
    await run("return codemode.tracker_get_issue({id: 1})")
    after = await run("return codemode.describe('tracker_get_issue')")

    assert before.text.endswith("): Promise<unknown>")
    assert after.text.endswith(f"): Promise<{ISSUE}> // learned from results")


async def test_search_and_query_show_what_was_learned(run: Run, engine: Engine, catalog: Catalog) -> None:
    await run("await codemode.tracker_get_issue({id: 1})")
    found = await run("return codemode.search('get one issue', {limit: 1})")

    assert f"Promise<{ISSUE}>" in found.text
    assert f"Promise<{ISSUE}>" in engine.query("get one issue", catalog=catalog)
    assert f"Promise<{ISSUE}>" in engine.query("get one issue", catalog=catalog, name_of=lambda entry: entry.name)


async def test_text_that_is_json_and_text_that_is_not_are_learned_as_programs_get_them(run: Run) -> None:
    await run("await codemode.tracker_report(); await codemode.tracker_greet()")
    declared = await run("return codemode.describe(['tracker_report', 'tracker_greet'])")

    assert "Promise<{ open: number; closed: number }>" in declared.text
    assert "Promise<string>" in declared.text


async def test_a_result_of_another_shape_widens_the_type(run: Run, upstream: Upstream) -> None:
    upstream.answers["tracker_report"] = returning(structured({"id": 1, "owner": None}), structured({"id": "two"}))
    await run("await codemode.tracker_report(); await codemode.tracker_report()")
    declared = await run("return codemode.describe('tracker_report')")

    assert "Promise<{ id: string|number; owner?: null }>" in declared.text


async def test_a_failed_call_teaches_nothing(run: Run) -> None:
    await run("await codemode.tracker_get_issue({id: 501}).catch(() => 0)")
    await run("await codemode.my_files_broken().catch(() => 0)")
    declared = await run("return codemode.describe(['tracker_get_issue', 'my_files_broken'])")

    assert declared.text.count("Promise<unknown>") == 2


@pytest.mark.parametrize(
    ("output_schema", "declared"),
    [
        ({"type": "object", "properties": {"id": {"type": "string"}}}, "Promise<{ id?: string }>"),
        ({"type": "object", "additionalProperties": True}, "Promise<{ id: number }> // learned from results"),
        ({"type": "object", "title": "dict[str, Any]"}, "Promise<{ id: number }> // learned from results"),
    ],
)
async def test_an_output_schema_counts_when_it_says_more_than_object(
    engine: Engine, upstream: Upstream, output_schema: JsonObject, declared: str
) -> None:
    tool = Tool(name="greet", input_schema={"type": "object"}, output_schema=output_schema)
    catalog = Catalog.build([ServerTools(id="tracker", tools=(tool,))])
    upstream.answers["tracker_greet"] = returning(structured({"id": 1}))
    await engine.code("await codemode.tracker_greet()", catalog=catalog, invoker=upstream)
    answer = await engine.code("return codemode.describe('tracker_greet')", catalog=catalog, invoker=upstream)

    assert declared in answer.text


async def test_another_input_schema_is_another_tool_to_learn_about(
    run: Run, engine: Engine, upstream: Upstream
) -> None:
    await run("await codemode.tracker_get_issue({id: 1})")
    newer = replace(TOOLS[1], input_schema={"type": "object", "properties": {"number": {"type": "integer"}}})
    described = replace(TOOLS[1], description="Other words.")
    other = Catalog.build([ServerTools(id="tracker", tools=(newer,))])
    same = Catalog.build([ServerTools(id="tracker", tools=(described,))])

    assert "Promise<unknown>" in engine.query("get issue", catalog=other)
    assert f"Promise<{ISSUE}>" in engine.query("other words", catalog=same)


async def test_of_a_tool_that_no_catalog_has_any_more_nothing_is_held(run: Run, engine: Engine) -> None:
    await run("await codemode.tracker_get_issue({id: 1})")
    described = replace(TOOLS[1], description="Other words.")
    known = weakref.ref(described)
    other = Catalog.build([ServerTools(id="tracker", tools=(described,))])
    declared = engine.query("other words", catalog=other)

    del described, other
    gc.collect()

    assert f"Promise<{ISSUE}>" in declared
    assert known() is None


async def test_what_an_account_of_ones_own_returned_is_shown_to_that_account_only(
    engine: Engine, catalog: Catalog, upstream: Upstream
) -> None:
    program = "await codemode.tracker_get_issue({id: 1}); await codemode.my_files_read({path: 'a'})"
    await engine.code(program, catalog=catalog, invoker=upstream, accounts={"tracker": "ann"})

    def declared(query: str, **accounts: str) -> str:
        return engine.query(query, catalog=catalog, limit=1, accounts=accounts)

    assert f"Promise<{ISSUE}>" in declared("get one issue", tracker="ann")
    assert "Promise<unknown>" in declared("get one issue", tracker="bob")
    assert "Promise<unknown>" in declared("get one issue")
    assert "Promise<string>" in declared("read a file", tracker="bob")


async def test_engines_with_the_same_learned_types_learn_from_each_other(
    sandbox: Sandbox, catalog: Catalog, upstream: Upstream
) -> None:
    learned = MemoryLearnedTypes()
    async with Engine(sandbox, learned=learned) as engine:
        await engine.execute("tracker_get_issue", {"id": 1}, catalog=catalog, invoker=upstream)

    assert f"Promise<{ISSUE}>" in Engine(sandbox, learned=learned).query("get one issue", catalog=catalog)


async def test_of_a_settled_type_a_new_shape_is_still_noticed(run: Run, upstream: Upstream) -> None:
    upstream.answers["tracker_report"] = returning(
        *[structured({"id": 1})] * (SETTLED_AFTER + LOOK_EVERY + 2), structured({"id": None})
    )
    calls = SETTLED_AFTER + 3 * LOOK_EVERY
    await run(f"for (let n = 0; n < {calls}; n++) await codemode.tracker_report()")
    declared = await run("return codemode.describe('tracker_report')")

    assert "Promise<{ id: number|null }>" in declared.text


def test_the_oldest_learned_types_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine._learned.MAX_SHAPES", 2)
    learned = MemoryLearnedTypes()
    keys = [LearnedKey("", "tracker", name, "") for name in "abc"]
    for key in keys:
        learned.put(key, learn(None, 1))

    assert [learned.get(key) is not None for key in keys] == [False, True, True]


async def test_a_type_error_shows_what_the_tools_of_the_run_returned(run: Run) -> None:
    answer = await run("const {items} = await codemode.tracker_list_issues({limit: 3});\nreturn items[0].author.name")

    assert answer.text.startswith(
        "TypeError at 2:8: cannot read property 'name' of undefined\n"
        "  2 | return items[0].author.name\n"
        "Returned in this run:\n"
        f"tracker_list_issues: {{ items: {ISSUE}[] }}\n"
    )


@pytest.mark.parametrize(
    "mistake",
    ["found.map(issue => issue.id)", "[...found]", "found.issues.length", "Object.keys(found.issues)"],
)
async def test_every_mistake_about_a_result_shows_its_shape(run: Run, mistake: str) -> None:
    answer = await run(f"const found = await codemode.tracker_get_issue({{id: 3}}); return {mistake}")

    assert f"\ntracker_get_issue: {ISSUE}\n" in answer.text


@pytest.mark.parametrize(
    "program",
    [
        "await codemode.tracker_get_issue({id: 3}); await codemode.tracker_get_issue({id: 501})",
        "await codemode.tracker_get_issue({id: 3}); throw new TypeError('of my own')",
        "await codemode.tracker_get_issue({id: 3}); await codemode.describe()",
        "const result = await codemode.raw('tracker_get_issue', {id: 3}); return result.issue.id",
        "const nothing = undefined; return nothing.id",
    ],
)
async def test_other_failures_show_no_shapes(run: Run, program: str) -> None:
    answer = await run(program)

    assert answer.is_error
    assert "Returned in this run" not in answer.text


async def test_the_shapes_of_large_results_take_at_most_100_tokens(run: Run, upstream: Upstream) -> None:
    wide: JsonValue = {f"field_{one}{two}": {f"part_{one}": [{"deep": 1}]} for one in "abcdefgh" for two in "ij"}
    for tool in ("report", "greet", "screenshot", "get_issue"):
        upstream.answers[f"tracker_{tool}"] = returning(structured({"items": [wide, 3], "next": wide}))
    answer = await run(
        "await codemode.tracker_report(); await codemode.tracker_greet(); await codemode.tracker_screenshot();"
        "const found = await codemode.tracker_get_issue({id: 1}); return found.items.first.id"
    )

    shapes = answer.text.split("Returned in this run:\n")[1].split("\n4 calls ok")[0]
    assert shapes.startswith("tracker_get_issue: {")
    assert len(shapes.splitlines()) == 3
    assert count_tokens(shapes) <= 100


async def test_an_error_result_that_came_as_text_is_no_shape(run: Run, upstream: Upstream) -> None:
    upstream.answers["tracker_report"] = returning(text("no access", isError=True), structured({"total": 1}))
    answer = await run(
        "await codemode.tracker_report().catch(() => 0); return (await codemode.tracker_report()).by.state"
    )

    assert "\ntracker_report: { total: number }\n" in answer.text

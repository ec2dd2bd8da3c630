"""Queries for tools and calls of one tool, both without a program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import orjson
import pytest

from engine import CallError, Catalog, Engine, ServerTools, execute_tool, query_tool
from portal._tokens import count_tokens
from typegen import Tool

if TYPE_CHECKING:
    from tests.engine.conftest import Upstream
    from typegen import JsonObject


async def test_a_query_answers_with_the_best_declarations_first(engine: Engine, catalog: Catalog) -> None:
    found = engine.query("comment on an issue", catalog=catalog, limit=2)

    assert found.startswith("/** Add a comment to an issue. */\ntracker_create_comment(args: {")
    assert found.count("Promise<") <= 2


async def test_names_are_one_line_each(engine: Engine, catalog: Catalog) -> None:
    found = engine.query("list issues", catalog=catalog, detail="names")

    assert found.splitlines()[0] == "tracker_list_issues: List the issues of the tracker, filtered by state."


async def test_schemas_are_the_definitions_under_the_name_that_is_called(engine: Engine, catalog: Catalog) -> None:
    found = json.loads(
        engine.query(
            "read a file",
            catalog=catalog,
            detail="schemas",
            limit=1,
            name_of=lambda entry: f"{entry.server_id}_{entry.name}",
        )
    )

    assert found[0]["name"] == "my-files_read"
    assert found[0]["inputSchema"]["required"] == ["path"]


async def test_a_schema_with_an_integer_beyond_64_bits_is_written_as_it_is(engine: Engine) -> None:
    schema: JsonObject = {"type": "object", "properties": {"n": {"maximum": 2**64}}}
    catalog = Catalog.build([ServerTools(id="up", name="Up", tools=(Tool(name="count", input_schema=schema),))])
    found = engine.query("count", catalog=catalog, detail="schemas")

    assert json.loads(found)[0]["inputSchema"]["properties"]["n"] == {"maximum": 2**64}


async def test_a_very_long_query_or_name_is_not_repeated_whole(engine: Engine, catalog: Catalog) -> None:
    nothing = engine.query("zq" * 100_000, catalog=catalog)
    with pytest.raises(CallError) as unknown_server:
        engine.query("issue", catalog=catalog, server="zq" * 100_000)

    assert len(nothing) < 500
    assert len(str(unknown_server.value)) < 500


async def test_a_regular_expression_finds_names(engine: Engine, catalog: Catalog) -> None:
    found = engine.query("/^tracker_get/", catalog=catalog, detail="names")

    assert found.splitlines() == ["tracker_get_issue: Get one issue by its number."]


async def test_a_query_that_matches_nothing_says_so(engine: Engine, catalog: Catalog) -> None:
    found = engine.query("quantum chromodynamics", catalog=catalog)

    assert found.startswith("No tool matches 'quantum chromodynamics'.")
    assert "tracker (6 tools)" in found


async def test_the_nearest_names_help_where_only_the_spelling_is_off(engine: Engine, catalog: Catalog) -> None:
    found = engine.query("/trackr_get_isue/", catalog=catalog)

    assert "tracker_get_issue" in found


@pytest.mark.parametrize(
    ("server", "detail", "words"),
    [("nope", "types", "Servers: down, my-files, tracker"), (None, "all", "names, types, schemas")],
)
async def test_a_wrong_option_lists_the_right_ones(
    engine: Engine, catalog: Catalog, server: str | None, detail: Literal["types"], words: str
) -> None:
    with pytest.raises(CallError, match=words):
        engine.query("x", catalog=catalog, server=server, detail=detail)


async def test_one_tool_is_called_and_answered_in_the_words_of_a_program(
    engine: Engine, catalog: Catalog, upstream: Upstream
) -> None:
    answer = await engine.execute("tracker_greet", {"name": "Ada"}, catalog=catalog, invoker=upstream)

    assert answer.text == "Hello, Ada!"
    assert answer.run.as_json()["tools"] == {"tracker_greet": 1}


async def test_an_image_of_one_call_is_a_content_block(engine: Engine, catalog: Catalog, upstream: Upstream) -> None:
    answer = await engine.execute("tracker_screenshot", {}, catalog=catalog, invoker=upstream)

    assert [block["type"] for block in answer.blocks] == ["text", "image"]


@pytest.mark.parametrize(
    ("tool", "arguments", "text"),
    [
        ("tracker_get_isue", {}, "ToolError: tracker_get_isue: no such tool. Nearest: tracker_get_issue"),
        ("tracker_get_issue", {"id": "7"}, 'ToolError: tracker_get_issue: "id": expected integer, got "7"'),
        ("tracker_get_issue", {"id": 900}, "ToolError: tracker_get_issue: 404 no issue 900"),
        ("search", {}, "ToolError: search: no such tool."),
    ],
)
async def test_a_call_that_fails_says_why(
    engine: Engine, catalog: Catalog, upstream: Upstream, tool: str, arguments: dict[str, object], text: str
) -> None:
    answer = await engine.execute(tool, json.loads(json.dumps(arguments)), catalog=catalog, invoker=upstream)

    assert answer.is_error
    assert answer.text.startswith(text)


def test_query_and_execute_together_cost_few_tokens() -> None:
    listed = orjson.dumps({"tools": [query_tool(["tracker", "git", "time"], calls_by="with execute"), execute_tool()]})

    assert count_tokens(listed.decode()) <= 450

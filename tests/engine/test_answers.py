"""What an agent gets back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine import Catalog, Engine, EngineLimits, ServerTools
from engine._failure import failure_text
from sandbox import Limits, ProgramError
from tests.engine.conftest import PNG, schema
from typegen import Tool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine import Answer
    from sandbox import Sandbox
    from tests.engine.conftest import Upstream
    from typegen import JsonObject

    Run = Callable[[str], Awaitable[Answer]]


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        ("return 'plain text'", "plain text"),
        ("return {a: 1, b: [true, null]}", '{"a":1,"b":[true,null]}'),
        ("return 1 + 1", "2"),
        ("return 'a\\nb \\u00e9'", "a\nb \u00e9"),
        ("return null", "null"),
        (
            "return undefined",
            "[no result: the program returned undefined; return a value, or print one with console.log]",
        ),
        ("return new Map([['a', new Set([1, 2])]])", '{"a":[1,2]}'),
        ("return {when: new Date(0), big: 10n ** 20n, nan: NaN}", None),
    ],
)
async def test_a_value_is_written_as_compact_json_and_a_string_as_it_is(run: Run, program: str, answer: str) -> None:
    written = await run(program)

    expected = answer or '{"when":"1970-01-01T00:00:00.000Z","big":"100000000000000000000","nan":null}'
    assert written.text == expected
    assert not written.is_error
    assert written.blocks == ({"type": "text", "text": expected},)


async def test_console_lines_follow_the_result_with_their_level(run: Run) -> None:
    written = await run("console.log('one', {a: 1}); console.warn('two'); return 3")

    assert written.text.splitlines()[:2] == ["3", "--- logs"]
    assert written.text.splitlines()[3] == "[warn] two"


async def test_without_a_result_the_console_is_the_answer(run: Run) -> None:
    assert (await run("console.log('only this')")).text == "only this"


async def test_an_image_becomes_a_content_block_and_its_data_is_never_text(run: Run) -> None:
    written = await run("return {board: await codemode.tracker_screenshot(), note: 'today'}")

    assert written.text == '{"board":"[image 1]","note":"today"}'
    assert written.blocks[1:] == ({"type": "image", "data": PNG, "mimeType": "image/png"},)
    assert PNG not in written.text


async def test_emitted_blocks_are_added_to_the_answer(run: Run) -> None:
    written = await run(
        "codemode.emit('first'); const shot = await codemode.tracker_screenshot();"
        "await codemode.emit(shot);"
        "await codemode.emit({type: 'file', name: 'a.csv', mimeType: 'text/csv', data: 'YQ=='});"
        "return 'done'"
    )

    assert written.text.splitlines()[:2] == ["first", "done"]
    assert [block["type"] for block in written.blocks] == ["text", "image", "resource"]


@pytest.mark.parametrize(
    ("end", "least_shown"),
    [("", 20_000), ("return 'x'.repeat(40_000)", 9_000), ("throw new Error('stop')", 20_000)],
    ids=["no value", "a long value", "an error"],
)
async def test_emitted_text_and_the_rest_of_an_answer_share_its_room(run: Run, end: str, least_shown: int) -> None:
    written = await run(f"for (let i = 0; i < 100; i++) codemode.emit('line\\n'.repeat(400)); {end}")

    assert len(written.text) <= 24_400
    assert 5 * written.text.count("line\n") >= least_shown
    assert "lines of the text that was emitted]" in written.text


async def test_what_one_run_emits_is_bounded_and_what_fits_is_sent(
    sandbox: Sandbox, catalog: Catalog, upstream: Upstream
) -> None:
    emit = "codemode.emit({type: 'image', mimeType: 'image/png', data: 'A'.repeat(400)})"
    async with Engine(sandbox, limits=EngineLimits(run=Limits(result_bytes=1_000))) as engine:
        fitting = await engine.code(f"await {emit}; await {emit}", catalog=catalog, invoker=upstream)
        beyond = await engine.code(
            f"await {emit}; await {emit}; try {{ await {emit} }} catch (error) {{ return `${{error}}` }}",
            catalog=catalog,
            invoker=upstream,
        )

    assert len(fitting.blocks) == len(beyond.blocks) == 3
    assert beyond.text == "RangeError: emit: one run may emit 1000 bytes in all; emit what the answer needs"


async def test_search_and_describe_answers_are_typescript(run: Run) -> None:
    found = await run("return codemode.search('add a comment', {limit: 1})")
    described = await run("return codemode.describe('tracker_get_issue')")

    assert "tracker_create_comment(" in found.text
    assert not found.text.startswith("[")
    assert "tracker_get_issue(" in described.text
    assert '"short"|"full"' in described.text


async def test_a_search_that_finds_nothing_says_so(run: Run) -> None:
    nothing = await run("return codemode.search('quantum chromodynamics')")
    misspelt = await run("return codemode.search('/trackr_get_isue/')")

    assert nothing.text == '[]\n[no tool matches "quantum chromodynamics"]'
    assert "names that look alike: tracker_get_issue" in misspelt.text


async def test_of_searches_that_find_nothing_the_first_three_are_told_and_the_heads_of_their_queries(run: Run) -> None:
    written = await run("for (let i = 0; i < 9; i++) await codemode.search(`zz${i}` + 'q'.repeat(100_000)); return 1")

    told = [f'[no tool matches "zz{number}{"q" * 77}"…]' for number in range(3)]
    assert written.text.splitlines() == ["1", *told]


async def test_a_long_list_is_cut_between_items_and_the_whole_of_it_stays_within_reach(run: Run) -> None:
    cut = await run("const {items} = await codemode.tracker_list_issues({}); return items")
    body, note = cut.text.rsplit("\n", 1)
    kept = json.loads(body)
    run_id = note.split('"')[1]

    again = await run(f"const items = await codemode.result('{run_id}'); return [items.length, items.at(-1).id]")

    assert len(cut.text) <= 24_200
    assert kept[0]["id"] == 1
    assert note == f'[cut: {len(kept)} of 500 items; all of it: codemode.result("{run_id}")]'
    assert again.text == "[500,500]"


async def test_the_whole_of_a_cut_value_is_promised_only_where_it_is_kept(
    sandbox: Sandbox, catalog: Catalog, upstream: Upstream
) -> None:
    async with Engine(sandbox, limits=EngineLimits(kept_bytes=200)) as engine:
        cut = await engine.code("return 'x'.repeat(30_000)", catalog=catalog, invoker=upstream)

    assert cut.text.splitlines()[1:] == ["[cut: 24000 of 30000 characters; the rest is not kept: return less]"]


async def test_each_large_part_of_an_object_gets_a_fair_share_and_small_ones_stay_whole(run: Run) -> None:
    cut = await run("const {items} = await codemode.tracker_list_issues({}); return {total: 500, a: items, b: items}")
    body, note = cut.text.rsplit("\n", 1)
    value = json.loads(body)

    assert value["total"] == 500
    assert abs(len(value["a"]) - len(value["b"])) <= 2
    assert f"a: {len(value['a'])} of 500 items; b: {len(value['b'])} of 500 items" in note


async def test_what_lies_more_than_ten_levels_deep_is_left_out_rather_than_cut(run: Run) -> None:
    deep = await run("let v = 'x'.repeat(30_000); for (let i = 0; i < 10; i++) v = {in: v}; return v")
    deeper = await run("let v = 'x'.repeat(30_000); for (let i = 0; i < 11; i++) v = {in: v}; return v")
    deepest = await run("let v = 'x'.repeat(30_000); for (let i = 0; i < 99; i++) v = [v]; return v")

    assert deep.text.startswith('{"in":' * 10 + '"xxx')
    assert deeper.text.startswith('{"in":' * 9 + "{" + "}" * 10 + "\n")
    assert f"cut: {'.'.join(['in'] * 9)}: 1 of 1 keys left out: in; all of it" in deeper.text
    assert deepest.text.startswith("[" * 10 + "]" * 10 + "\n")


async def test_a_cut_value_with_very_long_keys_or_many_parts_is_cut_in_few_words(run: Run) -> None:
    long_keys = await run("return Object.fromEntries([...'abcd'].map(c => [c.repeat(50_000), 1]))")
    many_parts = await run("return Array.from({length: 4}, () => Array.from({length: 9}, () => 'x'.repeat(9_000)))")

    assert len(long_keys.text) < 500
    assert len(many_parts.text) < 24_500


async def test_a_long_text_is_cut_between_lines(run: Run) -> None:
    cut = await run("return Array.from({length: 5000}, (_, i) => `line ${i} of the report`).join('\\n')")
    lines = cut.text.splitlines()

    assert len(cut.text) <= 24_200
    assert lines[-2].endswith(" of the report")
    assert f"{len(lines) - 1} of 5000 lines" in lines[-1]


async def test_a_kept_result_is_useless_to_another_owner(engine: Engine, catalog: Catalog, upstream: Upstream) -> None:
    long_answer = "return Array.from({length: 9000}, (_, i) => i)"
    mine = await engine.code(long_answer, catalog=catalog, invoker=upstream, owner="ada")
    run_id = mine.text.rsplit('"', 2)[1]

    theirs = await engine.code(f"return codemode.result('{run_id}')", catalog=catalog, invoker=upstream, owner="eve")

    assert theirs.is_error
    assert "is kept: run that program again" in theirs.text


async def test_a_long_console_keeps_its_head_and_its_tail(run: Run) -> None:
    written = await run("for (let i = 0; i < 5000; i++) console.log('line ' + i); return 'ok'")
    lines = written.text.splitlines()

    assert lines[:3] == ["ok", "--- logs", "line 0"]
    assert lines[-1] == "line 4999"
    assert any(line.startswith("[cut: ") and line.endswith("of 5000 log lines]") for line in lines)


async def test_the_record_of_a_run_holds_counts_and_no_arguments(run: Run) -> None:
    written = await run("await codemode.tracker_greet({name: 's3cret'}); return 's3cret'")
    record = written.run.as_json()

    assert record["status"] == "ok"
    assert record["tools"] == {"tracker_greet": 1}
    assert "s3cret" not in json.dumps(record)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("ok", "Error"),
        ("running", "Error"),
        ("NotRun", "Error"),
        ("Cancelled", "Error"),
        ("x".ljust(500, "x") + "Error", "Error"),
        ("RateError", "RateError"),
    ],
)
async def test_no_name_that_a_program_gives_its_error_hides_that_it_failed(run: Run, name: str, status: str) -> None:
    written = await run(f"const error = new Error('no'); error.name = '{name}'; throw error")

    assert written.is_error
    assert written.run.status == status
    assert written.text.startswith(name[:100])
    assert len(written.text) < 400


@pytest.mark.parametrize("line", [-1, 0, 3, 2**31, 2**70])
def test_a_line_that_the_program_does_not_have_is_not_quoted(catalog: Catalog, line: int) -> None:
    error = ProgramError("no", name="Error", line=line, column=1)

    assert failure_text(error, source="one\ntwo", catalog=catalog) == f"Error at {line}:1: no"


async def test_a_shortened_declaration_says_how_to_see_the_whole_and_depth_shows_it(
    engine: Engine, upstream: Upstream
) -> None:
    nested: JsonObject = schema()
    for level in range(8):
        members: JsonObject = {f"member_{level}_{number}": {"type": "string"} for number in range(12)}
        nested = {"type": "object", "properties": {**members, "inner": nested}}
    catalog = Catalog.build([ServerTools(id="deep", tools=(Tool(name="dig", input_schema=schema(plan=nested)),))])

    short = await engine.code("return codemode.describe('deep_dig')", catalog=catalog, invoker=upstream)
    whole = await engine.code("return codemode.describe('deep_dig', {depth: 9})", catalog=catalog, invoker=upstream)

    note = "[some types are shortened: codemode.describe(name, {depth: 3}) shows them whole]"
    assert short.text.endswith(note)
    assert "member_0_11" not in short.text
    assert "member_0_11" in whole.text

"""The check of a whole program before it runs: certain errors stop it, nothing else does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import Catalog, Engine, EngineLimits, ServerTools
from engine._check import check_program
from sandbox import Limits
from typegen import Tool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine import Answer, JsonObject
    from sandbox import Sandbox
    from tests.engine.conftest import Upstream

    Run = Callable[[str], Awaitable[Answer]]


async def test_one_answer_lists_every_finding_and_no_server_is_called(run: Run, upstream: Upstream) -> None:
    answer = await run(
        "const all = await codemode.tracker_list_issues({ limit: 5 });\n"
        "const one = await codemode.tracker_get_isue({ id: 1 });\n"
        "const two = await codemode.tracker_get_issue({ issue: 2 });\n"
        'for (const { id } of all.items) await codemode.tracker_create_comment({ id, txt: "seen" });\n'
        'return await codemode.raw("tracker_get_issue", { id: "7", detail: "long" });'
    )

    assert answer.text.splitlines()[:5] == [
        "Not run; no tool was called.",
        "2:19 tracker_get_isue: no such tool. Nearest: tracker_get_issue, tracker_list_issues, tracker_greet",
        '3:19 tracker_get_issue: unknown "issue" (did you mean id?), missing "id"',
        '4:39 tracker_create_comment: unknown "txt" (did you mean text?), missing "text"',
        (
            '5:14 tracker_get_issue: "id": expected integer, got "7", '
            '"detail": expected one of ["short","full"], got "long"'
        ),
    ]
    assert "tracker_get_issue(args: { id: number" in answer.text
    assert answer.text.count("tracker_get_issue(args") == 1
    assert answer.is_error
    assert answer.run.status == "NotRun"
    assert upstream.calls == []


@pytest.mark.parametrize(
    "program",
    [
        "const name = 'tracker_' + 'greet'; return codemode[name]()",
        "const args = {}; args.id = 3; return codemode.tracker_get_issue(args)",
        "const more = { id: 3 }; return codemode.tracker_get_issue({ ...more })",
        "const key = 'id'; return codemode.tracker_get_issue({ [key]: 3 })",
        "const id = 3; return codemode.tracker_get_issue({ id, detail: undefined })",
        "const local = { nope: () => 1 }; return (codemode => codemode.nope())(local)",
        "const own = { codemode: { nope: () => 1 } }; return own.codemode.nope()",
        "return 'codemode.nope()' + `codemode.nope({})`",
        "// codemode.nope()\nreturn 1 /* codemode.nope() */",
        "return codemode.nope?.name ?? 'absent'",
        "return codemode.tracker_create_comment({ id: +'3', text: `note ${1 + 1}` })",
        "return codemode.tracker_list_issues({ limit: 2 * 3 })",
        "return codemode.search('greet', { limit: 1 })",
        "return codemode.tracker_list_issues(null)",
        "return codemode.trackerGetIssue({ id: 1 })",
    ],
)
async def test_what_is_not_certain_is_not_stopped(run: Run, program: str) -> None:
    assert (await run(program)).run.status == "ok"


@pytest.mark.parametrize(
    ("program", "note"),
    [
        ("const n = codemode.tracker_list_issues({}).items; return 1", "is a promise, used by .items"),
        ("for (const x of codemode.tracker_list_issues({})) {} return 1", "is a promise, used by for … of"),
    ],
)
async def test_a_missing_await_is_flagged(run: Run, program: str, note: str) -> None:
    answer = await run(program)

    assert f"await is missing at 1:{program.index('codemode') + 1}" in answer.text
    assert note in answer.text


async def test_of_very_many_missing_awaits_the_first_are_told_and_the_others_counted(run: Run) -> None:
    answer = await run("codemode.tracker_list_issues({}).items;" * 30 + "return 1")

    assert answer.text.count("await is missing at 1:") == 5
    assert "[await is missing at 25 more places]" in answer.text


@pytest.mark.parametrize(("calls", "end"), [(20, "Nearest: tracker_get_issue"), (21, "and more"), (999, "and more")])
async def test_the_first_twenty_findings_are_told(
    run: Run, sandbox: Sandbox, catalog: Catalog, calls: int, end: str
) -> None:
    program = "codemode.tracker_get_issu();" * calls
    facts = await sandbox.analyse(program, namespace="codemode", owner="ada")

    findings = check_program(facts, catalog)
    answer = await run(program)

    assert len(findings) == min(calls, 21)
    assert answer.text.count("Nearest: ") == 20
    assert end in answer.text.splitlines()[-1]


async def test_the_declarations_of_misused_tools_stay_within_an_answer(engine: Engine, upstream: Upstream) -> None:
    members: JsonObject = {f"a_long_name_of_a_member_{number}": {"type": "string"} for number in range(300)}
    wide: JsonObject = {"type": "object", "properties": members, "required": list(members)}
    tools = tuple(Tool(name=f"send_{number}", input_schema=wide) for number in range(10))
    catalog = Catalog.build([ServerTools(id="wide", tools=tools)])

    program = "".join(f"codemode.wide_send_{number}();" for number in range(10))
    answer = await engine.code(program, catalog=catalog, invoker=upstream)

    assert answer.text.count("missing") == 50
    assert 1 <= answer.text.count("(args: ") <= 3
    assert len(answer.text) <= 24_100


@pytest.mark.parametrize(
    "program",
    [
        (
            "interface Issue { id: number; title: string }\n"
            "const issue: Issue = await codemode.tracker_get_issue({ id: 3 });\nreturn issue.title;"
        ),
        (
            "const get = async (id: number): Promise<string> =>\n"
            "  ((await codemode.tracker_get_issue({ id })) as any).title!;\nreturn await get(3);"
        ),
        (
            "async (): Promise<string> => {\n  const ids = new Map<string, number>([['a', 3]]);\n"
            "  return (await codemode.tracker_get_issue({ id: ids.get('a')! satisfies number })).title as string;\n}"
        ),
        (
            "class Reader<T> {\n  private readonly ids: T[] = [];\n"
            "  add(id: T): this { this.ids.push(id); return this }\n"
            "  async first(this: Reader<number>) { return codemode.tracker_get_issue({ id: this.ids[0] as number }) }\n"
            "}\n"
            "return (await new Reader<number>().add(3).first()).title"
        ),
        (
            "const a = 3 as number\n;[a].forEach((n: number) => n)\nconst b = a as any\n(0, 1)\n"
            "return (await codemode.tracker_get_issue({ id: b })).title"
        ),
    ],
    ids=["interface", "casts", "generics", "class", "line ends"],
)
async def test_erasable_typescript_runs(run: Run, program: str) -> None:
    assert (await run(program)).text == "Issue 3"


async def test_positions_are_those_of_the_typescript_that_was_sent(run: Run) -> None:
    answer = await run("const big: Record<string, number> = { a: 1 };\nconst x: any = null; return x.y as string;")

    assert answer.text.startswith("TypeError at 2:2")
    assert "  2 | const x: any = null; return x.y as string;" in answer.text


@pytest.mark.parametrize(
    ("program", "finding"),
    [
        (
            "enum Color { Red }\nreturn Color.Red",
            "1:1 TypeScript that cannot be erased, enum: write const NAME = {...}",
        ),
        ("namespace N { export const a = 1 }\nreturn N.a", "1:1 TypeScript that cannot be erased, namespace"),
        ("class P { constructor(private x: number) {} }\nreturn 1", "1:23 TypeScript that cannot be erased, parameter"),
    ],
)
async def test_other_typescript_is_named_with_its_position(run: Run, program: str, finding: str) -> None:
    answer = await run(program)

    assert answer.text.startswith(f"Not run; no tool was called.\n{finding}")


async def test_javascript_wins_where_the_grammar_of_typescript_sees_types(run: Run) -> None:
    assert (await run("const a = 1, b = 2, c = 3; return a < b > (c)")).text == "false"


async def test_a_program_too_long_to_be_read_first_runs_unread(run: Run) -> None:
    answer = await run(f"const text = '{'x' * 70_000}'; return text.length")

    assert answer.text == "70000"


ARGUMENTS = {
    "tracker_list_issues": st.fixed_dictionaries({}, optional={"open": st.booleans(), "limit": st.integers(1, 9)}),
    "tracker_get_issue": st.fixed_dictionaries(
        {"id": st.integers(1, 500)}, optional={"detail": st.sampled_from(["short", "full"])}
    ),
    "tracker_create_comment": st.fixed_dictionaries({"id": st.integers(1, 26), "text": st.text(max_size=20)}),
    "tracker_greet": st.fixed_dictionaries({}, optional={"name": st.text(max_size=8)}),
}
FORMS = (
    "return await codemode.{name}({arguments})",
    "const result = codemode['{name}']({arguments}); return await result",
    "const send = async args => codemode.{name}(args); return send({arguments})",
    "return (await Promise.all([1, 2].map(() => codemode.{name}({arguments})))).length",
    "const {{ {name}: call }} = codemode; return call({arguments})",
    "try {{ return await codemode.raw('{name}', {arguments}) }} catch (error) {{ return error.message }}",
    "const result: unknown = await codemode.{name}({arguments} as any); return result",
)
CALLS = st.sampled_from(sorted(ARGUMENTS)).flatmap(lambda name: st.tuples(st.just(name), ARGUMENTS[name]))


async def test_no_valid_program_is_stopped(sandbox: Sandbox, catalog: Catalog, upstream: Upstream) -> None:
    """200 programs made from what the schemas allow, in the forms that models write."""
    programs: list[str] = []

    @settings(max_examples=200, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(call=CALLS, form=st.sampled_from(FORMS))
    def generate(call: tuple[str, dict[str, object]], form: str) -> None:
        programs.append(form.format(name=call[0], arguments=json.dumps(call[1])))

    generate()
    async with Engine(sandbox, limits=EngineLimits(run=Limits(wall_s=20.0))) as engine:
        stopped = [
            (program, answer.text)
            for program in programs
            if (answer := await engine.code(program, catalog=catalog, invoker=upstream)).run.status != "ok"
        ]

    assert len(programs) >= 200
    assert stopped == []

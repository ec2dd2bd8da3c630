"""Thirty programs as language models write them: each works, or its answer says in one step how to mend it.

The tokens of each answer (o200k) are recorded here: an answer that grows is a change that somebody must want.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from portal._tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine import Answer


@dataclass(frozen=True, kw_only=True)
class Written:
    """One program, the answer that it must get (``…`` at the end: what it begins with), and the answer's tokens."""

    name: str
    program: str
    answer: str
    tokens: int
    is_error: bool = False


PROGRAMS = (
    Written(
        name="an async arrow function",
        program="""
            async () => {
              const { items } = await codemode.tracker_list_issues({ open: false });
              return items.length;
            }""",
        answer="166",
        tokens=1,
    ),
    Written(
        name="an async arrow function with a semicolon",
        program="async () => { return (await codemode.tracker_get_issue({ id: 7 })).title; };",
        answer="Issue 7",
        tokens=3,
    ),
    Written(
        name="a forgotten await",
        program="const issue = codemode.tracker_get_issue({ id: 7 });\nreturn issue.title;",
        answer=(
            "[no result: the program returned undefined; return a value, or print one with console.log]\n"
            "[not awaited: codemode.tracker_get_issue at 1:24; "
            "the calls finished, but write await to use what they return]"
        ),
        tokens=49,
    ),
    Written(
        name="a promise returned without await",
        program="return codemode.tracker_get_issue({ id: 7 }).then(issue => issue.title)",
        answer="Issue 7",
        tokens=3,
    ),
    Written(
        name="promises inside the returned value",
        program="return { a: codemode.tracker_greet({ name: 'Ada' }), b: [codemode.tracker_greet()] }",
        answer='{"a":"Hello, Ada!","b":["Hello, world!"]}',
        tokens=16,
    ),
    Written(
        name="a top-level return among statements",
        program="""
            const issue = await codemode.tracker_get_issue({ id: 7 });
            if (!issue.open) return "closed";
            return `${issue.title} is open`;""",
        answer="Issue 7 is open",
        tokens=5,
    ),
    Written(
        name="fences and prose",
        program="""
            Here is the program that you asked for. It uses `codemode`:

            ```javascript
            const { items } = await codemode.tracker_list_issues({ limit: 2 });
            return items.map(issue => issue.id);
            ```

            It returns the ids.""",
        answer="[1,2]",
        tokens=5,
    ),
    Written(
        name="the last expression",
        program="const { items } = await codemode.tracker_list_issues({ open: true });\nitems.length",
        answer="334",
        tokens=1,
    ),
    Written(
        name="the console only",
        program="const issue = await codemode.tracker_get_issue({ id: 7 });\nconsole.log(issue.title, issue.votes);",
        answer="Issue 7 0",
        tokens=5,
    ),
    Written(
        name="camelCase names",
        program="return (await codemode.trackerListIssues({ limit: 1 })).items[0].title",
        answer="Issue 1",
        tokens=3,
    ),
    Written(
        name="a name in brackets",
        program='return await codemode["tracker_greet"]({ name: "Ada" })',
        answer="Hello, Ada!",
        tokens=4,
    ),
    Written(
        name="destructured methods",
        program="const { tracker_greet, tracker_get_issue: get } = codemode;\n"
        "return [await tracker_greet(), (await get({ id: 2 })).id]",
        answer='["Hello, world!",2]',
        tokens=7,
    ),
    Written(
        name="Promise.all over a map",
        program="""
            const ids = Array.from({ length: 20 }, (_, i) => i + 1);
            const issues = await Promise.all(ids.map(id => codemode.tracker_get_issue({ id })));
            return issues.filter(i => i.open).reduce((sum, i) => sum + i.votes, 0);""",
        answer="42",
        tokens=1,
    ),
    Written(
        name="Promise.allSettled",
        program="""
            const results = await Promise.allSettled([1, 9999].map(id => codemode.tracker_get_issue({ id })));
            return results.map(r => r.status === "fulfilled" ? r.value.title : r.reason.message);""",
        answer='["Issue 1","404 no issue 9999"]',
        tokens=12,
    ),
    Written(
        name="forEach with an async callback",
        program="""
            const titles = [];
            [1, 2, 3].forEach(async id => {
              const issue = await codemode.tracker_get_issue({ id });
              titles.push(issue.title);
            });
            return titles;""",
        answer='["Issue 1","Issue 2","Issue 3"]',
        tokens=13,
    ),
    Written(
        name="for await",
        program="""
            let votes = 0;
            for await (const issue of [1, 2, 3].map(id => codemode.tracker_get_issue({ id }))) votes += issue.votes;
            return votes;""",
        answer="6",
        tokens=1,
    ),
    Written(
        name="an async generator",
        program="""
            async function* pages(size) {
              for (let id = 1; id <= 6; id += size)
                yield await Promise.all([...Array(size).keys()].map(n => codemode.tracker_get_issue({ id: id + n })));
            }
            const all = [];
            for await (const page of pages(3)) all.push(page.length);
            return all;""",
        answer="[3,3]",
        tokens=5,
    ),
    Written(
        name="a class",
        program="""
            class Tally {
              #counts = new Map();
              add(key) { this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1); return this; }
              get top() { return [...this.#counts].sort((a, b) => b[1] - a[1])[0]; }
            }
            const { items } = await codemode.tracker_list_issues({ limit: 50 });
            return items.reduce((tally, issue) => tally.add(issue.votes), new Tally()).top;""",
        answer="[1,8]",
        tokens=5,
    ),
    Written(
        name="labelled loops",
        program="""
            search: for (let a = 1; a < 100; a++) {
              for (let b = a; b < 100; b++) {
                if (a * b === 391) { console.log(a, b); break search; }
              }
            }""",
        answer="17 23",
        tokens=3,
    ),
    Written(
        name="a result that is JSON text, parsed once more",
        program="""
            const report = await codemode.tracker_report();
            const data = typeof report === "string" ? JSON.parse(report) : report;
            return data.open / (data.open + data.closed);""",
        answer="0.668",
        tokens=3,
    ),
    Written(
        name="fetch",
        program='const response = await fetch("https://example.com");\nreturn response.status;',
        answer="ReferenceError at 1:24: fetch is not defined: there is no network in here: call a tool instead, …",
        tokens=51,
        is_error=True,
    ),
    Written(
        name="require",
        program='const fs = require("fs");\nreturn fs.readFileSync("a", "utf8");',
        answer="ReferenceError at 1:12: require is not defined: there are no modules in here: …",
        tokens=45,
        is_error=True,
    ),
    Written(
        name="an import statement",
        program='import fs from "node:fs";\nexport default fs.readFileSync("a");',
        answer="…",
        tokens=52,
        is_error=True,
    ),
    Written(
        name="process.env",
        program="return process.env.TOKEN",
        answer="ReferenceError at 1:8: process is not defined: there is no process, environment or file system in …",
        tokens=39,
        is_error=True,
    ),
    Written(
        name="a sleep between calls",
        program="""
            const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));
            const seen = [];
            for (const id of [1, 2]) { seen.push((await codemode.tracker_get_issue({ id })).id); await sleep(5); }
            return seen;""",
        answer="[1,2]",
        tokens=5,
    ),
    Written(
        name="a main function that is called",
        program="""
            async function main() {
              const issue = await codemode.tracker_get_issue({ id: 3 });
              return issue.title;
            }
            main();""",
        answer="Issue 3",
        tokens=3,
    ),
    Written(
        name="a main function that nobody calls",
        program="async function main() {\n  return (await codemode.tracker_get_issue({ id: 3 })).title;\n}",
        answer="Issue 3",
        tokens=3,
    ),
    Written(
        name="an immediately invoked function",
        program="(async () => {\n  return (await codemode.tracker_get_issue({ id: 3 })).title;\n})();",
        answer="Issue 3",
        tokens=3,
    ),
    Written(
        name="a module with a default export",
        program="const id = 3;\n"
        "export default async function run() { return (await codemode.tracker_get_issue({ id })).title }",
        answer="Issue 3",
        tokens=3,
    ),
    Written(
        name="an error that is caught and rethrown",
        program="""
            try {
              await codemode.tracker_create_comment({ id: 27, text: "hi" });
            } catch (error) {
              if (!(error instanceof ToolError)) throw error;
              return { failed: error.tool, why: error.message };
            }""",
        answer='{"failed":"create_comment","why":"403 Resource not accessible"}',
        tokens=13,
    ),
    Written(
        name="a property of undefined",
        program="const issue = await codemode.tracker_get_issue({ id: 3 });\nreturn issue.author.name;",
        answer="TypeError at 2:…",
        tokens=80,
        is_error=True,
    ),
    Written(
        name="a syntax error",
        program="const issue = await codemode.tracker_get_issue({ id: 3 );\nreturn issue;",
        answer="SyntaxError at 1:…",
        tokens=32,
        is_error=True,
    ),
    Written(
        name="a list of searches",
        program='return await codemode.search(["comment on an issue", "read file"], { limit: 1 })',
        answer="…",
        tokens=47,
    ),
)


@pytest.mark.parametrize("written", PROGRAMS, ids=lambda written: written.name)
async def test_a_program_as_a_model_writes_it_works_or_is_told_how(
    run: Callable[[str], Awaitable[Answer]], written: Written
) -> None:
    answer = await run(dedent(written.program).strip("\n"))

    expected, is_whole = written.answer.removesuffix("…"), not written.answer.endswith("…")
    assert (answer.text if is_whole else answer.text[: len(expected)]) == expected
    assert answer.is_error == written.is_error
    assert count_tokens(answer.text.replace(answer.run.run_id, "r7k2mq")) == written.tokens

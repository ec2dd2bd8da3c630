"""One program composes four real servers: three from npm, over HTTP and stdio, and one from PyPI."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.acceptance._clients import SdkClient

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance._running import RunningPortal

PROGRAM = """
// Which open notes are worth remembering, and how are the points spread?
const { content: listing } = await codemode.files_list_directory({ path: NOTES });
const names = listing.split("\\n").map(line => line.replace("[FILE] ", ""));

const unreadable = [];
const read = await Promise.all(names.map(async name => {
  const { content } = await codemode.files_read_text_file({ path: `${NOTES}/${name}` });
  try { return JSON.parse(content); } catch { unreadable.push(name); }
}));
const notes = read.filter(Boolean);

const points = {};
for (const { owner, points: worth } of notes) points[owner] = (points[owner] ?? 0) + worth;

const log = await codemode.git_git_log({ repo_path: REPOSITORY });
const closed = new Set([...log.matchAll(/Close note (\\d+)/g)].map(match => Number(match[1])));

const entities = [];
for (const note of notes) {
  if (closed.has(note.id)) continue;
  if (note.points % 2 === 0) continue;
  entities.push({ name: `note-${note.id}`, entityType: "open note", observations: [`${note.points} points`] });
}
await codemode.memory_create_entities({ entities });
const graph = await codemode.memory_read_graph();

let refusal;
try {
  await codemode.files_read_text_file({ path: "/etc/hostname" });
} catch (error) {
  const { name, server, tool, message } = error;
  refusal = { isToolError: error instanceof ToolError, name, server, tool, denied: message.includes("Access denied") };
}

return {
  points,
  unreadable,
  closed,
  remembered: graph.entities.filter(entity => entity.entityType === "open note").length,
  together: await codemode["everything_get_sum"]({ a: points.ada, b: points.grace }),
  refusal,
};
"""


async def test_a_program_over_four_real_servers_returns_the_right_answer(
    portal: RunningPortal, notes: Path, repository: Path
) -> None:
    constants = f"const NOTES = {json.dumps(str(notes))}, REPOSITORY = {json.dumps(str(repository))};"
    async with SdkClient(mode="auto").connect(portal.code_mode_url) as session:
        answer = await session.call("code", {"code": constants + PROGRAM})

    assert json.loads(answer) == {
        "points": {"ada": 84, "grace": 92, "linus": 100},
        "unreadable": ["broken.json"],
        "closed": [8, 5, 3],
        "remembered": 10,
        "together": "The sum of 84 and 92 is 176.",
        "refusal": {
            "isToolError": True,
            "name": "ToolError",
            "server": "files",
            "tool": "read_text_file",
            "denied": True,
        },
    }


async def test_a_tool_that_nobody_offers_is_named_with_its_place_and_its_nearest_names(portal: RunningPortal) -> None:
    async with SdkClient(mode="auto").connect(portal.code_mode_url) as session:
        answer = await session.call("code", {"code": "return await codemode.files_read_txt_file({ path: '/' })"})

    assert answer.startswith("Not run; no tool was called.\n1:14 files_read_txt_file: no such tool.")
    assert "files_read_text_file" in answer


async def test_wrong_literal_arguments_are_told_before_anything_runs(portal: RunningPortal) -> None:
    async with SdkClient(mode="auto").connect(portal.code_mode_url) as session:
        answer = await session.call("code", {"code": "return await codemode.everything_get_sum({ a: 'one', b: 2 })"})

    assert answer.startswith('Not run; no tool was called.\n1:14 everything_get_sum: "a": expected number, got "one"\n')


async def test_wrong_computed_arguments_are_refused_before_they_leave(portal: RunningPortal) -> None:
    program = "const a = ['one'].at(0);\nreturn await codemode.everything_get_sum({ a, b: 2 })"
    async with SdkClient(mode="auto").connect(portal.code_mode_url) as session:
        answer = await session.call("code", {"code": program})

    assert answer.startswith("ToolError at 2:")
    assert 'everything_get_sum: "a": expected number, got "one"' in answer


async def test_a_syntax_error_is_told_with_its_line_column_and_source(portal: RunningPortal) -> None:
    async with SdkClient(mode="auto").connect(portal.code_mode_url) as session:
        answer = await session.call("code", {"code": "const a = 1;\nconst b = = 2;\nreturn a"})

    assert "2:11" in answer
    assert "const b = = 2;" in answer

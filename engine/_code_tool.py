"""The one tool of code mode, as a model reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typegen import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typegen import JsonObject

_SERVER_NAMES_TOKENS = 90
"""By an estimate that errs upwards: with ``and 12 more`` at most 100."""

_DESCRIPTION = """\
Run one JavaScript program that calls tools of these servers: {servers}. Only what it returns, and its console output, \
comes back: fetch, join, filter and count inside the program.

1. Find tools: `return await codemode.search("create issue")` (a list of queries works too) gives typed declarations.
2. Call them: each tool is a method that takes one object, `await codemode.<server>_<tool>({{...}})`.

```js
async () => {{
  const {{ items }} = await codemode.tracker_list_issues({{ state: "open" }});
  const full = await Promise.all(items.map(({{ id }}) => codemode.tracker_get_issue({{ id }})));
  return full.filter(issue => issue.comments.length > 5).map(issue => issue.title);
}}
```

Results are unwrapped values; a failed call throws ToolError (server, tool, message, code, data). Run independent \
calls with Promise.all. Also: codemode.describe(name | names[], {{depth?}}), codemode.servers(), \
codemode.raw(name, args) for the whole MCP result, codemode.emit(block) to add an image or \
file. There is no fetch, import, require or file system."""


def code_tool(server_ids: Iterable[str]) -> JsonObject:
    """Return the MCP definition of the tool ``code`` for a portal of these servers, at most 450 tokens (o200k).

    It depends on the server ids alone: the same with three tools and with thousands.
    """
    return {
        "name": "code",
        "title": "Run code over tools",
        "description": _DESCRIPTION.format(servers=servers_named(sorted(server_ids))),
        "inputSchema": {
            "type": "object",
            "properties": {
                "code": {"type": "string", "description": "JavaScript: an async arrow function, or a script"},
                "resume": {
                    "type": "string",
                    "description": "Id of a failed run: its finished calls are not sent again",
                },
            },
            "required": ["code"],
            "additionalProperties": False,
        },
        "annotations": {"openWorldHint": True},
    }


def portal_instructions(server_ids: Iterable[str]) -> str:
    """Return the server instructions of a portal in code mode: the workflow in a line."""
    return (
        f"Tools of {servers_named(sorted(server_ids))} through one tool, code: write JavaScript, find tools with "
        "codemode.search(...), call them as codemode.<server>_<tool>({...}), return only what you need."
    )


def servers_named(server_ids: list[str]) -> str:
    """Name the servers in at most 100 tokens, then how many more there are."""
    named: list[str] = []
    room = _SERVER_NAMES_TOKENS
    for server_id in server_ids:
        room -= estimate_tokens(f"{server_id}, ")
        if room < 0:
            break
        named.append(server_id)
    more = len(server_ids) - len(named)
    if not server_ids:
        return "(none yet)"
    if not named:
        return f"{more} servers"
    return ", ".join(named) + (f" and {more} more" if more else "")

"""The tools ``query`` and ``execute``, for clients that search instead of listing every tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine._code_tool import servers_named
from engine._query import QUERY_LIMIT, QUERY_LIMIT_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typegen import JsonObject


def query_tool(server_ids: Iterable[str], *, calls_by: str) -> JsonObject:
    """Return the MCP definition of ``query``; ``calls_by`` says how a found tool is called, as in ``with execute``."""
    return {
        "name": "query",
        "title": "Find tools",
        "description": (
            f"Find tools of these servers: {servers_named(sorted(server_ids))}. Answers with typed declarations, best "
            f"first; call a tool {calls_by}."
        ),
        "inputSchema": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": 'What you need, as in "create issue"; or /regex/'},
                "server": {"type": "string", "description": "Only this server"},
                "limit": {"type": "integer", "minimum": 1, "maximum": QUERY_LIMIT_MAX, "default": QUERY_LIMIT},
                "detail": {"enum": ["names", "types", "schemas"], "default": "types"},
            },
            "required": ["query"],
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": True},
    }


def execute_tool(*, has_programs: bool = True) -> JsonObject:
    """Return the MCP definition of ``execute``. One flat object: model APIs refuse ``oneOf`` at the top of a schema.

    Where there are no programs it says nothing of them.
    """
    description = (
        "Call one tool (tool, arguments), or run a JavaScript program over several (code): each tool is a method, "
        "`await codemode.<server>_<tool>({...})`; results are unwrapped, a failed call throws ToolError, and only "
        "what the program returns comes back. Use code to loop, join and filter, with Promise.all for independent "
        "calls. Find tools with query."
    )
    properties: JsonObject = {
        "tool": {"type": "string", "description": "Name of one tool; not with code"},
        "arguments": {"type": "object", "description": "The tool's arguments"},
        "code": {"type": "string", "description": "JavaScript: an async arrow function, or a script"},
        "resume": {"type": "string", "description": "Id of a failed run: its finished calls are not sent again"},
    }
    if not has_programs:
        description = "Call one tool (tool, arguments). Find tools with query."
        properties["tool"] = {"type": "string", "description": "Name of the tool"}
        del properties["code"]
    return {
        "name": "execute",
        "title": "Call tools",
        "description": description,
        "inputSchema": {"type": "object", "properties": properties, "additionalProperties": False},
        "annotations": {"openWorldHint": True},
    }

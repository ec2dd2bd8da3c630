"""The tracker as an MCP server: the table of tools over the SDK's low-level server."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

import jsonschema_rs
import mcp_types as types
from mcp.server import Server, ServerRequestContext
from mcp.shared.exceptions import MCPError

from portal._version import VERSION
from portal.demo._errors import TrackerError
from portal.demo._tools import TOOLS, TrackerTool
from portal.demo._tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typegen import JsonValue

_INSTRUCTIONS: Final = "An issue tracker with a calendar: people, components, issues, comments and meetings."


def build_server(*, today: date | None = None) -> Server[dict[str, object]]:
    """Build a tracker of its own and the MCP server that answers for it.

    ``today`` is the day that the generated data hang on; without one it is the present day in UTC. Connect in memory:
    ``mcp.Client(build_server())``.
    """
    tracker = Tracker(today=today or datetime.now(UTC).date())
    tools = {tool.name: tool for tool in TOOLS}
    validators = {tool.name: jsonschema_rs.Draft202012Validator(tool.takes) for tool in TOOLS}
    listed = types.ListToolsResult(tools=[_definition(tool) for tool in TOOLS])

    async def list_tools(
        _context: ServerRequestContext[dict[str, object]], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return listed

    async def call_tool(
        _context: ServerRequestContext[dict[str, object]], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        tool = tools.get(params.name)
        if tool is None:
            # MCP 2026-07-28, server/tools "Error Handling": an unknown tool is a protocol error.
            raise MCPError(code=types.INVALID_PARAMS, message=f"Unknown tool: {params.name}")
        arguments = params.arguments or {}
        mistakes = _mistakes(validators[tool.name], arguments)
        if mistakes:
            return _failure(f"422 Unprocessable Entity: {mistakes}")
        try:
            return _success(tool.answer(tracker, **arguments))
        except TrackerError as error:
            return _failure(str(error))

    return Server(
        "portico-demo-tracker",
        title="Tracker",
        version=VERSION,
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=lambda name: tools[name].takes if name in tools else None,
    )


def _definition(tool: TrackerTool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.takes,
        output_schema=tool.returns,
        annotations=types.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.is_read_only,
            destructive_hint=tool.is_destructive,
            idempotent_hint=tool.is_read_only or tool.is_idempotent,
            open_world_hint=False,
        ),
    )


def _mistakes(validator: jsonschema_rs.Draft202012Validator, arguments: Mapping[str, JsonValue]) -> str:
    return "; ".join(
        f"{'.'.join(str(step) for step in error.instance_path) or 'arguments'}: {error.message}"
        for error in validator.iter_errors(arguments)
    )


def _success(value: Mapping[str, object]) -> types.CallToolResult:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=dict(value))


def _failure(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True)

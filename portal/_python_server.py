"""A provider as an MCP server in this process, so that it is an upstream like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mcp_types as types
from mcp import MCPError
from mcp.server import Server
from pydantic import ValidationError

from engine import UpstreamError, call_provider
from portal._version import VERSION

if TYPE_CHECKING:
    from mcp.server import ServerRequestContext

    from engine import Provider
    from typegen import JsonObject, Tool


def build_server(provider: Provider) -> Server[dict[str, object]]:
    """Build the MCP server that answers for ``provider``. Connect in memory: ``mcp.Client(build_server(provider))``."""

    async def list_tools(
        _context: ServerRequestContext[dict[str, object]], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_definition(tool) for tool in await provider.list_tools()])

    async def call_tool(
        _context: ServerRequestContext[dict[str, object]], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        try:
            return types.CallToolResult.model_validate(
                await call_provider(provider, params.name, params.arguments or {})
            )
        except UpstreamError as error:
            code = error.code if isinstance(error.code, int) else types.INTERNAL_ERROR
            raise MCPError(code=code, message=error.message, data=error.data) from error
        except ValidationError:
            message = f"{provider.id} answered with something that is no tool result"
            raise MCPError(code=types.INTERNAL_ERROR, message=message) from None

    return Server(f"portico-python-{provider.id}", version=VERSION, on_list_tools=list_tools, on_call_tool=call_tool)


def _definition(tool: Tool) -> types.Tool:
    definition: JsonObject = {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description or None,
        "inputSchema": dict(tool.input_schema),
        "outputSchema": dict(tool.output_schema) if tool.output_schema is not None else None,
        "annotations": dict(tool.annotations) if tool.annotations is not None else None,
    }
    return types.Tool.model_validate({key: value for key, value in definition.items() if value is not None})

"""The plainest proxy that the MCP SDK makes: its client behind its server; run in a process of its own."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn
from mcp import Client
from mcp.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

if TYPE_CHECKING:
    import mcp_types


def server_of(client: Client, tools: mcp_types.ListToolsResult) -> Server[Any]:
    """Return a server that hands every call to the client, and lists from memory."""

    async def listed(_: Any, __: mcp_types.PaginatedRequestParams | None) -> mcp_types.ListToolsResult:  # noqa: ANN401 -- the SDK's context
        return tools

    async def called(_: Any, params: mcp_types.CallToolRequestParams) -> mcp_types.CallToolResult:  # noqa: ANN401 -- likewise
        return await client.session.call_tool(params.name, params.arguments)

    schemas = {tool.name: tool.input_schema for tool in tools.tools}
    return Server("proxy", version="1", get_tool_input_schema=schemas.get, on_list_tools=listed, on_call_tool=called)


async def main(era: str, url: str) -> None:
    """Serve until killed."""
    async with Client(url, mode="legacy" if era == "legacy" else "auto", cache=None) as client:
        manager = StreamableHTTPSessionManager(server_of(client, await client.list_tools()))
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(manager.handle_request, interface="asgi3", lifespan="off", log_config=None, ws="none")
        async with manager.run():
            sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp\n")
            sys.stdout.flush()
            await uvicorn.Server(config).serve(sockets=[listener])


anyio.run(main, sys.argv[1], sys.argv[2], backend_options={"use_uvloop": True})

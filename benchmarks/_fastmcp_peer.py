"""Find, describe and call tools as FastMCP's code mode does; run in an environment of its own.

Reads ``{"tools": [definition, ...], "flows": [{"query", "tool", "arguments"}, ...]}`` and writes what a model is given
and reads: ``{"version", "list": [definition, ...], "flows": [[{"written", "read", "seconds"}, ...], ...]}``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastmcp import Client, FastMCP
from fastmcp.experimental.transforms.code_mode import CodeMode
from fastmcp.tools.base import Tool, ToolResult

Json = dict[str, Any]


class Stub(Tool):  # type: ignore[misc] # untyped where it is checked: it is installed in the peer's environment only
    """A tool that answers the same whatever it is asked."""

    async def run(self, arguments: Json) -> ToolResult:  # noqa: ARG002 - FastMCP's signature
        """Answer."""
        return ToolResult(structured_content={"ok": True})


def server_of(definitions: list[Json]) -> FastMCP:
    """Make a server of these tools in code mode."""
    server = FastMCP("peer", transforms=[CodeMode()])
    for one in definitions:
        server.add_tool(
            Stub(
                name=one["name"],
                description=one["description"],
                parameters=one["inputSchema"],
                output_schema=one.get("outputSchema"),
            )
        )
    return server


async def measure(asked: Json) -> Json:
    """Go through every flow with a client in this process."""
    async with Client(server_of(asked["tools"])) as client:
        listed = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in await client.list_tools()]

        async def call(tool: str, arguments: Json) -> Json:
            started = time.perf_counter()
            result = await client.call_tool(tool, arguments, raise_on_error=False)
            seconds = time.perf_counter() - started
            read = "\n".join(block.text for block in result.content if block.type == "text")
            return {"written": {"name": tool, "arguments": arguments}, "read": read, "seconds": seconds}

        flows = []
        for flow in asked["flows"]:
            code = f"return await call_tool({flow['tool']!r}, {flow['arguments']!r})"
            flows.append(
                [
                    await call("search", {"query": flow["query"]}),
                    await call("get_schema", {"tools": [flow["tool"]]}),
                    await call("execute", {"code": code}),
                ]
            )
        return {"version": version("fastmcp"), "list": listed, "flows": flows}


def main(source: str, target: str) -> None:
    """Read what is asked from one file and write the answers to another."""
    Path(target).write_text(json.dumps(asyncio.run(measure(json.loads(Path(source).read_text())))))


main(*sys.argv[1:])

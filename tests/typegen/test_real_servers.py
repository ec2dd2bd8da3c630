"""What real servers send: the compiler accepts it all, and it costs a fraction of their own schemas."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client

from typegen import Tool, declare, declare_module, estimate_tokens, identifier_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.typegen.conftest import Compiler

NPM = {
    "everything": ["@modelcontextprotocol/server-everything/dist/index.js"],
    "filesystem": ["@modelcontextprotocol/server-filesystem/dist/index.js", "/tmp"],
    "memory": ["@modelcontextprotocol/server-memory/dist/index.js"],
    "thinking": ["@modelcontextprotocol/server-sequential-thinking/dist/index.js"],
    "browser": ["@playwright/mcp/cli.js", "--headless"],
    "notion": ["@notionhq/notion-mcp-server/bin/cli.mjs"],
    "devtools": ["chrome-devtools-mcp/build/src/bin/chrome-devtools-mcp.js", "--headless"],
    "crawler": ["firecrawl-mcp/dist/index.js"],
}
DUMMIES = {"NOTION_TOKEN": "ntn_none", "FIRECRAWL_API_KEY": "fc-none"}
"""Listing tools needs no account, but two of them ask for the credential when they start."""
PYPI = {"git": "mcp_server_git", "time": "mcp_server_time"}


@pytest.fixture(params=[*NPM, *PYPI])
def server(request: pytest.FixtureRequest, node: Path, node_modules: Path) -> tuple[str, StdioServerParameters]:
    name: str = request.param
    if name in PYPI:
        return name, StdioServerParameters(command=sys.executable, args=["-m", PYPI[name]])
    script, *arguments = NPM[name]
    return name, StdioServerParameters(command=str(node), args=[str(node_modules / script), *arguments], env=DUMMIES)


async def tools_of(parameters: StdioServerParameters) -> list[Tool]:
    with anyio.fail_after(60):
        async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            listed = await session.list_tools()
    return [
        Tool(
            name=tool.name,
            description=tool.description or "",
            input_schema=tool.input_schema,
            output_schema=tool.output_schema,
        )
        for tool in listed.tools
    ]


async def test_the_tools_of_a_real_server_compile_and_shrink(
    server: tuple[str, StdioServerParameters], compiler: Compiler
) -> None:
    name, parameters = server

    tools = [(identifier_for(name, tool.name), tool) for tool in await tools_of(parameters)]

    whole = [declare(tool, identifier=identifier) for identifier, tool in tools]
    raw = sum(len(json.dumps([dict(tool.input_schema), tool.description], separators=(",", ":"))) for _, tool in tools)
    assert tools
    assert all(one.complete or one.stubs or "/* also" in one.text for one in whole)  # nothing is left out unnamed
    assert all(declare(tool, identifier=identifier, token_budget=None).complete for identifier, tool in tools)
    assert compiler.errors(declare_module(tools), name="module.d.ts") == {}
    assert sum(estimate_tokens(one.text) for one in whole) < raw / 4  # a token is about four characters of JSON

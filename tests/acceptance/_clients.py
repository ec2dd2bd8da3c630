"""Real MCP clients behind one face: what each lists, and what it gets from a call."""

from __future__ import annotations

import json
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio
from mcp import MCPError, StdioServerParameters
from mcp.client import Client
from mcp.types import TextContent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from typing import Literal

    from engine import JsonValue

CALL_TIMEOUT_S = 60.0


class ClientSession(Protocol):
    """One connection of a client to a portal."""

    async def tools(self) -> list[str]:
        """List the names of the tools, in the order in which the client got them."""

    async def call(self, name: str, arguments: Mapping[str, JsonValue]) -> str:
        """Call a tool and return the text of its first block, or of the protocol's error that it was refused with."""


class RealClient(Protocol):
    """A program or library that speaks MCP."""

    def connect(self, url: str) -> AbstractAsyncContextManager[ClientSession]:
        """Open a connection to ``url`` that ends with the block."""


@dataclass(frozen=True, slots=True)
class SdkSession:
    client: Client

    async def tools(self) -> list[str]:
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, name: str, arguments: Mapping[str, JsonValue]) -> str:
        try:
            result = await self.client.call_tool(name, dict(arguments))
        except MCPError as refusal:
            return refusal.message
        block = result.content[0]
        assert isinstance(block, TextContent)
        return block.text


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkClient:
    """The official Python SDK, over Streamable HTTP."""

    mode: Literal["legacy", "auto"]

    @asynccontextmanager
    async def connect(self, url: str) -> AsyncIterator[ClientSession]:
        async with Client(url, mode=self.mode, read_timeout_seconds=CALL_TIMEOUT_S) as client:
            yield SdkSession(client)


@dataclass(frozen=True, slots=True, kw_only=True)
class McpRemote:
    """mcp-remote, the bridge by which clients that speak only stdio reach HTTP, with the SDK's client before it."""

    mode: Literal["legacy", "auto"]
    node: Path
    node_modules: Path

    @asynccontextmanager
    async def connect(self, url: str) -> AsyncIterator[ClientSession]:
        program = self.node_modules / "mcp-remote/dist/proxy.js"
        bridge = StdioServerParameters(
            command=str(self.node), args=[str(program), url, "--transport", "http-only", "--allow-http"]
        )
        async with Client(bridge, mode=self.mode, read_timeout_seconds=CALL_TIMEOUT_S) as client:
            yield SdkSession(client)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspector:
    """The command line of the MCP Inspector, which connects anew for each request."""

    era: Literal["legacy", "auto", "modern"]
    node: Path
    node_modules: Path

    @asynccontextmanager
    async def connect(self, url: str) -> AsyncIterator[ClientSession]:
        yield InspectorSession(inspector=self, url=url)


class Refused(Exception):  # noqa: N818 -- named for what happened
    """Raised when the Inspector ended with an error; the text is what it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectorSession:
    inspector: Inspector
    url: str

    async def ask(self, method: str, *arguments: str) -> dict[str, JsonValue]:
        program = self.inspector.node_modules / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
        options = ["--transport", "http", "--protocol-era", self.inspector.era, "--quiet"]
        command = [str(self.inspector.node), str(program), "--cli", self.url, *options, "--method", method, *arguments]
        with anyio.fail_after(CALL_TIMEOUT_S):
            done = await anyio.run_process(command, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise Refused(done.stderr.decode())
        answer: dict[str, JsonValue] = json.loads(done.stdout)
        return answer

    async def tools(self) -> list[str]:
        tools = (await self.ask("tools/list"))["tools"]
        assert isinstance(tools, list)
        return [str(tool["name"]) for tool in tools if isinstance(tool, dict)]

    async def call(self, name: str, arguments: Mapping[str, JsonValue]) -> str:
        named = ("--tool-name", name, "--tool-args-json", json.dumps(dict(arguments)))
        try:
            blocks = (await self.ask("tools/call", *named))["content"]
        except Refused as refusal:
            return str(refusal)
        assert isinstance(blocks, list)
        block = blocks[0]
        assert isinstance(block, dict)
        return str(block["text"])

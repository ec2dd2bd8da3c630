"""A stdio server with a few tools, on the SDK. ``--legacy`` makes it speak the handshake versions only."""

from __future__ import annotations

import os
import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("tools")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def environment() -> dict[str, str]:
    """Show the environment of this process."""
    return dict(os.environ)


@server.tool()
def process() -> int:
    """Show the id of this process."""
    return os.getpid()


@server.tool()
def leave() -> str:
    """End this process at once."""
    sys.stderr.write("it was asked to leave\n")
    os._exit(3)


server.run("stdio")

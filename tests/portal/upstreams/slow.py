"""A stdio server whose one tool says on disk that it was entered, and answers when another file appears."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
from mcp.server.mcpserver import MCPServer

server = MCPServer("slow")
folder = Path(sys.argv[1])
(folder / "pid").write_text(str(os.getpid()))


@server.tool()
async def wait() -> str:
    """Wait until the file ``go`` appears."""
    (folder / "entered").touch()
    while not (folder / "go").exists():  # noqa: ASYNC110 -- another process makes it
        await anyio.sleep(0.02)
    return "answered"


server.run("stdio")

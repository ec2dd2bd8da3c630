"""A FastMCP server that proxies another one over one session; run in an environment of its own.

Handed a URL, FastMCP's proxy connects anew for every call. Handed a client that is connected, it uses that for all
calls, which is what FastMCP documents for sharing a session and what the other proxies do.
"""

from __future__ import annotations

import socket
import sys

import anyio
import uvicorn
from fastmcp import Client
from fastmcp.server import create_proxy


async def main(era: str, url: str) -> None:
    """Serve until killed."""
    async with Client(url, mode="legacy" if era == "legacy" else "auto") as client:
        app = create_proxy(client).http_app(path="/mcp")
        listener = socket.create_server(("127.0.0.1", 0))
        sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp\n")
        sys.stdout.flush()
        await uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none")).serve(sockets=[listener])


anyio.run(main, sys.argv[1], sys.argv[2], backend_options={"use_uvloop": True})

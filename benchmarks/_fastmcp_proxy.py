"""A FastMCP server that proxies another one; run in an environment of its own."""

from __future__ import annotations

import socket
import sys

import uvicorn
from fastmcp.server import create_proxy


def main(url: str) -> None:
    """Serve until killed."""
    app = create_proxy(url).http_app(path="/mcp")
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none")).run(sockets=[listener])


main(*sys.argv[1:])

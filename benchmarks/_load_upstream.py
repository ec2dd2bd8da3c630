"""A lean MCP server for measurements, in both eras; run in a process of its own, it prints its URL.

``echo`` answers its arguments at once, and ``slow`` after 20 ms. It answers with JSON or, as servers of the SDK do by
default, with an event stream of one event. With a file, it lists the tools in that too.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import uvicorn

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

Json = dict[str, Any]
SLOW_S = 0.02
VERSIONS = {"legacy": "2025-11-25", "modern": "2026-07-28"}
TOOLS: list[Json] = [
    {
        "name": name,
        "description": "Answer what is asked.",
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    }
    for name in ("echo", "slow")
]
ABOUT = {"name": "upstream", "version": "1"}


async def answer(method: str, params: Json, era: str) -> Json | None:
    """Answer a request; None for one that this era does not know."""
    if method == "initialize" and era == "legacy":
        return {"protocolVersion": VERSIONS[era], "capabilities": {"tools": {}}, "serverInfo": ABOUT}
    if method == "server/discover" and era == "modern":
        return {"supportedVersions": [VERSIONS[era]], "capabilities": {"tools": {}}, "serverInfo": ABOUT}
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        if params["name"] == "slow":
            await asyncio.sleep(SLOW_S)
        return {"content": [{"type": "text", "text": params["arguments"].get("text", "")}]}
    return None


def app_for(era: str, answers: str) -> Any:  # noqa: ANN401 -- an ASGI application
    """Return the server in one era, which ``answers`` with ``json`` or ``events``."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["method"] != "POST":
            await reply(send, 405 if scope["method"] == "GET" else 200, b"")
            return
        asked: Json = orjson.loads(body)
        if "id" not in asked:
            await reply(send, 202, b"")
            return
        result = await answer(asked["method"], asked.get("params", {}), era)
        given: Json = {"jsonrpc": "2.0", "id": asked["id"]}
        if result is None:
            given["error"] = {"code": -32601, "message": "Method not found"}
        elif era == "modern":
            stamp = {"io.modelcontextprotocol/serverInfo": ABOUT}
            given["result"] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "_meta": stamp, **result}
        else:
            given["result"] = result
        headers = [(b"mcp-session-id", secrets.token_hex(8).encode())] if asked["method"] == "initialize" else []
        if answers == "events" and result is not None:
            await stream(send, orjson.dumps(given), headers)
        else:
            await reply(send, 404 if result is None and era == "modern" else 200, orjson.dumps(given), headers)

    return app


async def reply(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    """Answer as JSON."""
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def stream(send: Send, data: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Answer as the one event of a stream, which ends a moment later."""
    fields = [(b"content-type", b"text/event-stream"), *headers]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"event: message\r\ndata: %b\r\n\r\n" % data, "more_body": True})
    await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b""})


def main(era: str, answers: str = "json", file: str | None = None) -> None:
    """Serve until killed."""
    if file is not None:
        TOOLS.extend(orjson.loads(Path(file).read_bytes()))
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(app_for(era, answers), lifespan="off", log_config=None, ws="none")).run(
        sockets=[listener]
    )


main(*sys.argv[1:])

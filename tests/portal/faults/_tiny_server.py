"""The least that is an MCP server, many of them on one port: the path says which one is meant.

Each speaks MCP 2026-07-28, lists one tool, ``echo``, and says its own number. What reached it is kept.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

JSON = dict[str, Any]
TOOL: JSON = {
    "name": "echo",
    "description": "Say which server this is.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}, "size": {"type": "integer"}}},
    "annotations": {"readOnlyHint": True},
}
OF_LISTS: JSON = {"ttlMs": 0, "cacheScope": "private"}


@dataclass
class TinyServers:
    """An ASGI application. ``requests`` counts by number and method; ``delay_s`` is how long a call takes."""

    delay_s: float = 0.0
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    running: int = 0
    most_running: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        number = scope["path"].strip("/").split("/")[0]
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        request = json.loads(body) if body else {}
        method = str(request.get("method"))
        self.requests[number, method] += 1
        if "id" not in request:
            await _send(send, 202 if body else 405, None)
            return
        answer: JSON = {"jsonrpc": "2.0", "id": request["id"]}
        match method:
            case "server/discover":
                answer["result"] = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, **OF_LISTS}
            case "tools/list":
                answer["result"] = {"tools": [TOOL], **OF_LISTS}
            case "tools/call":
                await self._call()
                arguments = request["params"].get("arguments", {})
                text = f"{number}: {arguments.get('text', '')}{'x' * arguments.get('size', 0)}"
                answer["result"] = {"content": [{"type": "text", "text": text}]}
            case _:
                answer["error"] = {"code": -32601, "message": "Method not found"}
        if "result" in answer:
            answer["result"] |= {"resultType": "complete"}
        await _send(send, 404 if "error" in answer else 200, answer)

    async def _call(self) -> None:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await anyio.sleep(self.delay_s)
        finally:
            self.running -= 1


async def _send(send: Send, status: int, answer: JSON | None) -> None:
    body = b"" if answer is None else json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

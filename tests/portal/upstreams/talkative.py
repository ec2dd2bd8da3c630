"""A stdio server by hand, of MCP 2025-11-25, that logs to its client: during a call, or when it is pinged."""

from __future__ import annotations

import json
import sys
from typing import Any


def send(**message: Any) -> None:  # noqa: ANN401 -- whatever a message holds
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")


def log(count: int) -> None:
    for number in range(count):
        send(method="notifications/message", params={"level": "info", "data": number})


for line in sys.stdin:
    asked = json.loads(line)
    match asked.get("method"):
        case "initialize":
            about = {"capabilities": {"tools": {}, "logging": {}}, "serverInfo": {"name": "talkative", "version": "1"}}
            send(id=asked["id"], result={"protocolVersion": "2025-11-25", **about})
        case "tools/list":
            send(id=asked["id"], result={"tools": [{"name": "log", "inputSchema": {"type": "object"}}]})
        case "tools/call":
            log(asked["params"]["arguments"]["count"])
            send(id=asked["id"], result={"content": []})
        case "ping":
            log(1000)
            send(id=asked["id"], result={})
        case _ if "id" in asked:
            send(id=asked["id"], result={})
        case _:
            pass
    sys.stdout.flush()

"""A stdio server by hand that answers a call with the line in its arguments, in which ``ID`` stands for the id.

With ``ask`` besides, it writes that line first and waits; the answer to it is then the text of its result.
"""

from __future__ import annotations

import json
import sys
from typing import Any

ABOUT = {
    "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "b"}},
    "tools/list": {"tools": [{"name": "say", "inputSchema": {"type": "object"}}]},
    "ping": {},
}


def write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def send(**message: Any) -> None:  # noqa: ANN401 -- whatever a message holds
    write(json.dumps({"jsonrpc": "2.0", **message}))


def call(number: int, params: dict[str, Any]) -> None:
    arguments = params["arguments"]
    if "ask" in arguments:
        write(arguments["ask"])
        heard = sys.stdin.readline().strip()
        send(id=number, result={"content": [{"type": "text", "text": heard}]})
    elif "line" in arguments:
        write(arguments["line"].replace("ID", str(number)))
    else:
        send(id=number, result={"content": [{"type": "text", "text": json.dumps(params)}]})


for text in sys.stdin:
    message = json.loads(text)
    method, number = message.get("method"), message.get("id")
    if method == "tools/call":
        call(number, message["params"])
    elif method in ABOUT:
        send(id=number, result=ABOUT[method])
    elif number is not None and method is not None:
        send(id=number, error={"code": -32601, "message": "Method not found"})

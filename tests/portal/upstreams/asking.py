"""A stdio server of a handshake version, by hand: its one tool asks the client, reports progress, says the answer."""

from __future__ import annotations

import json
import sys
from typing import Any


def send(**message: Any) -> None:  # noqa: ANN401 -- whatever a message holds
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        match message.get("method"):
            case "initialize":
                about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "asking", "version": "1"}}
                send(id=message["id"], result={"protocolVersion": "2025-06-18", **about})
            case "notifications/initialized":
                send(method="notifications/tools/list_changed", params={})
            case "tools/call":
                token = message["params"]["_meta"]["progressToken"]
                report = {"progressToken": token, "progress": 1, "total": 2, "message": "asked"}
                send(method="notifications/progress", params=report)
                send(id="q1", method="elicitation/create", params={"message": "Which?"})
                answer = json.loads(sys.stdin.readline())
                given = {"answer": answer["result"]} if "result" in answer else {"error": answer["error"]}
                send(id=message["id"], result=given)
            case _ if "id" in message:
                send(id=message["id"], error={"code": -32601, "message": "Method not found"})
            case _:
                pass


main()

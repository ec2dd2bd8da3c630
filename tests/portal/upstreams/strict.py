"""A stdio server of a handshake version, by hand, that ends at any other greeting; its starts are lines of a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def send(**message: Any) -> None:  # noqa: ANN401 -- whatever a message holds
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def main() -> None:
    with Path(sys.argv[1]).open("a") as starts:
        starts.write("started\n")
    first = json.loads(sys.stdin.readline())
    if first["method"] != "initialize":
        sys.stderr.write("Error: ExpectedInitializeRequest\n")
        sys.exit(1)
    about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "strict", "version": "1"}}
    send(id=first["id"], result={"protocolVersion": "2025-06-18", **about})
    for line in sys.stdin:
        message = json.loads(line)
        match message.get("method"):
            case "tools/list":
                send(id=message["id"], result={"tools": [{"name": "leave", "inputSchema": {"type": "object"}}]})
            case "tools/call":
                sys.exit(3)
            case _:
                pass


main()

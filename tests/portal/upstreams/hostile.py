"""A stdio server by hand that misbehaves as its arguments' names say; see the tests of transports."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

MIB = 2**20


def send(**message: Any) -> None:  # noqa: ANN401 -- whatever a message holds
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def misbehave(name: str, number: int) -> None:  # noqa: C901 -- a case for each
    match name:
        case "huge":
            send(id=number, result={"text": "x" * 5 * MIB})
        case "huge_with_its_id_last":
            sys.stdout.write(json.dumps({"result": {"text": "x" * 5 * MIB}, "jsonrpc": "2.0", "id": number}) + "\n")
            sys.stdout.flush()
        case "endless":
            while True:
                sys.stdout.write("x" * MIB)
        case "banner":
            sys.stdout.write("Listening on nothing at all\n[1, 2]\n\xff\n")
            send(id=number, result={"ok": True})
        case "twice":
            send(id=number, result={"ok": True})
            send(id=number, result={"ok": False})
            send(id=987654, result={"ok": False})
        case "deaf":
            os.close(0)
            send(id=number, result={"ok": True})
            time.sleep(600)
        case "late":
            sys.stdin.readline()  # that it was given up
            send(id=number, result={"text": "x" * 5 * MIB})
        case "nobodys":
            middle = {"error": None, "id": number, "result": {"text": "x" * 5 * MIB}, "jsonrpc": "2.0", "more": {}}
            sys.stdout.write(json.dumps(middle) + "\n")
            sys.stdout.flush()
        case "asks_much":
            send(id=number, method="sampling/createMessage", params={"text": "x" * 5 * MIB})
            send(id=number, result={"ok": True})
        case "tells_much":
            send(method="notifications/message", params={"text": "x" * 5 * MIB})
            send(id=number, result={"ok": True})
        case "silent":
            pass
        case "hang":
            given_up = json.loads(sys.stdin.readline())
            send(method="notifications/com.example/saw", params={"of": number, **given_up})
        case _:
            send(id=number, result={"ok": True})


for line in sys.stdin:
    asked = json.loads(line)
    match asked.get("method"):
        case "server/discover":
            about = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
            send(id=asked["id"], result={"resultType": "complete", **about})
        case "tools/list":
            send(id=asked["id"], result={"tools": [{"name": "x" * 5 * MIB}]})
        case "tools/call":
            misbehave(asked["params"]["name"], asked["id"])
        case _:
            pass

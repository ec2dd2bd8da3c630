"""Each protocol version in which a client may begin is answered in kind, by requests written out byte for byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.acceptance._running import RunningPortal

CALL_TIMEOUT_S = 60.0


def answer(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON-RPC message of a response, which a server may send as JSON or as the one event of a stream."""
    assert response.is_success, response.text
    is_stream = response.headers["content-type"].startswith("text/event-stream")
    data = [line.removeprefix("data:") for line in response.text.splitlines() if line.startswith("data:")]
    message: dict[str, Any] = json.loads(data[-1] if is_stream else response.text)
    return message


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_a_client_that_begins_with_a_handshake_is_answered_in_its_version(portal: RunningPortal, version: str) -> None:
    """MCP 2025-11-25 basic/lifecycle, "Version Negotiation", and basic/transports, "Session Management"."""
    client = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    with httpx.Client(timeout=CALL_TIMEOUT_S) as http:
        http.headers["accept"] = "application/json, text/event-stream"

        def post(message: dict[str, Any]) -> httpx.Response:
            return http.post(portal.code_mode_url, json={"jsonrpc": "2.0", **message})

        greeting = post({"id": 1, "method": "initialize", "params": client})
        http.headers["mcp-session-id"] = greeting.headers["mcp-session-id"]
        http.headers["mcp-protocol-version"] = version
        noted = post({"method": "notifications/initialized"})
        listed = answer(post({"id": 2, "method": "tools/list"}))
        program = {"name": "code", "arguments": {"code": "return 6 * 7"}}
        called = answer(post({"id": 3, "method": "tools/call", "params": program}))

    assert answer(greeting)["result"]["protocolVersion"] == version
    assert noted.status_code == 202
    assert [tool["name"] for tool in listed["result"]["tools"]] == ["code"]
    assert called["result"]["content"] == [{"type": "text", "text": "42"}]

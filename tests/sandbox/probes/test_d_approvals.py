"""Probe 54, its second half: an approval counts once, for the one who was asked and the call that was shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from portal import PortalConfig, PortalServer, Rules, ServerConfig
from tests.sandbox.probes._rule import probe

if TYPE_CHECKING:
    from tests.portal.conftest import PortalAt, Serving, Upstreamed
    from tests.sandbox.probes._rule import Rule

ASK = (PortalConfig(servers=(PortalServer(id="up", tools=Rules(ask=("echo",))),)),)
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
}
HEADERS = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28"}


async def call(origin: str, mode: str, **params: Any) -> Any:  # noqa: ANN401 -- JSON, to be looked into
    """Send one ``tools/call`` of MCP 2026-07-28, and return its result or error as it is on the wire."""
    headers = {**HEADERS, "mcp-method": "tools/call", "mcp-name": params["name"]}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**params, "_meta": META}}
    async with httpx2.AsyncClient(timeout=20) as http:
        answer = (await http.post(f"{origin}/mcp{mode}", json=body, headers=headers)).json()
    return answer.get("result", answer.get("error"))


def accepted(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what a client sends back after its user said yes."""
    responses = {key: {"action": "accept", "content": {}} for key in asked["inputRequests"]}
    return {"requestState": asked["requestState"], "inputResponses": responses}


DIRECT = ("", {"name": "up_echo", "arguments": {"pay": 100}})
IN_CODE = (
    "?codemode=search_and_execute",
    {"name": "code", "arguments": {"code": "await codemode.up_echo({pay: 100})"}},
)


@probe(54)
@pytest.mark.parametrize(("mode", "request_"), [DIRECT, IN_CODE], ids=["direct", "in code"])
async def test_an_approval_that_is_answered_twice_makes_one_call(
    rule: Rule, portal_at: PortalAt, upstream: Upstreamed, serving: Serving, mode: str, request_: dict[str, Any]
) -> None:
    async with (
        rule() as probe,
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url), portals=ASK) as (_, origin),
    ):
        asked = await call(origin, mode, **request_)
        before = list(upstream.calls)
        first = await call(origin, mode, **request_, **accepted(asked))
        second = await call(origin, mode, **request_, **accepted(asked))
        probe.answers.extend(map(str, (asked["inputRequests"], first, second)))

    assert before == []
    assert "'pay': 100" in first["content"][0]["text"]
    assert "Invalid or expired requestState" in second["message"]
    assert upstream.calls == [("echo", {"pay": 100})]


@probe(54)
async def test_an_approval_is_for_the_call_that_was_shown(
    rule: Rule, portal_at: PortalAt, upstream: Upstreamed, serving: Serving
) -> None:
    async with (
        rule() as probe,
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url), portals=ASK) as (_, origin),
    ):
        asked = await call(origin, "", name="up_echo", arguments={"pay": 100})
        more = await call(origin, "", name="up_echo", arguments={"pay": 9_999}, **accepted(asked))
        forged = await call(
            origin, "", **{**DIRECT[1], **accepted(asked), "requestState": f"{asked['requestState'][:-6]}AAAAAA"}
        )
        probe.answers.extend(map(str, (more, forged)))

    assert "Invalid or expired requestState" in more["message"]
    assert "Invalid or expired requestState" in forged["message"]
    assert upstream.calls == []

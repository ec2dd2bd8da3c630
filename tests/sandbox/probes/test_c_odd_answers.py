"""Probes 44 and 45 from the far side: what a server answers that is JSON only by name, as it comes over the wire."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from starlette.requests import Request
from starlette.responses import Response

from portal import ServerConfig
from tests.sandbox.probes._rule import probe

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from tests.portal.conftest import HttpServer, PortalAt
    from tests.sandbox.probes._rule import Rule

HANDSHAKE = {
    "initialize": '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":""}}',
    "tools/list": '{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}',
}


def odd_server(result: bytes) -> ASGIApp:
    """Return a server of MCP 2025-11-25 with one tool, whose result is these bytes."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked = json.loads(await Request(scope, receive).body() or b"{}")
        method, number = asked.get("method"), json.dumps(asked.get("id"))
        answer = result if method == "tools/call" else HANDSHAKE.get(method, "").encode()
        body = b'"result":%b' % answer if answer else b'"error":{"code":-32601,"message":"no such method"}'
        response = Response(b'{"jsonrpc":"2.0","id":%b,%b}' % (number.encode(), body), media_type="application/json")
        await (response if "id" in asked else Response(status_code=202))(scope, receive, send)

    return app


ANSWERS = {
    "an integer beyond 64 bits": (b'{"content":[],"structuredContent":{"n":%b}}' % (b"9" * 30), '{"n":'),
    "an exponent beyond a double": (b'{"content":[],"structuredContent":{"n":1e400}}', "ToolError"),
    "thousands of digits": (b'{"content":[],"structuredContent":{"n":%b}}' % (b"9" * 5_000), "ToolError"),
    "hundreds of levels": (b'{"content":[],"structuredContent":{"n":%b1%b}}' % (b"[" * 600, b"]" * 600), "ToolError"),
    "many thousand levels": (b'{"content":[],"structuredContent":%b}' % (b'{"a":' * 100_000), "ToolError"),
    "a lone surrogate": (b'{"content":[{"type":"text","text":"a\\ud800b"}]}', "a"),
    "no UTF-8": (b'{"content":[{"type":"text","text":"a\xff"}]}', "ToolError"),
    "a field twice": (b'{"content":[{"type":"text","text":"1"}],"content":[{"type":"text","text":"2"}]}', "2"),
    "nothing": (b"null", "ToolError"),
}


@probe(45)
@pytest.mark.parametrize("name", ANSWERS)
async def test_an_odd_answer_of_a_server_is_a_value_or_one_error_for_the_program(
    rule: Rule, portal_at: PortalAt, http_server: HttpServer, name: str
) -> None:
    result, begins = ANSWERS[name]
    async with (
        rule() as probe,
        http_server(odd_server(result)) as port,
        portal_at(ServerConfig(id="up", url=f"http://127.0.0.1:{port}/mcp")) as (portal, _),
    ):
        answer = await portal.engine.code("await codemode.up_t({})", catalog=portal.catalog(), invoker=portal.invoker())
        probe.answers.append(answer.text)

    assert answer.text.startswith(begins)
    assert str(port) not in answer.text

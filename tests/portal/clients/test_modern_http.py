"""MCP 2026-07-28 over HTTP, by requests that are written out: MCP 2026-07-28, basic/transports/streamable-http."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from portal import PortalConfig, PortalServer, ServerConfig
from tests.portal.clients.conftest import MODERN, events, modern_request, request
from tests.portal.faults._plain_http import exchange
from tests.portal.passing._asking import Asking

if TYPE_CHECKING:
    from tests.portal.clients.conftest import RawAt
    from tests.portal.conftest import PortalAt, Serving, Upstreamed

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
REGION = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}


async def test_an_answer_without_notifications_is_plain_json(portal_at: PortalAt, raw_client: RawAt) -> None:
    async with portal_at() as (_, origin), raw_client(origin) as raw:
        response = await raw.modern("tools/list", request_id="a")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json()["id"] == "a"
    assert response.json()["result"]["resultType"] == "complete"
    assert "mcp-session-id" not in response.headers


@pytest.mark.parametrize("version", [MODERN, "2025-11-25"])
async def test_blanks_around_the_version_are_no_part_of_it(
    portal_at: PortalAt, raw_client: RawAt, version: str
) -> None:
    """RFC 9110, section 5.5."""
    async with portal_at() as (_, origin), raw_client(origin) as raw:
        if version != MODERN:
            await raw.begin(version)
        body, headers = modern_request("tools/list")
        headers |= raw.headers | {"mcp-protocol-version": f"{version} \t"}
        reply = await exchange(int(origin.rpartition(":")[2]), body, headers)

    assert reply.status == 200
    assert "tools" in reply.answer["result"]


async def test_notifications_come_first_on_a_stream_that_ends_with_the_answer(
    portal_at: PortalAt, serving: Serving, raw_client: RawAt
) -> None:
    async with (
        serving(Asking()) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        raw_client(origin) as raw,
    ):
        response = await raw.modern("tools/call", {"name": "up_chatty", "arguments": {}}, progressToken=7)
        found = [each async for each in events(response)]

    assert response.headers["content-type"] == "text/event-stream"
    assert ["progressToken" in each["data"] for each in found] == [True, True, True, False]
    assert '"result"' in found[-1]["data"]
    assert [each for each in found if "id" in each] == []


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"mcp-method": "tools/list"}, -32020),
        ({"mcp-name": "other"}, -32020),
        ({"mcp-name": "=?base64?cG9ydGFsX2xpc3Rfc2VydmVycw==?="}, None),
        ({"mcp-name": "=?base64?!?="}, -32020),
        ({"mcp-protocol-version": "2026-07-29"}, -32020),
    ],
)
async def test_a_header_that_disagrees_with_the_body_is_refused(
    portal_at: PortalAt, raw_client: RawAt, headers: dict[str, str], code: int | None
) -> None:
    """MCP 2026-07-28, Streamable HTTP, "Server Validation": 400 with HeaderMismatch."""
    async with portal_at() as (_, origin), raw_client(origin) as raw:
        response = await raw.modern("tools/call", {"name": "portal_list_servers"}, headers=headers)

    assert response.status_code == (400 if code else 200)
    assert response.json().get("error", {}).get("code") == code


async def test_a_version_that_nobody_speaks_is_answered_with_those_that_are_spoken(
    portal_at: PortalAt, raw_client: RawAt
) -> None:
    body, headers = modern_request("tools/list", None, **{VERSION_KEY: "2031-01-01"})
    async with portal_at() as (_, origin), raw_client(origin) as raw:
        response = await raw.post(body, {**headers, "mcp-protocol-version": "2031-01-01"})

    assert response.status_code == 400
    assert response.json()["error"] == {
        "code": -32022,
        "message": "Unsupported protocol version",
        "data": {"supported": [MODERN], "requested": "2031-01-01"},
    }


@pytest.mark.parametrize(
    ("arguments", "given", "is_refused"),
    [
        ({"region": "eu"}, {"mcp-param-region": "eu"}, False),
        ({"region": "eu"}, {"mcp-param-region": "us"}, True),
        ({"region": "eu"}, {}, True),
        ({}, {"mcp-param-region": "eu"}, True),
        ({"region": None}, {}, False),
        ({}, {"mcp-param-other": "x"}, False),
        ({"region": "ü"}, {"mcp-param-region": "=?base64?w7w=?="}, False),
    ],
)
async def test_arguments_that_travel_in_headers_too_have_to_agree(
    portal_at: PortalAt,
    upstream: Upstreamed,
    serving: Serving,
    raw_client: RawAt,
    arguments: dict[str, Any],
    given: dict[str, str],
    is_refused: bool,
) -> None:
    """MCP 2026-07-28, Streamable HTTP, "Custom Headers from Tool Parameters"."""
    upstream.offer("near", {"content": [{"type": "text", "text": "ok"}]}, inputSchema=REGION)
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        raw_client(origin) as raw,
    ):
        response = await raw.modern("tools/call", {"name": "up_near", "arguments": arguments}, headers=given)

    assert response.json().get("error", {}).get("code") == (-32020 if is_refused else None)


async def test_the_headers_of_a_tool_are_not_asked_for_where_its_name_means_another(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, raw_client: RawAt
) -> None:
    mirrored = {"type": "object", "properties": {"code": {"type": "string", "x-mcp-header": "Code"}}}
    upstream.offer("code", inputSchema=mirrored)
    portals = (PortalConfig(servers=(PortalServer(id="up"),), prefix=False),)
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url), portals=portals) as (_, origin),
        raw_client(origin) as as_list,
        raw_client(origin, "/mcp?codemode=search_and_execute") as in_code,
    ):
        refused = await as_list.modern("tools/call", {"name": "code", "arguments": {"code": "6 * 7"}})
        ran = await in_code.modern("tools/call", {"name": "code", "arguments": {"code": "6 * 7"}})

    assert refused.json()["error"]["code"] == -32020
    assert ran.json()["result"]["content"][0]["text"] == "42"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"7", 400),
        ([request("tools/list")], 400),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, 400),
        ({"jsonrpc": "2.0", "id": None, "method": "tools/list", "params": {}}, 400),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": []}, 400),
        (request("tools/list"), 400),
        ({"jsonrpc": "2.0", "method": "notifications/anything"}, 202),
    ],
)
async def test_only_one_request_or_notification_is_taken(
    portal_at: PortalAt, raw_client: RawAt, body: object, status: int
) -> None:
    headers = {"mcp-protocol-version": MODERN, "mcp-method": "tools/list"}
    async with portal_at() as (_, origin), raw_client(origin) as raw:
        response = await raw.post(body, headers)

    assert response.status_code == status


async def test_an_unknown_method_is_404_and_a_stream_or_session_is_405(portal_at: PortalAt, raw_client: RawAt) -> None:
    async with portal_at() as (_, origin), raw_client(origin) as raw:
        unknown = await raw.modern("tools/smell")
        handshake = await raw.modern("initialize")
        got = await raw.http.get(raw.url, headers={"mcp-protocol-version": MODERN, "accept": "text/event-stream"})
        deleted = await raw.http.delete(raw.url, headers={"mcp-protocol-version": MODERN})

    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, -32601)
    assert handshake.status_code == 404
    assert (got.status_code, deleted.status_code) == (405, 405)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"accept": "application/json"}, 406),
        ({"accept": "text/event-stream"}, 406),
        ({"accept": "*/*"}, 200),
        ({"accept": "application/*, text/*;q=0.5"}, 200),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=utf-8"}, 200),
    ],
)
async def test_a_client_has_to_take_and_send_what_the_protocol_has(
    portal_at: PortalAt, raw_client: RawAt, headers: dict[str, str], status: int
) -> None:
    async with portal_at() as (_, origin), raw_client(origin) as raw:
        response = await raw.modern("tools/list", headers=headers)

    assert response.status_code == status


async def test_a_client_that_goes_away_cancels_its_request_upstream(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, raw_client: RawAt
) -> None:
    """MCP 2026-07-28, Streamable HTTP, "Cancellation"."""
    upstream.holds["echo"] = anyio.Event()
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (portal, origin),
        raw_client(origin) as raw,
    ):
        with anyio.move_on_after(10) as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(raw.modern, "tools/call", {"name": "up_echo"})
                await upstream.entered.wait()
                tasks.cancel_scope.cancel()
        with anyio.fail_after(10):
            await upstream.cancelled.wait()
        left = len(portal._face.exchanges) if portal._face is not None else None

    assert not scope.cancelled_caught
    assert left == 0


async def test_a_standing_wish_is_acknowledged_and_ends_with_the_portal(portal_at: PortalAt, raw_client: RawAt) -> None:
    """MCP 2026-07-28, basic/patterns/subscriptions."""
    wishes = {"toolsListChanged": True, "promptsListChanged": False, "resourceSubscriptions": ["note://1"]}
    body, headers = modern_request("subscriptions/listen", {"notifications": wishes}, request_id="w")
    async with portal_at() as (portal, origin), raw_client(origin) as raw:  # noqa: SIM117 -- the second needs the first
        async with raw.stream("POST", body, headers) as response:
            found = events(response)
            first = await anext(found)
            portal.drain()
            last = await anext(found)

    assert '"resourceSubscriptions":["note://1"],"toolsListChanged":true' in str(sorted_json(first["data"]))
    assert '"io.modelcontextprotocol/subscriptionId":"w"' in first["data"]
    assert '"resultType":"complete"' in last["data"]


def sorted_json(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))

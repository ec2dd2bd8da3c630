"""A portal in front of real upstreams, as MCP clients of both eras see it in list mode."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Literal

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent, ToolListChangedNotification

from portal import Config, Portal, PortalConfig, PortalServer, Rules, Secret, ServerConfig
from tests.portal.conftest import until

if TYPE_CHECKING:
    from mcp.client.session import ClientSession, IncomingMessage
    from mcp.shared.dispatcher import CallOptions
    from mcp_types import CallToolResult

    from sandbox import Sandbox
    from tests.portal.conftest import PortalAt, Serving, StdioServer, Upstreamed

Era = Literal["legacy", "auto"]
OWN = ["portal_list_servers", "portal_toggle_servers", "portal_toggle_single_server"]
ERAS = pytest.mark.parametrize("era", ["legacy", "auto"])
TOKEN = "a-token-of-the-portal-itself"


def initialize(version: str = "2025-11-25") -> dict[str, Any]:
    info = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": info}


async def post(url: str, headers: dict[str, str] | None = None, body: Any = None) -> httpx2.Response:  # noqa: ANN401
    accept = {"accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient() as http:
        return await http.post(url, json=body or initialize(), headers={**accept, **(headers or {})})


@ERAS
async def test_every_tool_is_listed_by_its_server_and_called(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, stdio_server: StdioServer, era: Era
) -> None:
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url), stdio_server("tools.py")) as (_, origin),
        Client(f"{origin}/mcp", mode=era, cache=None) as client,
    ):
        names = [tool.name for tool in (await client.list_tools()).tools]
        echoed = await client.call_tool("up_echo", {"n": 1})
        added = await client.call_tool("child_add", {"a": 2, "b": 3})

    assert names == [
        *("up_echo", "child_add", "child_environment", "child_process", "child_leave"),
        *OWN,
    ]
    assert text(echoed) == "echo {'n': 1}"
    assert added.structured_content == {"result": 5}


@ERAS
async def test_definitions_and_results_pass_through_with_fields_that_nobody_knows(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, era: Era
) -> None:
    extra = {"title": "T", "annotations": {"readOnlyHint": True, "x": 1}, "_meta": {"a.b/c": [None]}, "x-vendor": 7}
    sent = {"content": [{"type": "hologram", "depth": 3}], "structuredContent": {"n": None}, "vendor/extra": [1]}
    upstream.offer("odd", sent, **extra)
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp", mode=era, cache=None) as client,
    ):
        session = client.session
        listed = await raw(session, "tools/list", {})
        called = await raw(session, "tools/call", {"name": "up_odd", "arguments": {}})

    assert {**upstream.definitions["odd"], "name": "up_odd"} in listed["tools"]
    assert {key: called[key] for key in sent} == sent


async def raw(session: ClientSession, method: str, params: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"method": method, "params": params}
    options: CallOptions = {}
    session._stamp(message, options)
    return await session._dispatcher.send_raw_request(method, message["params"], options)


def text(result: CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


@ERAS
async def test_an_upstreams_error_reaches_the_client_as_it_is(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, era: Era
) -> None:
    async with serving(upstream) as url, portal_at(ServerConfig(id="up", url=url)) as (_, origin):
        del upstream.definitions["echo"]
        async with Client(f"{origin}/mcp", mode=era, cache=None) as client:
            with pytest.raises(MCPError) as refused:
                await client.call_tool("up_echo", {})
            with pytest.raises(MCPError, match="Unknown tool: up_nothing"):
                await client.call_tool("up_nothing", {})

    assert (refused.value.message, refused.value.data) == ("no tool echo", {"hint": "list first"})


@ERAS
async def test_a_dead_upstream_delays_nobody_and_is_shown_as_what_it_is(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, free_port: int, era: Era
) -> None:
    dead = ServerConfig(id="dead", name="Dead one", url=f"http://127.0.0.1:{free_port}/mcp")
    async with serving(upstream) as url, portal_at(dead, ServerConfig(id="up", url=url)) as (portal, origin):
        async with Client(f"{origin}/mcp", mode=era, cache=None) as client:
            echoed = await client.call_tool("up_echo", {})
            servers = await client.call_tool("portal_list_servers", {})
        status = {server.id: server for server in portal.fleet.status()}

    assert echoed.is_error is not True
    assert text(servers) == "- Dead one (dead): error\n- up (up): ready"
    assert status["dead"].cause is not None
    assert status["dead"].retryable


async def test_an_upstream_that_went_away_is_an_error_result_without_its_address(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, free_port: int
) -> None:
    config = ServerConfig(id="up", url=f"http://127.0.0.1:{free_port}/mcp")
    async with portal_at(config) as (portal, origin):
        async with serving(upstream, port=free_port):
            await until(lambda: portal.fleet.status()[0].status == "ready")
        upstream.breaks = "echo"
        async with Client(f"{origin}/mcp", cache=None) as client:
            result = await client.call_tool("up_echo", {})

    assert result.is_error
    assert str(free_port) not in text(result)


async def test_one_invalid_tool_never_breaks_the_list(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving
) -> None:
    upstream.definitions["bad"] = {"name": "bad", "inputSchema": {"type": "array"}}
    upstream.offer("list_of", outputSchema={"type": "array"})
    async with serving(upstream) as url, portal_at(ServerConfig(id="up", url=url)) as (_, origin):
        async with Client(f"{origin}/mcp", mode="legacy", cache=None) as client:
            legacy = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
        async with Client(f"{origin}/mcp", cache=None) as client:
            modern = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}

    assert legacy == {"up_echo": None, "up_list_of": None, **dict.fromkeys(OWN)}
    assert modern == {"up_echo": None, "up_list_of": {"type": "array"}, **dict.fromkeys(OWN)}


async def test_structured_content_that_is_no_object_is_kept_from_versions_that_cannot_carry_it(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving
) -> None:
    """MCP 2025-11-25, server/tools: structured content is an object; MCP 2026-07-28: any JSON."""
    upstream.offer("list_of", {"content": [{"type": "text", "text": "[1]"}], "structuredContent": [1]})
    async with serving(upstream) as url, portal_at(ServerConfig(id="up", url=url)) as (_, origin):
        async with Client(f"{origin}/mcp", mode="legacy", cache=None) as client:
            legacy = await client.call_tool("up_list_of", {})
        async with Client(f"{origin}/mcp", cache=None) as client:
            modern = await client.call_tool("up_list_of", {})

    assert (legacy.structured_content, modern.structured_content) == (None, [1])
    assert text(legacy) == "[1]"


@ERAS
async def test_clients_are_told_when_tools_come_and_go(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, era: Era
) -> None:
    told = anyio.Event()

    async def on_message(message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            told.set()

    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (portal, origin),
        Client(f"{origin}/mcp", mode=era, cache=None, message_handler=on_message) as client,
    ):
        capabilities = client.server_capabilities
        async with anyio.create_task_group() as tasks:
            if era == "auto":
                tasks.start_soon(listen, client, told)
            await until(lambda: is_subscribed(portal))
            upstream.offer("late")
            await upstream.announce()
            await told.wait()
            tasks.cancel_scope.cancel()
        names = [tool.name for tool in (await client.list_tools()).tools]

    assert capabilities.tools is not None
    assert capabilities.tools.list_changed
    assert "up_late" in names


async def listen(client: Client, told: anyio.Event) -> None:
    async with client.listen(tools_list_changed=True) as events:
        async for _ in events:
            told.set()


def is_subscribed(portal: Portal) -> bool:
    face = portal._face
    return face is not None and any(endpoint.listeners for endpoint in face._endpoints.values())


@ERAS
async def test_a_client_that_cancels_its_call_cancels_it_upstream(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, era: Era
) -> None:
    upstream.holds["echo"] = anyio.Event()
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp", mode=era, cache=None) as client,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "up_echo", {})
            await upstream.entered.wait()
            tasks.cancel_scope.cancel()
        await upstream.cancelled.wait()


async def test_named_portals_offer_their_own_servers_and_not_the_tools_they_deny(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving
) -> None:
    upstream.offer("erase")
    portals = (
        PortalConfig(servers=(PortalServer(id="a"), PortalServer(id="b"))),
        PortalConfig(id="safe", servers=(PortalServer(id="a", tools=Rules(deny=("erase",))),)),
    )
    async with serving(upstream) as url:
        servers = (ServerConfig(id="a", url=url), ServerConfig(id="b", url=url))
        async with portal_at(*servers, portals=portals) as (_, origin):
            async with Client(f"{origin}/mcp", cache=None) as client:
                everything = [tool.name for tool in (await client.list_tools()).tools]
            async with Client(f"{origin}/safe/mcp", cache=None) as client:
                safe = [tool.name for tool in (await client.list_tools()).tools]
                with pytest.raises(MCPError, match="Unknown tool: a_erase"):
                    await client.call_tool("a_erase", {})
            unknown = await post(f"{origin}/other/mcp")

    assert everything == ["a_echo", "a_erase", "b_echo", "b_erase", *OWN]
    assert safe == ["a_echo", *OWN]
    assert unknown.status_code == 404


async def test_a_long_name_is_shortened_and_still_calls_its_tool(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving
) -> None:
    names = [f"{'long_' * 12}{end}" for end in ("one", "two")]
    for name in names:
        upstream.offer(name)
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp", cache=None) as client,
    ):
        listed = [tool.name for tool in (await client.list_tools()).tools][1:3]
        for name in listed:
            await client.call_tool(name, {})

    assert all(len(name) == 48 and name.startswith("up_long_") for name in listed)
    assert [name for name, _ in upstream.calls] == names


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("codemode=yes", "codemode cannot be 'yes'; use codemode=search_and_execute or codemode=off."),
        ("code=1", "There is no option 'code'. The options are ?codemode=search_and_execute"),
        ("codemode=off&codemode=off", "The option 'codemode' is given more than once"),
        ("access=write", "access cannot be 'write'; use access=read."),
        ("codemode=off&optimize_context=minimize_tools", "exclude each other; keep one."),
    ],
)
async def test_a_query_that_means_nothing_is_refused_with_the_right_options(
    portal_at: PortalAt, query: str, told: str
) -> None:
    async with portal_at() as (_, origin):
        response = await post(f"{origin}/mcp?{query}")

    assert response.status_code == 400
    assert response.json()["jsonrpc"] == "2.0"
    assert told in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:9"}, 200),
        ({"host": "[::1]:80"}, 200),
        ({"host": "attacker.example"}, 421),
        ({"host": "127.0.0.1.attacker.example"}, 421),
        ({"host": "localhost.attacker.example:8808"}, 421),
        ({"origin": "http://localhost:6274"}, 200),
        ({"origin": "https://attacker.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1.attacker.example"}, 403),
    ],
)
async def test_only_this_machines_own_pages_reach_a_portal_on_loopback(
    portal_at: PortalAt, headers: dict[str, str], status: int
) -> None:
    """MCP 2025-11-25, transports, security warning: servers MUST validate Origin, against DNS rebinding."""
    async with portal_at() as (_, origin):
        response = await post(f"{origin}/mcp", headers)

    assert response.status_code == status


async def test_browser_clients_may_read_the_headers_that_they_need(portal_at: PortalAt) -> None:
    async with portal_at() as (_, origin):
        response = await post(f"{origin}/mcp", {"origin": "http://localhost:6274"})

    assert response.headers["access-control-allow-origin"] == "*"
    assert {"mcp-session-id", "www-authenticate"} <= set(
        response.headers["access-control-expose-headers"].lower().split(", ")
    )


@pytest.mark.parametrize(
    ("authorization", "status", "challenge"),
    [
        (f"Bearer {TOKEN}", 200, None),
        (f"bearer {TOKEN}", 200, None),
        (None, 401, 'Bearer realm="portico"'),
        ("Bearer wrong", 401, 'Bearer realm="portico", error="invalid_token"'),
        (f"Basic {TOKEN}", 401, 'Bearer realm="portico", error="invalid_token"'),
        (f"Bearer {TOKEN}x", 401, 'Bearer realm="portico", error="invalid_token"'),
    ],
)
async def test_a_configured_token_is_asked_for(
    portal_at: PortalAt, authorization: str | None, status: int, challenge: str | None
) -> None:
    """RFC 6750 section 3: the challenge, with an error only where a credential was given."""
    headers = {"authorization": authorization} if authorization else {}
    async with portal_at(token=Secret(TOKEN)) as (_, origin):
        response = await post(f"{origin}/mcp", headers)

    assert response.status_code == status
    assert response.headers.get("www-authenticate") == challenge


async def test_probes_answer_without_a_token_or_a_known_host(portal_at: PortalAt) -> None:
    async with portal_at(token=Secret(TOKEN)) as (portal, origin), httpx2.AsyncClient() as http:
        alive = await http.get(f"{origin}/healthz", headers={"host": "10.0.0.7"})
        ready = await http.get(f"{origin}/readyz")
        portal.drain()
        stopping = await http.get(f"{origin}/readyz")

    assert (alive.status_code, ready.status_code, stopping.status_code) == (200, 200, 503)


async def test_a_body_beyond_the_limit_is_refused_before_it_is_parsed(portal_at: PortalAt) -> None:
    async with portal_at() as (_, origin):
        response = await post(f"{origin}/mcp", body={"jsonrpc": "2.0", "id": 1, "method": "x" * (4 * 2**20)})

    assert response.status_code == 413


@ERAS
async def test_no_text_of_our_own_exceptions_reaches_a_client(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, era: Era, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(upstream) as url, portal_at(ServerConfig(id="up", url=url)) as (portal, origin):
        secretive = RuntimeError("the path /etc/portico/key")
        monkeypatch.setattr(portal.fleet, "upstream", lambda *_: (_ for _ in ()).throw(secretive))
        async with Client(f"{origin}/mcp", mode=era, cache=None) as client:
            with pytest.raises(MCPError) as failure:
                await client.call_tool("up_echo", {})

    assert "/etc/portico" not in failure.value.message
    assert "The portal failed to answer" in failure.value.message


async def test_each_call_writes_one_record_without_its_arguments(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "portico.records")
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp", cache=None) as client,
    ):
        await client.call_tool("up_echo", {"private": "data"})
    records = [json.loads(entry.message) for entry in caplog.records if entry.name == "portico.records"]

    assert len(records) == 1
    assert (
        records[0].items()
        >= {
            "kind": "call",
            "user": "local",
            "portal": "default",
            "server": "up",
            "tool": "echo",
            "status": "ok",
            "request_bytes": 18,
            "run": None,
        }.items()
    )
    assert "data" not in caplog.text.replace('"metadata"', "")


async def test_no_credential_is_in_any_log_line_at_debug(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "sk-upstream-credential-1"
    upstream.offer("leak", {"content": [{"type": "text", "text": f"your token is {secret}"}]})
    async with serving(upstream) as url:
        auth = ServerConfig(id="up", url=url, sensitive=(Secret(secret),))
        async with portal_at(auth, token=Secret(TOKEN)) as (_, origin):
            headers = {"authorization": f"Bearer {TOKEN}"}
            async with httpx2.AsyncClient(headers=headers) as http:
                transport = streamable_http_client(f"{origin}/mcp", http_client=http)
                async with Client(transport, mode="legacy", cache=None) as client:
                    await client.call_tool("up_leak", {"say": secret})

    assert "GET /mcp" in caplog.text
    assert secret not in caplog.text
    assert TOKEN not in caplog.text


async def test_an_own_session_is_opened_for_each_client_where_the_server_asks_for_it(
    portal_at: PortalAt, stdio_server: StdioServer
) -> None:
    async with portal_at(stdio_server("tools.py", session="client")) as (_, origin):
        ids = []
        for _ in range(2):
            async with Client(f"{origin}/mcp", mode="legacy", cache=None) as client:
                ids += [(await client.call_tool("child_process", {})).structured_content for _ in range(2)]

    assert ids[0] == ids[1]
    assert ids[2] == ids[3]
    assert ids[0] != ids[2]


async def test_a_portal_that_is_closed_says_so(sandbox: Sandbox) -> None:
    portal = Portal(Config(), sandbox=sandbox)
    async with portal:
        pass

    with pytest.raises(RuntimeError, match="the portal is not open"):
        portal.catalog()


async def test_a_portal_answers_at_its_path_and_at_a_host_name_of_its_own(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving
) -> None:
    portals = (
        PortalConfig(servers=(PortalServer(id="a"),)),
        PortalConfig(id="docs", servers=(PortalServer(id="b"),), hostname="docs.example.com"),
    )
    at_its_name = {"host": "docs.example.com"}
    listed = []
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="a", url=url), ServerConfig(id="b", url=url), portals=portals) as (_, origin),
        httpx2.AsyncClient(headers=at_its_name) as named,
    ):
        for client in (
            Client(f"{origin}/mcp", cache=None),
            Client(f"{origin}/docs/mcp", cache=None),
            Client(streamable_http_client(f"{origin}/mcp", http_client=named), cache=None),
        ):
            async with client:
                listed.append((await client.list_tools()).tools[0].name)
        probe = await named.get(f"{origin}/healthz")

    assert listed == ["a_echo", "b_echo", "b_echo"]
    assert probe.status_code == 200

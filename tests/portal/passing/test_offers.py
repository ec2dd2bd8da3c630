"""Prompts, resources, templates, completions and whole results pass through a portal, in every mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.server.subscriptions import ResourceUpdated

from portal import ServerConfig
from tests.portal.conftest import until
from tests.portal.passing._asking import RICH, Asking
from tests.portal.passing._person import BOTH, CODE, ERAS, OLD
from tests.portal.upstream.conftest import serving_scripted
from tests.portal.upstream.offering import Offering

if TYPE_CHECKING:
    from mcp.client.session import IncomingMessage

    from tests.portal.conftest import PortalAt, Serving
    from tests.portal.passing._person import Era
    from tests.portal.upstream.conftest import Asked

MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
}


async def raw(url: str, method: str, params: dict[str, Any]) -> Any:  # noqa: ANN401 -- JSON, to be looked into
    """Send one request of MCP 2026-07-28 and return its result as it is on the wire."""
    name = params.get("name", params.get("uri"))
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
        **({"mcp-name": name} if name else {}),
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": MODERN}}
    async with httpx2.AsyncClient(timeout=20) as http:
        answer = (await http.post(url, json=body, headers=headers)).json()
    return answer.get("result", answer.get("error"))


@BOTH
@pytest.mark.parametrize("mode", ["", CODE])
async def test_unknown_fields_of_all_that_is_listed_and_answered_survive(
    portal_at: PortalAt, serving: Serving, version: str | None, mode: str
) -> None:
    async with serving(Asking(version)) as url, portal_at(ServerConfig(id="up", url=url)) as (_, origin):
        prompts = await raw(f"{origin}/mcp{mode}", "prompts/list", {})
        prompt = await raw(f"{origin}/mcp{mode}", "prompts/get", {"name": "up_greet", "arguments": {"a": "b"}})
        resources = await raw(f"{origin}/mcp{mode}", "resources/list", {})
        templates = await raw(f"{origin}/mcp{mode}", "resources/templates/list", {})
        read = await raw(f"{origin}/mcp{mode}", "resources/read", {"uri": "note://1"})

    assert prompts["prompts"] == [{"name": "up_greet", "title": "Greet", "newField": 1}]
    assert prompt["newField"] == 1
    assert resources["resources"] == [{"uri": "note://1", "name": "one", "newField": 1}]
    assert templates["resourceTemplates"] == [{"uriTemplate": "note://by/{id}", "name": "any"}]
    assert read["contents"] == [{"uri": "note://1", "text": "asking has note://1", "newField": 1}]
    for listed in (prompts, resources, templates, read):
        assert (listed["resultType"], listed["ttlMs"], listed["cacheScope"]) == ("complete", 0, "private")
        assert listed["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "portico"


@BOTH
async def test_every_block_and_field_of_a_result_survives(
    portal_at: PortalAt, serving: Serving, version: str | None
) -> None:
    async with serving(Asking(version)) as url, portal_at(ServerConfig(id="up", url=url)) as (_, origin):
        result = await raw(f"{origin}/mcp", "tools/call", {"name": "up_rich", "arguments": {}})

    assert {key: result[key] for key in RICH if key != "_meta"} == {key: RICH[key] for key in RICH if key != "_meta"}
    assert result["_meta"]["example.com/k"] == "v"


@BOTH
@ERAS
async def test_two_servers_with_one_uri_are_told_apart_and_read_each(
    portal_at: PortalAt, serving: Serving, version: str | None, era: Era
) -> None:
    async with (
        serving(Asking(version, name="first")) as one,
        serving(Asking(version, name="second")) as two,
        portal_at(ServerConfig(id="a", url=one), ServerConfig(id="b", url=two)) as (_, origin),
        Client(f"{origin}/mcp", mode=era, cache=None) as client,
    ):
        uris = [resource.uri for resource in (await client.list_resources()).resources]
        contents = [(await client.read_resource(uri)).contents[0] for uri in uris]
        unlisted = (await client.read_resource("note://by/7")).contents[0]
        linked = (await client.call_tool("b_rich_links", {})).content

    assert uris == ["note://1", "portico://b/note://1"]
    assert [content.uri for content in contents] == uris
    assert [getattr(content, "text", None) for content in contents] == ["first has note://1", "second has note://1"]
    assert getattr(unlisted, "text", None) == "first has note://by/7"
    assert linked[0].type == "resource_link"
    assert linked[0].uri == "portico://b/note://1"


@ERAS
async def test_a_server_that_fails_does_not_hide_what_another_one_has(
    portal_at: PortalAt, serving: Serving, era: Era
) -> None:
    async with (
        serving(Asking(name="broken", breaks="note://of/nobody")) as broken,
        serving(Asking(name="well")) as url,
        portal_at(ServerConfig(id="a", url=broken), ServerConfig(id="b", url=url)) as (_, origin),
        Client(f"{origin}/mcp", mode=era, cache=None) as client,
    ):
        first = (await client.read_resource("note://of/somebody")).contents[0]
        second = (await client.read_resource("note://of/nobody")).contents[0]

    assert getattr(first, "text", None) == "broken has note://of/somebody"
    assert getattr(second, "text", None) == "well has note://of/nobody"


@BOTH
@ERAS
async def test_a_resource_that_nobody_has_is_answered_with_the_code_of_the_clients_version(
    portal_at: PortalAt, serving: Serving, version: str | None, era: Era
) -> None:
    async with (
        serving(Asking(version)) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp", mode=era, cache=None) as client,
    ):
        with pytest.raises(MCPError, match="Resource not found: other://x") as missing:
            await client.read_resource("other://x")

    assert missing.value.error.code in ({-32602} if era == "auto" else {-32602, -32002})


@BOTH
async def test_a_refusal_by_http_is_an_error_of_the_portals_and_no_code_of_the_servers(
    portal_at: PortalAt, version: str | None
) -> None:
    offering = Offering.of(version)

    async def refuse(asked: Asked) -> None:
        await asked.reply(403, b"Forbidden")

    offering.scripted.answers["prompts/get"] = refuse
    async with (
        serving_scripted(offering.scripted) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
    ):
        error = await raw(f"{origin}/mcp", "prompts/get", {"name": "up_greet"})

    assert error["code"] == -32603
    assert "403" in error["message"]


@BOTH
@ERAS
async def test_arguments_of_prompts_and_templates_are_completed_by_their_server(
    portal_at: PortalAt, serving: Serving, version: str | None, era: Era
) -> None:
    asking = Asking(version)
    async with (
        serving(asking) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp", mode=era, cache=None) as client,
    ):
        of_prompt = await client.complete(
            types.PromptReference(name="up_greet"), argument={"name": "who", "value": "an"}
        )
        of_template = await client.complete(
            types.ResourceTemplateReference(uri="note://by/{id}"), argument={"name": "id", "value": "1"}
        )

    assert of_prompt.completion.values == ["an…"]
    assert of_template.completion.values == ["1…"]
    assert [params["ref"] for params in asking.params_of("completion/complete")] == [
        {"type": "ref/prompt", "name": "greet"},
        {"type": "ref/resource", "uri": "note://by/{id}"},
    ]


@ERAS
async def test_a_portal_says_that_it_can_do_what_its_servers_can(
    portal_at: PortalAt, serving: Serving, era: Era
) -> None:
    async with (
        serving(Asking(OLD)) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        portal_at() as (_, alone),
        Client(f"{origin}/mcp", mode=era, cache=None) as client,
        Client(f"{alone}/mcp", mode=era, cache=None) as of_nothing,
    ):
        full = client.server_capabilities.model_dump(exclude_none=True)
        bare = of_nothing.server_capabilities.model_dump(exclude_none=True)

    assert bare == {"tools": {"list_changed": True}}
    assert full == {
        "tools": {"list_changed": True},
        "prompts": {"list_changed": True},
        "resources": {"list_changed": True, "subscribe": True},
        "completions": {},
        "logging": {},
    }


@pytest.mark.filterwarnings("ignore:resources/.*subscribe is removed")
@BOTH
async def test_a_client_with_a_session_is_told_of_a_resource_that_it_watches_and_of_changed_lists(
    portal_at: PortalAt, serving: Serving, version: str | None
) -> None:
    asking = Asking(version)
    told: list[IncomingMessage] = []

    async def on_message(message: IncomingMessage) -> None:
        told.append(message)

    async with (
        serving(asking) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp", mode="legacy", cache=None, message_handler=on_message) as client,
    ):
        await client.session.subscribe_resource("note://1")
        await until(lambda: bool(asking.connections or asking.bus._listeners))
        while not any(isinstance(message, types.ResourceUpdatedNotification) for message in told):
            await asking.tell("notifications/resources/updated", {"uri": "note://1"})
            await anyio.sleep(0.05)
        asking.tools.append({"name": "late", "inputSchema": {"type": "object"}})
        await asking.tell("notifications/tools/list_changed")
        await until(lambda: any(isinstance(message, types.ToolListChangedNotification) for message in told))
        await client.session.unsubscribe_resource("note://1")

    updates = [message for message in told if isinstance(message, types.ResourceUpdatedNotification)]
    assert {update.params.uri for update in updates} == {"note://1"}


@BOTH
async def test_a_stream_is_told_of_the_resources_that_it_names(
    portal_at: PortalAt, serving: Serving, version: str | None
) -> None:
    asking = Asking(version)
    told: list[object] = []
    async with (
        serving(asking) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp", mode="auto", cache=None) as client,
        client.listen(resource_subscriptions=["note://1"]) as events,
        anyio.create_task_group() as tasks,
    ):

        async def watch() -> None:
            async for event in events:
                told.append(event)
                return

        tasks.start_soon(watch)
        while not told:
            await asking.tell("notifications/resources/updated", {"uri": "note://2"})
            await asking.tell("notifications/resources/updated", {"uri": "note://1"})
            await anyio.sleep(0.05)

    assert told == [ResourceUpdated(uri="note://1")]

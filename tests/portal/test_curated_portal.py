"""A portal with rules for single tools, as clients and programs meet it."""

from __future__ import annotations

import json
import logging
from functools import partial
from typing import TYPE_CHECKING

import pytest
from mcp import Client, MCPError
from mcp_types import TextContent

from portal import PortalConfig, PortalServer, Rules, ServerConfig, Wording
from portal.server import LOCAL_USER

if TYPE_CHECKING:
    from mcp_types import CallToolResult

    from tests.portal.conftest import PortalAt, Serving, Upstreamed

OWN = ["portal_list_servers", "portal_toggle_servers", "portal_toggle_single_server"]
ERAS = pytest.mark.parametrize("era", ["legacy", "auto"])
RENAMED = PortalServer(id="up", tools=Rules(deny=("erase",), wording=Wording(rename={"echo": "say"})))


def portal_of(*servers: PortalServer, prefix: bool = True) -> tuple[PortalConfig, ...]:
    return (PortalConfig(servers=servers, prefix=prefix),)


def text(result: CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


@ERAS
async def test_a_tool_is_called_by_its_alias_and_not_by_its_name(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, era: str
) -> None:
    upstream.offer("erase")
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url), portals=portal_of(RENAMED)) as (_, origin),
        Client(f"{origin}/mcp", mode=era, cache=None) as client,
    ):
        names = [tool.name for tool in (await client.list_tools()).tools]
        said = await client.call_tool("up_say", {"n": 1})
        for name in ("up_echo", "up_erase"):
            with pytest.raises(MCPError, match=f"Unknown tool: {name}"):
                await client.call_tool(name, {})

    assert names == ["up_say", *OWN]
    assert text(said) == "echo {'n': 1}"
    assert upstream.calls == [("echo", {"n": 1})]


async def test_a_program_calls_the_alias_and_finds_nothing_of_what_is_denied(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "portico.records")
    upstream.offer("erase")
    source = """
        const said = await codemode.up_say({n: 1});
        const found = (await codemode.search(["erase", "say it again"])).map((tool) => tool.name);
        return {said, found};
    """
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url), portals=portal_of(RENAMED)) as (portal, _),
    ):
        run = partial(portal.engine.code, catalog=portal.catalog(), invoker=portal.invoker(user=LOCAL_USER))
        answer = await run(source)
        refused = [await run(f"return await codemode.{name}({{}})") for name in ("up_echo", "up_erase")]

    assert not answer.is_error, answer.text
    assert json.loads(answer.text) == {"said": "echo {'n': 1}", "found": ["up_say"]}
    assert ["no such tool" in one.text for one in refused] == [True, True]
    assert upstream.calls == [("echo", {"n": 1})]
    records = [json.loads(entry.message) for entry in caplog.records if entry.name == "portico.records"]
    assert [record["tool"] for record in records if record.get("server") == "up"] == ["echo"]


async def test_without_a_prefix_a_tool_is_called_by_its_own_name(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving
) -> None:
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url), portals=portal_of(PortalServer(id="up"), prefix=False)) as (
            _,
            origin,
        ),
        Client(f"{origin}/mcp", cache=None) as client,
    ):
        names = [tool.name for tool in (await client.list_tools()).tools]
        said = await client.call_tool("echo", {"n": 1})

    assert names == ["echo", *OWN]
    assert text(said) == "echo {'n': 1}"


async def test_a_rule_for_a_tool_that_a_ready_server_does_not_have_is_told_in_the_log_once(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    rules = Rules(deny=("ecko", "none_*"), wording=Wording(rename={"gone": "here"}))
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url), portals=portal_of(PortalServer(id="up", tools=rules))) as (_, origin),
        Client(f"{origin}/mcp", cache=None) as client,
    ):
        await client.list_tools()
        upstream.offer("more")
        await client.call_tool("portal_toggle_single_server", {"server_id": "up", "action": "untoggle"})
        await client.list_tools()

    warnings = [entry.message for entry in caplog.records if "does not list" in entry.message]
    where = "portal default, server up: tools."
    assert warnings == [
        f'{where}deny names "ecko", which the server does not list: did you mean "echo"?',
        f'{where}deny names "none_*", which the server does not list: remove it, unless it is meant for later.',
        f'{where}rename names "gone", which the server does not list: remove it, unless it is meant for later.',
    ]

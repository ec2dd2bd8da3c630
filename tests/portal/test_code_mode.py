"""Code mode through the endpoint: one tool, a program over real upstreams, and what the client gets back."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Literal

import anyio
import pytest
from mcp import Client, MCPError
from mcp_types import TextContent

from portal import Config, PortalConfig, PortalServer, ServerConfig

if TYPE_CHECKING:
    from mcp_types import CallToolResult

    from tests.portal.conftest import PortalAt, Serving, StdioServer, Upstreamed

Era = Literal["legacy", "auto"]
ERAS = pytest.mark.parametrize("era", ["legacy", "auto"])
CODE = "?codemode=search_and_execute"


def text(result: CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


@ERAS
async def test_one_program_composes_tools_of_several_servers(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, stdio_server: StdioServer, era: Era
) -> None:
    upstream.offer("numbers", {"content": [], "structuredContent": {"values": [1, 2, 3]}})
    program = """
        const { values } = await codemode.up_numbers({});
        const sums = await Promise.all(values.map(a => codemode.child_add({ a, b: 10 })));
        sums.map(sum => sum.result ?? sum)
    """
    servers = "await codemode.portal_list_servers({})"
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url), stdio_server("tools.py")) as (_, origin),
        Client(f"{origin}/mcp{CODE}", mode=era, cache=None) as client,
    ):
        tools = (await client.list_tools()).tools
        composed = await client.call_tool("code", {"code": program})
        listed = await client.call_tool("code", {"code": servers})

    assert [tool.name for tool in tools] == ["code"]
    assert "child, up" in (tools[0].description or "")
    assert text(composed) == "[11,12,13]"
    assert composed.structured_content is None
    assert text(listed) == "- up (up): ready\n- child (child): ready"


@ERAS
async def test_in_code_mode_no_tool_but_code_can_be_called(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, era: Era
) -> None:
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp{CODE}", mode=era, cache=None) as client,
    ):
        with pytest.raises(MCPError, match="Unknown tool: up_echo"):
            await client.call_tool("up_echo", {})
        wrong = await client.call_tool("code", {"source": "1"})

    assert wrong.is_error
    assert text(wrong).startswith('code takes {"code": "<a JavaScript program>"')


@ERAS
async def test_an_upstreams_error_is_thrown_to_the_program_and_a_failed_run_is_an_error_result(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, era: Era
) -> None:
    caught = "try { await codemode.up_echo({}) } catch (e) { [e.name, e.server, e.tool, e.message, e.data.hint] }"
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp{CODE}", mode=era, cache=None) as client,
    ):
        del upstream.definitions["echo"]
        handled = await client.call_tool("code", {"code": caught})
        failed = await client.call_tool("code", {"code": "await codemode.up_echo({})"})

    assert json.loads(text(handled)) == ["ToolError", "up", "echo", "no tool echo", "list first"]
    assert failed.is_error
    assert "no tool echo" in text(failed)


@pytest.mark.parametrize(
    ("code_mode", "query", "expected"),
    [
        ("off", "", "up_echo"),
        ("off", CODE, "up_echo"),
        ("opt_in", "", "up_echo"),
        ("opt_in", CODE, "code"),
        ("opt_in", "?codemode=off", "up_echo"),
        ("default_on", "", "code"),
        ("default_on", "?codemode=off", "up_echo"),
        ("enforced", "", "code"),
        ("enforced", "?codemode=off", "code"),
    ],
)
async def test_the_portals_policy_says_who_may_choose(
    portal_at: PortalAt,
    upstream: Upstreamed,
    serving: Serving,
    code_mode: Literal["off", "opt_in", "default_on", "enforced"],
    query: str,
    expected: str,
) -> None:
    """FIELD A.1.3: ``off`` and ``enforced`` ignore the query."""
    portal = PortalConfig(servers=(PortalServer(id="up"),), code_mode=code_mode)
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url), portals=(portal,)) as (_, origin),
        Client(f"{origin}/mcp{query}", cache=None) as client,
    ):
        names = [tool.name for tool in (await client.list_tools()).tools]

    assert names[0] == expected


async def test_the_list_in_code_mode_does_not_depend_on_the_tools(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving
) -> None:
    lists = []
    for count in (3, 3_000):
        for number in range(count):
            upstream.offer(f"tool_{number}")
        async with (
            serving(upstream) as url,
            portal_at(ServerConfig(id="up", url=url)) as (portal, origin),
            Client(f"{origin}/mcp{CODE}", cache=None) as client,
        ):
            known = len(portal.catalog().tools)
            lists.append((known > count, (await client.list_tools()).model_dump_json()))

    assert lists[0] == lists[1]
    assert lists[0][0]


@ERAS
async def test_a_client_that_cancels_its_run_ends_the_calls_of_the_run(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, era: Era
) -> None:
    upstream.holds["echo"] = anyio.Event()
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp{CODE}", mode=era, cache=None) as client,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "code", {"code": "await codemode.up_echo({})"})
            await upstream.entered.wait()
            tasks.cancel_scope.cancel()
        await upstream.cancelled.wait()


async def test_a_run_writes_one_record_and_each_of_its_calls_one_that_names_the_run(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "portico.records")
    program = "await Promise.all([codemode.up_echo({ private: 'data' }), codemode.up_echo({})]); 'done'"
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp{CODE}", cache=None) as client,
    ):
        result = await client.call_tool("code", {"code": program})
    records = [json.loads(entry.message) for entry in caplog.records if entry.name == "portico.records"]

    assert [record["kind"] for record in records] == ["call", "call", "run"]
    assert {record["run"] for record in records} == {(result.meta or {})["portico/run"]["run"]}
    assert records[2]["status"] == "ok"
    assert records[2]["calls"] == 2
    assert "data" not in "".join(entry.message for entry in caplog.records if entry.name == "portico.records")


async def test_the_instructions_say_how_the_mode_works(portal_at: PortalAt) -> None:
    async with portal_at() as (_, origin):
        async with Client(f"{origin}/mcp{CODE}", cache=None) as client:
            code = client.instructions
        async with Client(f"{origin}/mcp", mode="legacy", cache=None) as client:
            plain = client.instructions

    assert "codemode.search" in (code or "")
    assert "portal_list_servers" in (plain or "")


async def test_the_demo_is_served_out_of_the_box(portal_at: PortalAt) -> None:
    demo = Config.demo({}).servers
    async with (
        portal_at(*demo) as (_, origin),
        Client(f"{origin}/mcp{CODE}", cache=None) as client,
    ):
        result = await client.call_tool("code", {"code": "(await codemode.search('list issues')).length > 0"})

    assert text(result) == "true"

"""The modes that spend less of a client's context: names only, query and execute, reading only; and the switches."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Literal

import anyio
import pytest
from mcp import Client, MCPError
from mcp_types import TextContent, ToolListChangedNotification

from engine._search import SearchIndex
from portal import PortalConfig, PortalServer, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_types import CallToolResult

    from engine._document import Document
    from tests.portal.conftest import PortalAt, Serving, Upstreamed

Era = Literal["legacy", "auto"]
ERAS = pytest.mark.parametrize("era", ["legacy", "auto"])
NAMES = "?optimize_context=minimize_tools"
QUERY = "?optimize_context=search_and_execute"
READS = {"readOnlyHint": True}


def text(result: CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


@pytest.fixture
def library(upstream: Upstreamed) -> Upstreamed:
    """A server of three tools, one of which changes something."""
    book = {"type": "object", "properties": {"isbn": {"type": "string"}}, "required": ["isbn"]}
    upstream.definitions.clear()
    upstream.offer(
        "find-books", {"content": [], "structuredContent": {"found": 2}}, description="Find books.", annotations=READS
    )
    upstream.offer("get_book", description="Get a book by its ISBN.", inputSchema=book, annotations=READS)
    upstream.offer("burn_book", description="Destroy a book.", inputSchema=book)
    return upstream


@ERAS
async def test_minimize_tools_lists_names_alone_and_a_query_that_tells_the_rest(
    portal_at: PortalAt, library: Upstreamed, serving: Serving, era: Era
) -> None:
    async with (
        serving(library) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp{NAMES}", mode=era, cache=None) as client,
    ):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        told = await client.call_tool("query", {"query": "find books", "limit": 1})
        called = await client.call_tool("up_find-books", {})
        with pytest.raises(MCPError, match="Unknown tool: execute"):
            await client.call_tool("execute", {"tool": "up_get_book"})

    assert list(tools)[:3] == ["up_find-books", "up_get_book", "up_burn_book"]
    assert list(tools)[-1] == "query"
    assert tools["up_get_book"].description is None
    assert tools["up_get_book"].input_schema == {"type": "object"}
    assert "up_find-books" in text(told)
    assert called.structured_content == {"found": 2}


@ERAS
async def test_search_and_execute_lists_two_tools_and_reaches_every_one(
    portal_at: PortalAt, library: Upstreamed, serving: Serving, era: Era
) -> None:
    async with (
        serving(library) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp{QUERY}", mode=era, cache=None) as client,
    ):
        names = [tool.name for tool in (await client.list_tools()).tools]
        told = await client.call_tool("query", {"query": "book by isbn", "limit": 1})
        called = await client.call_tool("execute", {"tool": "up_find_books", "arguments": {}})
        spelt = await client.call_tool("execute", {"tool": "up_get_book", "arguments": '{"isbn": "1"}'})
        program = await client.call_tool("execute", {"code": "(await codemode.up_find_books({})).found + 1"})
        with pytest.raises(MCPError, match="Unknown tool: up_get_book"):
            await client.call_tool("up_get_book", {"isbn": "1"})

    assert names == ["query", "execute"]
    assert text(told).startswith("/** Get a book by its ISBN. */\nup_get_book(args: { isbn: string })")
    assert json.loads(text(called)) == {"found": 2}
    assert not spelt.is_error
    assert text(program) == "3"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "execute takes either"),
        ({"tool": "up_get_book", "code": "1"}, "execute takes either"),
        ({"tool": "up_get_book", "arguments": "[1]"}, "execute takes either"),
        ({"tool": "up_get_book", "args": {}}, "execute takes either"),
        ({"tool": "up_get_book", "arguments": {}}, 'up_get_book: missing "isbn"'),
        ({"tool": "up_get_bok"}, "no such tool. Nearest: up_get_book"),
        ({"code": "1", "resume": "rnone"}, "Not run: nothing is kept of run 'rnone'"),
    ],
)
async def test_a_wrong_execute_says_what_is_right(
    portal_at: PortalAt, library: Upstreamed, serving: Serving, arguments: dict[str, object], words: str
) -> None:
    async with (
        serving(library) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp{QUERY}", cache=None) as client,
    ):
        answer = await client.call_tool("execute", arguments)

    assert answer.is_error
    assert words in text(answer)
    assert library.calls == []


async def test_where_programs_are_off_execute_calls_one_tool_only(
    portal_at: PortalAt, library: Upstreamed, serving: Serving
) -> None:
    portal = PortalConfig(servers=(PortalServer(id="up"),), code_mode="off")
    async with (
        serving(library) as url,
        portal_at(ServerConfig(id="up", url=url), portals=(portal,)) as (_, origin),
        Client(f"{origin}/mcp{QUERY}", cache=None) as client,
    ):
        [_, execute] = (await client.list_tools()).tools
        program = await client.call_tool("execute", {"code": "1"})
        called = await client.call_tool("execute", {"tool": "up_find_books"})

    assert "JavaScript" not in str(execute)
    assert "code" not in execute.input_schema["properties"]
    assert text(program) == 'Programs are off in this portal: call one tool with {"tool", "arguments"}.'
    assert not called.is_error


@pytest.mark.parametrize("query", ["?access=read", f"{NAMES}&access=read"])
async def test_reading_only_leaves_the_tools_that_say_that_they_change_nothing(
    portal_at: PortalAt, library: Upstreamed, serving: Serving, query: str
) -> None:
    async with (
        serving(library) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp{query}", cache=None) as client,
    ):
        names = {tool.name for tool in (await client.list_tools()).tools}
        with pytest.raises(MCPError, match="Unknown tool: up_burn_book"):
            await client.call_tool("up_burn_book", {"isbn": "1"})

    assert names - {"query"} == {"up_find-books", "up_get_book", "portal_list_servers", "portal_toggle_servers"}
    assert library.calls == []


async def test_in_a_program_that_may_only_read_the_other_tools_are_unknown(
    portal_at: PortalAt, library: Upstreamed, serving: Serving
) -> None:
    async with (
        serving(library) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp?codemode=search_and_execute&access=read", cache=None) as client,
    ):
        burn = "try { await codemode['up_burn_' + 'book']({isbn: '1'}) } catch (e) { return e.message }"
        refused = await client.call_tool("code", {"code": burn})
        found = await client.call_tool("code", {"code": "return await codemode.search('destroy a book')"})

    assert text(refused).startswith("up_burn_book: no such tool.")
    assert "burn" not in text(found)
    assert library.calls == []


@ERAS
async def test_a_user_switches_a_server_off_and_on_and_clients_are_told(
    portal_at: PortalAt, library: Upstreamed, serving: Serving, era: Era
) -> None:
    changed = anyio.Event()

    async def on_message(message: object) -> None:
        if isinstance(message, ToolListChangedNotification):
            changed.set()

    async with (
        serving(library) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp", mode=era, cache=None, message_handler=on_message) as client,
    ):
        off = await client.call_tool("portal_toggle_single_server", {"server_id": "up", "action": "untoggle"})
        if era == "legacy":
            with anyio.fail_after(10):
                await changed.wait()
        without = {tool.name for tool in (await client.list_tools()).tools}
        listed = await client.call_tool("portal_list_servers", {})
        wrong = await client.call_tool("portal_toggle_single_server", {"server_id": "nope", "action": "toggle"})
        no_text = await client.call_tool("portal_toggle_single_server", {"server_id": "up", "action": []})
        await client.call_tool("portal_toggle_single_server", {"server_id": "up", "action": "toggle"})
        again = {tool.name for tool in (await client.list_tools()).tools}

    assert text(off) == "up is off."
    assert without == {"portal_list_servers", "portal_toggle_servers", "portal_toggle_single_server"}
    assert text(listed) == "- up (up): off"
    assert wrong.is_error
    assert text(wrong) == "server_id is one of: up; action is toggle or untoggle."
    assert text(no_text) == text(wrong)
    assert "up_get_book" in again


async def test_the_switches_are_methods_of_a_program_too(
    portal_at: PortalAt, library: Upstreamed, serving: Serving
) -> None:
    async with (
        serving(library) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp?codemode=search_and_execute", cache=None) as client,
    ):
        told = await client.call_tool("code", {"code": "return await codemode.portal_toggle_servers()"})

    assert "portal_toggle_single_server" in text(told)


@pytest.mark.parametrize(
    ("view", "tool", "arguments"),
    [
        (QUERY, "query", {"query": "burn a book"}),
        ("?codemode=search_and_execute", "code", {"code": "return codemode.search('burn a book')"}),
    ],
)
async def test_the_first_search_indexes_the_tools_in_a_thread_and_holds_nobody_up(
    portal_at: PortalAt,
    library: Upstreamed,
    serving: Serving,
    monkeypatch: pytest.MonkeyPatch,
    view: str,
    tool: str,
    arguments: dict[str, str],
) -> None:
    threads = list[threading.Thread]()

    def index(documents: Iterable[Document]) -> SearchIndex:
        threads.append(threading.current_thread())
        return SearchIndex(documents)

    monkeypatch.setattr("engine._catalog.SearchIndex", index)
    async with (
        serving(library) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp{view}", cache=None) as client,
    ):
        for _ in range(2):
            assert "up_burn_book" in text(await client.call_tool(tool, arguments))

    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()

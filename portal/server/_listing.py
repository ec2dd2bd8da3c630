"""What the clients of one portal can list and call: immutable, and made anew when an upstream changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from engine import Catalog, CatalogTool, ServerTools, code_tool, execute_tool, portal_instructions, query_tool
from portal.server._modes import Mode
from portal.server._own_tools import OWN_SERVER_ID, OWN_SERVER_NAME, OWN_TOOLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portal._config import PortalConfig
    from portal.upstream import Fleet, UpstreamTool
    from typegen import JsonObject, JsonValue, Tool

MAX_NAME_CHARS: Final = 48
"""Clients add prefixes of their own, and several refuse names of more than 64 characters."""
HASH_CHARS: Final = 6

_INSTRUCTIONS: Final = {
    Mode.LIST: "Each tool is named by its server: {server}_{tool}. portal_list_servers lists the servers.",
    Mode.NAMES: "Tools are listed by name alone, {server}_{tool}: query tells what one does and takes; then call it.",
    Mode.QUERY: "Find tools with query; call one, or run a program over several, with execute.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTool:
    """One tool as clients in list mode see it: under ``name``, which no other tool of the portal has."""

    name: str
    entry: CatalogTool
    source: UpstreamTool


class Listing:
    """The tools of one portal. Nothing is computed before it is asked for, and nothing twice."""

    def __init__(self, servers: Mapping[str, tuple[ServerTools, tuple[UpstreamTool, ...]]]) -> None:
        self._servers = servers
        self.catalog = Catalog.build([tools for tools, _ in servers.values()])

    @classmethod
    def of(cls, portal: PortalConfig, fleet: Fleet) -> Listing:
        """List what the servers of ``portal`` offer now, without the tools that it denies."""
        status = {server.id: server for server in fleet.status()}
        servers: dict[str, tuple[ServerTools, tuple[UpstreamTool, ...]]] = {}
        for server in portal.servers:
            if server.id not in status:
                continue
            sources = tuple(
                tool
                for tool in fleet.listing(server.id).tools.values()
                if (server.tools.permission(tool.name) or server.default) != "deny"
            )
            known = status[server.id]
            servers[server.id] = (_offer(server.id, known.name, known.status, sources), sources)
        servers[OWN_SERVER_ID] = (_offer(OWN_SERVER_ID, OWN_SERVER_NAME, "ready", OWN_TOOLS), OWN_TOOLS)
        return cls(servers)

    @cached_property
    def server_ids(self) -> tuple[str, ...]:
        """The ids of the portal's servers, its own tools aside."""
        return tuple(server_id for server_id in self._servers if server_id != OWN_SERVER_ID)

    @cached_property
    def tools(self) -> Mapping[str, ListedTool]:
        """The tools by the names of list mode, in the order of the servers and then as each lists them."""
        entries = {(entry.server_id, entry.name): entry for entry in self.catalog.tools.values()}
        listed: dict[str, ListedTool] = {}
        for server_id, (_, sources) in self._servers.items():
            for source in sources:
                name = listed_name(server_id, source.name)
                if name in listed:
                    name = _hashed(server_id, source.name)
                listed[name] = ListedTool(name=name, entry=entries[server_id, source.name], source=source)
        return listed

    @cached_property
    def read_only(self) -> Listing:
        """The same servers with those of their tools alone that say themselves that they change nothing."""
        return Listing(
            {
                server_id: (replace(offer, tools=tuple(filter(_only_reads, offer.tools))), _reading(sources))
                for server_id, (offer, sources) in self._servers.items()
            }
        )

    def without(self, server_ids: frozenset[str]) -> Listing:
        """The listing of somebody who has switched these servers off."""
        return Listing({key: value for key, value in self._servers.items() if key not in server_ids})

    def listed_name_of(self, entry: CatalogTool) -> str:
        """Return the name by which clients that list tools call ``entry``."""
        return self._names[entry.identifier]

    def answer(self, mode: Mode, *, is_modern: bool) -> JsonObject:
        """Answer ``tools/list``; the same object each time, which the caller does not change."""
        if mode is Mode.CODE:
            return self._code_list
        if mode is Mode.QUERY:
            return self._query_list
        if mode is Mode.NAMES:
            return self._names_list
        return self._modern_list if is_modern else self._handshake_list

    def instructions(self, mode: Mode) -> str:
        """Tell a client in a line how to use the portal."""
        if mode is Mode.CODE:
            return portal_instructions(self.server_ids)
        return _INSTRUCTIONS[mode]

    @cached_property
    def _code_list(self) -> JsonObject:
        return {"tools": [code_tool(self.server_ids)]}

    @cached_property
    def _query_list(self) -> JsonObject:
        return {"tools": [query_tool(self.server_ids, calls_by="with execute"), execute_tool()]}

    @cached_property
    def _names_list(self) -> JsonObject:
        """List every tool by its name alone: the schema says only that it takes an object, as the protocol asks."""
        tools: list[JsonValue] = [{"name": name, "inputSchema": {"type": "object"}} for name in self.tools]
        return {"tools": [*tools, query_tool(self.server_ids, calls_by="by its name")]}

    @cached_property
    def _handshake_list(self) -> JsonObject:
        tools: list[JsonValue] = [
            {**tool.source.handshake, "name": tool.name}
            for tool in self.tools.values()
            if tool.source.handshake is not None
        ]
        return {"tools": tools}

    @cached_property
    def _modern_list(self) -> JsonObject:
        tools: list[JsonValue] = [
            {**tool.source.modern, "name": tool.name} for tool in self.tools.values() if tool.source.modern is not None
        ]
        return {"tools": tools}

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return {tool.entry.identifier: name for name, tool in self.tools.items()}

    def input_schema(self, name: str) -> Mapping[str, JsonValue] | None:
        """Return the input schema of a tool by its name in any mode; the SDK checks ``Mcp-Param`` headers with it."""
        tool = self.tools.get(name)
        return tool.source.tool.input_schema if tool is not None else None


def listed_name(server_id: str, tool: str) -> str:
    """Name a tool in list mode: ``{server_id}_{tool}``, and a long one shortened with a hash."""
    name = f"{server_id}_{tool}"
    return name if len(name) <= MAX_NAME_CHARS else _hashed(server_id, tool)


def _hashed(server_id: str, tool: str) -> str:
    name = f"{server_id}_{tool}"
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_CHARS]
    return f"{name[: MAX_NAME_CHARS - HASH_CHARS - 1]}_{digest}"


def _offer(server_id: str, name: str, status: str, sources: tuple[UpstreamTool, ...]) -> ServerTools:
    return ServerTools(id=server_id, name=name, status=status, tools=tuple(source.tool for source in sources))


def _only_reads(tool: Tool) -> bool:
    """Whether a tool says itself that it changes nothing; silence counts as a change (MCP, ToolAnnotations)."""
    return bool((tool.annotations or {}).get("readOnlyHint"))


def _reading(sources: tuple[UpstreamTool, ...]) -> tuple[UpstreamTool, ...]:
    return tuple(source for source in sources if _only_reads(source.tool))

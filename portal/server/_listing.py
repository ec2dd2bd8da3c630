"""What the clients of one portal can list and call: immutable, and made anew when an upstream changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from engine import Catalog, CatalogTool, ServerTools, code_tool, execute_tool, portal_instructions, query_tool
from portal.server._curated import CuratedServer, CuratedTool, curated, uncurated
from portal.server._listed_prompts import ListedPrompt, listed_prompts
from portal.server._listed_resources import ListedResource, ListedResources, Owners
from portal.server._modes import Mode
from portal.server._names import give_names
from portal.server._own_tools import OWN_SERVER_ID, OWN_SERVER_NAME, OWN_TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from portal._config import PortalConfig
    from portal.upstream import Fleet, UpstreamTool
    from typegen import JsonObject, JsonValue

_INSTRUCTIONS: Final = {
    Mode.LIST: "Each tool is named by its server: {server}_{tool}. portal_list_servers lists the servers.",
    Mode.NAMES: "Tools are listed by name alone, {server}_{tool}: query tells what one does and takes; then call it.",
    Mode.QUERY: "Find tools with query; call one, or run a program over several, with execute.",
}
_CALLS_WITHOUT_PROGRAMS: Final = "Find tools with query; call one with execute."
_INSTRUCTIONS_WITHOUT_PREFIX: Final = {
    **_INSTRUCTIONS,
    Mode.LIST: "portal_list_servers lists the servers behind this portal.",
    Mode.NAMES: "Tools are listed by name alone: query tells what one does and takes; then call it.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTool:
    """One tool as clients in list mode see it: under ``name``, which no other tool of the portal has."""

    name: str
    entry: CatalogTool
    source: UpstreamTool
    curated: CuratedTool

    def permission(self, *, in_program: bool) -> Literal["allow", "ask"]:
        """Say whether the user has to be asked before a call, which a program makes or the client itself.

        The configuration's word counts. Where it says nothing, a program asks before it calls a tool that says itself
        that it is destructive: whoever always allows programs has no other moment to refuse.
        """
        if self.curated.permission is not None:
            return "ask" if self.curated.permission == "ask" else "allow"
        is_destructive = (self.entry.tool.annotations or {}).get("destructiveHint") is True
        return "ask" if in_program and is_destructive else "allow"

    def definition(self, as_listed: JsonObject) -> JsonObject:
        """Return a definition, as the server lists it for one era of the protocol, under the name that it has here."""
        return {**as_listed, "name": self.name, **self.curated.changes}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Whole:
    """What is decided over all servers of a portal, and holds in every view of it."""

    portal_id: str
    has_prefix: bool
    has_programs: bool
    tool_names: Mapping[tuple[str, str], str]
    prompt_names: Mapping[tuple[str, str], str]
    owners: Owners

    @classmethod
    def of(cls, servers: Sequence[CuratedServer], *, portal_id: str, has_prefix: bool, has_programs: bool) -> _Whole:
        # The portal's own tools come first, so that no server can take the name of one.
        ordered = sorted(servers, key=lambda server: server.id != OWN_SERVER_ID)

        def keeps_prefix(server_id: str) -> bool:
            return has_prefix or server_id == OWN_SERVER_ID

        return cls(
            portal_id=portal_id,
            has_prefix=has_prefix,
            has_programs=has_programs,
            tool_names=give_names(
                [(server.id, tool.tool.name) for server in ordered for tool in server.tools], keeps_prefix=keeps_prefix
            ),
            prompt_names=give_names(
                [(server.id, prompt.name) for server in ordered for prompt in server.prompts], keeps_prefix=keeps_prefix
            ),
            owners=Owners(servers),
        )


class Listing:
    """What one portal offers. Nothing is computed before it is asked for, and nothing twice.

    ``remarks`` are for the operator: rules that do nothing, and names that could not stay as they are.
    """

    def __init__(self, servers: Iterable[CuratedServer], whole: _Whole) -> None:
        self._servers = {server.id: server for server in servers}
        self._whole = whole
        self.catalog = Catalog.build([_for_engine(server) for server in self._servers.values()])

    @classmethod
    def of(cls, portal: PortalConfig, fleet: Fleet) -> Listing:
        """List what the servers of ``portal`` offer now, by its rules."""
        status = {server.id: server.status for server in fleet.status()}
        servers = [
            curated(server, upstream.config, upstream.offers, status=status[server.id])
            for server in portal.servers
            if server.id in status and (upstream := fleet.listing(server.id))
        ]
        own = uncurated(OWN_SERVER_ID, OWN_TOOLS, name=OWN_SERVER_NAME, permission="allow")
        whole = _Whole.of(
            [*servers, own],
            portal_id=portal.id,
            has_prefix=portal.prefix,
            has_programs=portal.code_mode != "off",
        )
        return cls([*servers, own], whole)

    @classmethod
    def of_tools(cls, servers: Mapping[str, Sequence[UpstreamTool]]) -> Listing:
        """List tools by their servers' ids, all of them and as they are."""
        uncurated_servers = [uncurated(server_id, tools) for server_id, tools in servers.items()]
        whole = _Whole.of(uncurated_servers, portal_id="default", has_prefix=True, has_programs=True)
        return cls(uncurated_servers, whole)

    @cached_property
    def server_ids(self) -> tuple[str, ...]:
        """The ids of the portal's servers, its own tools aside."""
        return tuple(server_id for server_id in self._servers if server_id != OWN_SERVER_ID)

    @cached_property
    def tools(self) -> Mapping[str, ListedTool]:
        """The tools by the names of list mode, in the order of the servers and then as each lists them."""
        return {tool.name: tool for tool in self._tools.values()}

    @cached_property
    def prompts(self) -> Mapping[str, ListedPrompt]:
        """The prompts by the names that clients see, ``{server_id}_{prompt}``."""
        return listed_prompts(self._servers.values(), self._whole.prompt_names)

    @property
    def resources(self) -> Mapping[str, ListedResource]:
        """The resources by the URIs that clients see."""
        return self._resources.resources

    @property
    def templates(self) -> Mapping[str, ListedResource]:
        """The resource templates by the URI templates that clients see."""
        return self._resources.templates

    def route_resource(self, uri: str) -> Sequence[tuple[str, str]]:
        """Return the servers that may have ``uri``, each with its own name for it, to be asked in this order."""
        return self._resources.route(uri)

    def listed_uri(self, server_id: str, uri: str) -> str:
        """Return the URI by which clients know what a server calls ``uri``, in a resource link or an update."""
        return self._resources.listed_uri(server_id, uri)

    def tool_at(self, entry: CatalogTool) -> ListedTool:
        """Return the tool of an entry of this listing's catalog, or of another one's of this portal.

        Raises ``KeyError`` when it is no longer there.
        """
        return self._tools[entry.server_id, entry.name]

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """What the operator should know of the rules, in sentences."""
        portal_id = self._whole.portal_id
        idle = [f"portal {portal_id}, {remark}" for server in self._servers.values() for remark in server.remarks]
        return (*idle, *(f"portal {portal_id}, {remark}" for remark in self._prefixed()))

    @cached_property
    def read_only(self) -> Listing:
        """The same servers with those of their tools alone that say themselves that they change nothing."""
        reading = [
            replace(server, tools=tuple(tool for tool in server.tools if self._only_reads(server, tool)))
            for server in self._servers.values()
        ]
        return Listing(reading, self._whole)

    def without(self, server_ids: frozenset[str]) -> Listing:
        """The listing of somebody who has switched these servers off."""
        return Listing([server for server in self._servers.values() if server.id not in server_ids], self._whole)

    def listed_name_of(self, entry: CatalogTool) -> str:
        """Return the name by which clients that list tools call ``entry``."""
        return self.tool_at(entry).name

    def answer_to(self, method: str, mode: Mode, *, is_modern: bool) -> JsonObject | None:
        """Answer one of the four list requests of MCP, as ``answer`` does for tools; ``None`` for any other request."""
        match method:
            case "tools/list":
                return self.answer(mode, is_modern=is_modern)
            case "prompts/list":
                return {"prompts": [prompt.definition for prompt in self.prompts.values()]}
            case "resources/list":
                return {"resources": [resource.definition for resource in self.resources.values()]}
            case "resources/templates/list":
                return {"resourceTemplates": [template.definition for template in self.templates.values()]}
            case _:
                return None

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
        if mode is Mode.QUERY and not self._whole.has_programs:
            return _CALLS_WITHOUT_PROGRAMS
        return (_INSTRUCTIONS if self._whole.has_prefix else _INSTRUCTIONS_WITHOUT_PREFIX)[mode]

    @cached_property
    def _code_list(self) -> JsonObject:
        return {"tools": [code_tool(self.server_ids)]}

    @cached_property
    def _query_list(self) -> JsonObject:
        execute = execute_tool(has_programs=self._whole.has_programs)
        return {"tools": [query_tool(self.server_ids, calls_by="with execute"), execute]}

    @cached_property
    def _names_list(self) -> JsonObject:
        """List every tool by its name alone: the schema says only that it takes an object, as the protocol asks."""
        tools: list[JsonValue] = [{"name": name, "inputSchema": {"type": "object"}} for name in self.tools]
        return {"tools": [*tools, query_tool(self.server_ids, calls_by="by its name")]}

    @cached_property
    def _handshake_list(self) -> JsonObject:
        return {
            "tools": [
                tool.definition(tool.source.handshake)
                for tool in self.tools.values()
                if tool.source.handshake is not None
            ]
        }

    @cached_property
    def _modern_list(self) -> JsonObject:
        return {
            "tools": [
                tool.definition(tool.source.modern) for tool in self.tools.values() if tool.source.modern is not None
            ]
        }

    def _prefixed(self) -> Iterator[str]:
        """Say what has a prefix although the portal gives none."""
        if self._whole.has_prefix:
            return
        for noun, names in (("tool", self._whole.tool_names), ("prompt", self._whole.prompt_names)):
            for (server_id, name), given in names.items():
                if server_id != OWN_SERVER_ID and given != name:
                    yield f'server {server_id}: the {noun} "{name}" is listed as "{given}", as its name is taken.'

    def _only_reads(self, server: CuratedServer, tool: CuratedTool) -> bool:
        return self._tools[server.id, tool.source.name].entry.is_read_only

    @cached_property
    def _tools(self) -> Mapping[tuple[str, str], ListedTool]:
        """The tools by their servers' ids and the servers' own names for them."""
        entries = {(entry.server_id, entry.name): entry for entry in self.catalog.tools.values()}
        return {
            (server.id, tool.source.name): ListedTool(
                name=self._whole.tool_names[server.id, tool.tool.name],
                entry=entries[server.id, tool.source.name],
                source=tool.source,
                curated=tool,
            )
            for server in self._servers.values()
            for tool in server.tools
        }

    @cached_property
    def _resources(self) -> ListedResources:
        return ListedResources(self._servers, self._whole.owners)


def _for_engine(server: CuratedServer) -> ServerTools:
    return ServerTools(
        id=server.id,
        name=server.name,
        status=server.status,
        tools=tuple(tool.tool for tool in server.tools),
        own_names={tool.tool.name: tool.source.name for tool in server.tools if tool.tool.name != tool.source.name},
    )

"""The immutable set of tools that one caller may use: identifiers, declarations, validators and a search index."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, zip_longest
from types import MappingProxyType
from typing import TYPE_CHECKING

import anyio.to_thread
import orjson

from engine._arguments import ArgumentCheck
from engine._document import document_of
from engine._pattern import match, pattern_in
from engine._quote import QUOTED_CHARS, quoted_part
from engine._search import NameIndex, SearchIndex
from typegen import DETAIL_TOKEN_BUDGET, Declaration, Tool, assign_identifiers, declare, fold_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from engine._learned import LearnedView


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTools:
    """One server as its portal knows it: its id, how it is, and the tools that it offers now.

    ``status`` is ``ready``, ``waiting`` or ``error``; one that is not ready may still list tools known from before.
    ``own_names`` holds, by the names in ``tools``, what the server itself calls those that its portal renamed.
    """

    id: str
    name: str = ""
    status: str = "ready"
    tools: tuple[Tool, ...] = ()
    own_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogTool:
    """One tool of a catalog: where it lives, what it is as its portal shows it, and its JavaScript identifier.

    ``name`` is the tool's own at its server, by which it is called; ``tool.name`` may be an alias.
    """

    server_id: str
    tool: Tool
    identifier: str
    name: str

    @property
    def is_read_only(self) -> bool:
        """Whether the tool itself says that it changes nothing; silence counts as a change (MCP, ToolAnnotations)."""
        return (self.tool.annotations or {}).get("readOnlyHint") is True


class Catalog:
    """The tools that one caller may use. Immutable; build it with ``Catalog.build`` and share it.

    Nothing is computed before it is asked for: a catalog of thousands of tools costs its identifiers.
    """

    def __init__(self, servers: Sequence[ServerTools]) -> None:
        self.servers: tuple[ServerTools, ...] = tuple(servers)
        identifiers = assign_identifiers((server.id, tool.name) for server in servers for tool in server.tools)
        entries = [
            CatalogTool(
                server_id=server.id,
                tool=tool,
                identifier=identifiers[server.id, tool.name],
                name=server.own_names.get(tool.name, tool.name),
            )
            for server in servers
            for tool in server.tools
        ]
        self.tools: Mapping[str, CatalogTool] = MappingProxyType({entry.identifier: entry for entry in entries})
        self._by_place: Mapping[tuple[object, object], CatalogTool] = {
            (entry.server_id, entry.name): entry for entry in entries
        }
        self._declarations: dict[str, Declaration] = {}
        self._checks: dict[str, ArgumentCheck] = {}

    @classmethod
    def build(cls, servers: Iterable[ServerTools]) -> Catalog:
        """Make a catalog of ``servers``, ordered by server id and then as each server lists its tools.

        Of two tools with one name on one server the first counts.
        """
        return cls([_without_repeats(server) for server in sorted(servers, key=lambda server: server.id)])

    @cached_property
    def digest(self) -> str:
        """SHA-256 over every server and tool: equal catalogs have equal digests, in any process."""
        content = [
            [server.id, server.name, server.status, [tool.digest for tool in server.tools], [*server.own_names.items()]]
            for server in self.servers
        ]
        return hashlib.sha256(orjson.dumps(content)).hexdigest()

    @cached_property
    def method_names(self) -> str:
        """Every identifier on a line of its own, as a run is told them."""
        return "\n".join(self.tools)

    def find(self, name: str) -> CatalogTool | None:
        """Return the tool that ``name`` means, or None.

        An identifier counts first, then a name that differs from just one tool's in case, dots or separators only.
        """
        exact = self.tools.get(name)
        if exact is not None or len(name) > self._longest_name:
            return exact
        folded = self._folded.get(fold_name(name), ())
        return folded[0] if len(folded) == 1 else None

    def at(self, server_id: object, name: object) -> CatalogTool | None:
        """Return the tool that the server ``server_id`` itself calls ``name``, or None."""
        return self._by_place.get((server_id, name))

    def unknown_tool_message(self, name: str) -> str:
        """Say that there is no tool ``name``, and which are nearest or how to find one."""
        near = self.nearest(name)
        searched = json.dumps(name[:QUOTED_CHARS])
        hint = f"Nearest: {', '.join(near)}" if near else f"Find tools with codemode.search({searched})"
        return f"{quoted_part(name)}: no such tool. {hint}"

    def nearest(self, name: str, *, limit: int = 3) -> list[str]:
        """Return the identifiers that look most like ``name``."""
        return self._names.nearest(name, limit=limit)

    def declaration(
        self, entry: CatalogTool, *, learned: LearnedView | None = None, depth: int | None = None
    ) -> Declaration:
        """Return the TypeScript declaration of one of this catalog's tools, with what is ``learned`` of its results.

        ``depth`` asks for nested types down to that level, in place of the usual budget.
        """
        tool = entry.tool if learned is None else learned.tool(entry)
        if depth is not None:
            return declare(tool, identifier=entry.identifier, token_budget=DETAIL_TOKEN_BUDGET, depth=depth)
        if tool is not entry.tool:
            return declare(tool, identifier=entry.identifier)
        known = self._declarations.get(entry.identifier)
        if known is None:
            known = self._declarations[entry.identifier] = declare(entry.tool, identifier=entry.identifier)
        return known

    def argument_check(self, entry: CatalogTool) -> ArgumentCheck:
        """Return the check of a call's arguments against the tool's input schema."""
        known = self._checks.get(entry.identifier)
        if known is None:
            known = self._checks[entry.identifier] = ArgumentCheck(entry.tool.input_schema)
        return known

    async def prepare_search(self) -> None:
        """Index the tools for ``search``, unless they are: in a thread, as thousands take a second."""
        if "_index" not in vars(self):
            await anyio.to_thread.run_sync(getattr, self, "_index")

    def search(self, query: str | Sequence[str], *, server: str | None = None, limit: int = 8) -> list[CatalogTool]:
        """Rank the tools for ``query``, best first, of one server only where ``server`` names it; none where none fits.

        A query written ``/.../`` is a regular expression over names, parameters and descriptions. Of several queries
        each brings up to ``limit`` tools, their best ones first. Raises ``CallError`` for a pattern that is none.
        """
        entries = self._ordered
        accepts = None if server is None else (lambda number: entries[number].server_id == server)
        queries = [query] if isinstance(query, str) else query
        rankings = [self._rank(text, accepts)[:limit] for text in queries]
        merged = chain.from_iterable(zip_longest(*rankings))
        return [entries[number] for number in dict.fromkeys(merged) if number is not None]

    def _rank(self, query: str, accepts: Callable[[int], bool] | None) -> list[int]:
        pattern = pattern_in(query)
        if pattern is None:
            return self._index.rank(query, accepts=accepts)
        tools = ((entry.identifier, entry.tool) for entry in self._ordered)
        return match(pattern, tools, accepts=accepts)

    @cached_property
    def _ordered(self) -> tuple[CatalogTool, ...]:
        return tuple(self.tools.values())

    @cached_property
    def _longest_name(self) -> int:
        """Characters of a name that may mean a tool: twice the longest, for all the separators that it may have."""
        return 2 * max((len(entry.server_id) + len(entry.tool.name) for entry in self._ordered), default=0) + 100

    @cached_property
    def _folded(self) -> Mapping[str, Sequence[CatalogTool]]:
        folded: dict[str, list[CatalogTool]] = defaultdict(list)
        for entry in self._ordered:
            for name in {fold_name(entry.identifier), fold_name(f"{entry.server_id}_{entry.tool.name}")}:
                folded[name].append(entry)
        return folded

    @cached_property
    def _names(self) -> NameIndex:
        return NameIndex(self.tools)

    @cached_property
    def _index(self) -> SearchIndex:
        return SearchIndex(document_of(entry.tool, server=entry.server_id) for entry in self._ordered)


def _without_repeats(server: ServerTools) -> ServerTools:
    tools = {tool.name: tool for tool in reversed(server.tools)}
    if len(tools) == len(server.tools):
        return server
    kept = tuple(tool for tool in server.tools if tools[tool.name] is tool)
    return replace(server, tools=kept)

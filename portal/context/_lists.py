"""What ``tools/list`` costs: in each mode, by server and by tool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portal._tokens import count_tokens
from portal.context._ledger import compact, definition
from portal.server import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portal.server import Listing
    from typegen import JsonObject, JsonValue

_SHOWN_MODES: Final = (
    ("every tool", "", Mode.LIST, False),
    ("every tool that only reads", "?access=read", Mode.LIST, True),
    ("names, and query", "?optimize_context=minimize_tools", Mode.NAMES, False),
    ("query and execute", "?optimize_context=search_and_execute", Mode.QUERY, False),
    ("code mode", "?codemode=search_and_execute", Mode.CODE, False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeCost:
    """What the tools of one mode cost.

    ``tokens`` counts the definitions as model APIs take them, ``whole`` the list as it goes over the wire, output
    schemas and annotations included: what a client that passes everything on would put into the context.
    """

    name: str
    query: str
    tools: int
    tokens: int
    whole: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCost:
    """What the tools of one server add to the plain list."""

    id: str
    name: str
    status: str
    tools: int
    tokens: int
    whole: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCost:
    """What one tool adds to the plain list: ``tokens``, of which the description and the input schema take most."""

    name: str
    server: str
    tokens: int
    description: int
    input_schema: int
    whole: int


def mode_costs(listing: Listing, encoding: str) -> tuple[ModeCost, ...]:
    """Count the list of each mode, as a client of the newest protocol gets it."""
    costs = []
    for name, query, mode, is_read_only in _SHOWN_MODES:
        tools = definitions_in(listing.read_only if is_read_only else listing, mode)
        costs.append(
            ModeCost(
                name=name,
                query=query,
                tools=len(tools),
                tokens=sum(count_tokens(definition(tool), encoding) for tool in tools),
                whole=count_tokens(compact({"tools": list(tools)}), encoding),
            )
        )
    return tuple(costs)


def tool_costs(listing: Listing, encoding: str) -> tuple[ToolCost, ...]:
    """Count each tool of the plain list, the largest first."""
    costs = (_tool_cost(listing, tool, encoding) for tool in definitions_in(listing, Mode.LIST))
    return tuple(sorted(costs, key=lambda cost: (-cost.tokens, cost.name)))


def server_costs(listing: Listing, tools: tuple[ToolCost, ...]) -> tuple[ServerCost, ...]:
    """Add up the tools of each server, the largest first."""
    costs = []
    for server in listing.catalog.servers:
        own = [tool for tool in tools if tool.server == server.id]
        costs.append(
            ServerCost(
                id=server.id,
                name=server.name or server.id,
                status=server.status,
                tools=len(own),
                tokens=sum(tool.tokens for tool in own),
                whole=sum(tool.whole for tool in own),
            )
        )
    return tuple(sorted(costs, key=lambda cost: (-cost.tokens, cost.id)))


def definitions_in(listing: Listing, mode: Mode) -> tuple[JsonObject, ...]:
    """Return the tools that ``tools/list`` answers in this mode."""
    tools = listing.answer(mode, is_modern=True)["tools"]
    return tuple(tool for tool in tools if isinstance(tool, dict)) if isinstance(tools, list) else ()


def _tool_cost(listing: Listing, tool: Mapping[str, JsonValue], encoding: str) -> ToolCost:
    name = str(tool["name"])
    return ToolCost(
        name=name,
        server=listing.tools[name].entry.server_id,
        tokens=count_tokens(definition(tool), encoding),
        description=count_tokens(str(tool.get("description") or ""), encoding),
        input_schema=count_tokens(compact(tool.get("inputSchema")), encoding),
        whole=count_tokens(compact(dict(tool)), encoding),
    )

"""Everything that one measurement found out, and the order in which it is done."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from portal._tokens import check_can_count
from portal.context._discovery import Discovery, discovery
from portal.context._lists import ModeCost, ServerCost, ToolCost, mode_costs, server_costs, tool_costs
from portal.context._program import ProgramCost, program_cost
from portal.server import LOCAL_USER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal._portal import Portal
    from portal.context._ledger import Bill
    from typegen import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextReport:
    """The tokens of one portal: of its lists, of finding a tool, and of one program where one was given."""

    portal: str
    encoding: str
    modes: tuple[ModeCost, ...]
    servers: tuple[ServerCost, ...]
    tools: tuple[ToolCost, ...]
    discovery: Discovery | None
    program: ProgramCost | None

    def as_json(self) -> JsonObject:
        """Return it as one JSON object, for programs."""
        program = self.program
        return {
            "portal": self.portal,
            "encoding": self.encoding,
            "modes": [asdict(mode) for mode in self.modes],
            "servers": [asdict(server) for server in self.servers],
            "tools": [asdict(tool) for tool in self.tools],
            "discovery": None if self.discovery is None else asdict(self.discovery),
            "program": None
            if program is None
            else {
                "source": program.source,
                "search": program.search,
                "answer": program.answer,
                "calls": dict(program.calls),
                "code_mode": _bill(program.code),
                "direct_calls": _bill(program.direct),
                "direct_calls_one_by_one": _bill(program.one_by_one),
            },
        }


async def measure(
    portal: Portal, portal_id: str, *, encoding: str, queries: Sequence[str] = (), program: str | None = None
) -> ContextReport:
    """Measure one portal, whose servers have settled; the ``program``, where there is one, is run and its calls made.

    Raises ``ConfigError`` when no tokeniser is installed and ``ProgramFailed`` when the program failed.
    """
    check_can_count()
    listing = portal.listing(portal_id)
    tools = tool_costs(listing, encoding)
    return ContextReport(
        portal=portal_id,
        encoding=encoding,
        modes=mode_costs(listing, encoding),
        servers=server_costs(listing, tools),
        tools=tools,
        discovery=await discovery(portal.engine, listing.catalog, queries=queries, encoding=encoding),
        program=None
        if program is None
        else await program_cost(
            program,
            engine=portal.engine,
            listing=listing,
            invoker=portal.invoker(portal_id),
            queries=queries,
            encoding=encoding,
            on_end=lambda run: portal.recorder.write_run(run.as_json(), user=LOCAL_USER, portal=portal_id),
        ),
    )


def example_program() -> str:
    """Return the program that is measured on the built-in demo."""
    return (files("portal.context") / "example.js").read_text(encoding="utf-8")


def _bill(cost: Bill) -> JsonObject:
    return {**asdict(cost), "context": cost.context}

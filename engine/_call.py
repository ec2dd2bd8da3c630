"""A tool call as it leaves the engine, and the one function through which all of them leave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from typegen import JsonObject

if TYPE_CHECKING:
    from engine._catalog import CatalogTool
    from sandbox import RunClock


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call of one tool: validated arguments, and the run that it belongs to, if any.

    ``index`` counts the calls of a run from 1, and ``turn`` its turns: the program made the calls of one turn together.
    ``clock`` is the run's wall clock: an invoker pauses it while it waits for a person.
    """

    entry: CatalogTool
    arguments: JsonObject
    run_id: str | None = None
    index: int = 0
    turn: int = 0
    clock: RunClock | None = None


Invoker: TypeAlias = Callable[[ToolCall], Awaitable[JsonObject]]
"""Makes a tool call and returns the MCP result as it came; raises ``UpstreamError`` when there is none."""

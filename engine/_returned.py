"""What the tools of a run returned, in words: for a program that took their results for something else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sandbox import ProgramError
from typegen import estimate_tokens, learn, outline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine._catalog import CatalogTool
    from sandbox import GuestError
    from typegen import JsonValue, ResultShape

MAX_TOKENS: Final = 85
"""By estimate, so that it is at most 100 by o200k."""
MAX_TOOLS: Final = 3
MAX_RESULTS: Final = 50
"""Looked at, the last ones first: those before say the same."""
_HEADING: Final = "Returned in this run:"
_ABOUT_A_VALUE: Final = re.compile(r"undefined|null|not a function|not iterable|not an object")


def returned_text(error: GuestError, returned: Iterable[tuple[CatalogTool, JsonValue]]) -> str:
    """Write the shapes of what the tools ``returned``, the last one first, where ``error`` may come of another shape.

    That is a ``TypeError`` over a missing property or a value of another kind; for anything else there is no text.
    """
    if not isinstance(error, ProgramError) or error.name != "TypeError" or not _ABOUT_A_VALUE.search(error.message):
        return ""
    shapes: dict[str, ResultShape] = {}
    for number, (entry, value) in enumerate(returned):
        if number >= MAX_RESULTS:
            break
        if entry.identifier in shapes or len(shapes) < MAX_TOOLS:
            shapes[entry.identifier] = learn(shapes.get(entry.identifier), value)
    lines: list[str] = []
    left = MAX_TOKENS - estimate_tokens(_HEADING)
    for number, (identifier, shape) in enumerate(shapes.items()):
        share = left // (len(shapes) - number) - estimate_tokens(identifier) - 2
        line = f"{identifier}: {outline(shape, max_tokens=share)}"
        cost = estimate_tokens(line) + 1
        if cost > left:
            continue
        left -= cost
        lines.append(line)
    return "\n".join([_HEADING, *lines]) if lines else ""

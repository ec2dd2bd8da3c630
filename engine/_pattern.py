"""Regular expressions in queries, ``/.../``: in linear time (RE2 never backtracks), because strangers write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import re2  # type: ignore[import-untyped]  # google-re2 ships no annotations

from engine._errors import CallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typegen import Tool

_PATTERN_CHARS_MAX = 1000
_MEMORY_MAX_BYTES = 4 * 2**20
"""Of one compiled pattern and its cache of states; RE2 answers slower beyond it, never with more memory."""


def pattern_in(query: str) -> str | None:
    """Return what stands between the slashes of a query such as ``/^get_.*issue/``, or None for plain words."""
    text = query.strip().removesuffix("i")
    return text[1:-1] if len(text) > 2 and text.startswith("/") and text.endswith("/") else None


def match(
    pattern: str, tools: Iterable[tuple[str, Tool]], *, accepts: Callable[[int], bool] | None = None
) -> list[int]:
    """Return which of ``tools``, each with its identifier, ``pattern`` matches.

    Those with a match in their names come first, then in a parameter's name, then in the description. Case does not
    count; ``^`` and ``$`` are the ends of a name. Raises ``CallError`` for what RE2 refuses.
    """
    search = _search_of(pattern)
    found = []
    for number, (identifier, tool) in enumerate(tools):
        if accepts is None or accepts(number):
            properties = tool.input_schema.get("properties")
            parameters = "\n".join(properties) if isinstance(properties, dict) else ""
            names = f"{identifier}\n{tool.name}\n{tool.title or ''}"
            for place, text in enumerate((names, parameters, tool.description)):
                if search(text) is not None:
                    found.append((place, number))
                    break
    return [number for _, number in sorted(found)]


def _search_of(pattern: str) -> Callable[[str], object]:
    if len(pattern) > _PATTERN_CHARS_MAX:
        raise CallError(f"search: a pattern may have {_PATTERN_CHARS_MAX} characters", name="TypeError")
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = False
    options.max_mem = _MEMORY_MAX_BYTES
    try:
        return cast("Callable[[str], object]", re2.compile(f"(?m){pattern}", options).search)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args else "not a pattern"
        raise CallError(f"search: /{pattern}/ is no regular expression: {reason}", name="TypeError") from None

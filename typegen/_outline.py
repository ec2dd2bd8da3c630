"""A learned shape in one line: the TypeScript type of a result within a few tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from typegen._result_shape import ANY, ARRAY, BOOLEAN, NULL, NUMBER, OBJECT, STRING
from typegen._text import estimate_tokens, property_name

if TYPE_CHECKING:
    from typegen._result_shape import ResultShape

_SIZES: Final = ((8, 128), (6, 24), (5, 12), (4, 8), (3, 8), (3, 5), (2, 5), (2, 3), (1, 3), (1, 1))
"""Levels and members of each object shown, richest first."""
_SCALARS: Final = ((STRING, "string"), (NUMBER, "number"), (BOOLEAN, "boolean"), (NULL, "null"))


def outline(shape: ResultShape, *, max_tokens: int) -> str:
    """Return the type of ``shape`` on one line, with as many levels and members as keep to about ``max_tokens``.

    What is left out is counted (``…12 more``) or written ``{…}``; it is an outline to read, not TypeScript to compile.
    """
    text = ""
    for depth, width in _SIZES:
        text = _outline(shape, depth, width)
        if estimate_tokens(text) <= max_tokens:
            break
    return text


def _outline(shape: ResultShape, depth: int, width: int) -> str:
    if not shape.kinds or shape.kinds & ANY:
        return "unknown"
    parts: list[str] = []
    if shape.kinds & OBJECT:
        parts.append(_object(shape, depth, width) if depth else "{…}")
    if shape.kinds & ARRAY:
        item = "unknown" if shape.items is None else _outline(shape.items, depth, width)
        parts.append(f"({item})[]" if shape.items is not None and _is_union(shape.items) else f"{item}[]")
    parts += [name for bit, name in _SCALARS if shape.kinds & bit]
    return "|".join(parts)


def _is_union(shape: ResultShape) -> bool:
    return not shape.kinds & ANY and shape.kinds.bit_count() > 1


def _object(shape: ResultShape, depth: int, width: int) -> str:
    if shape.values is not None:
        return f"Record<string, {_outline(shape.values, depth - 1, width)}>"
    shown = [
        f"{property_name(name)}{'?' if name in shape.optional else ''}: {_outline(member, depth - 1, width)}"
        for name, member in list(shape.members.items())[:width]
    ]
    if len(shape.members) > width:
        shown.append(f"…{len(shape.members) - width} more")
    return f"{{ {'; '.join(shown)} }}" if shown else "{}"

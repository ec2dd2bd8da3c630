"""Texts with gaps: ``*`` in a rule of the configuration, expressions in a URI template. In linear time, as no regex."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def matches_glob(pattern: str, name: str) -> bool:
    """Whether ``name`` is what ``pattern`` says; ``*`` in it stands for anything, also for nothing."""
    return fits(pattern.split("*"), name)


def fits(parts: Sequence[str], text: str) -> bool:
    """Whether ``text`` is ``parts`` in their order with anything, also nothing, between one and the next."""
    if len(parts) == 1:
        return text == parts[0]
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True

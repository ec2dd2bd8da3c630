"""Words for messages: the name that was probably meant, and lists of names."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that somebody who wrote ``name`` most likely meant, or ``None`` when nothing is near."""
    by_fold = {_fold(candidate): candidate for candidate in known}
    matches = get_close_matches(_fold(name), by_fold, n=1, cutoff=0.6)
    return by_fold[matches[0]] if matches else None


def listing(names: Iterable[str]) -> str:
    """Join names for a sentence: ``a, b and c``."""
    items = list(names)
    if len(items) < 2:
        return "".join(items) or "(none)"
    return f"{', '.join(items[:-1])} and {items[-1]}"


def _fold(name: str) -> str:
    return name.lower().replace("-", "_")

"""A value too long for an answer, cut by structure: whole items, whole keys, whole lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from typegen import JsonValue

_SMALLEST_SHARE = 120
"""Characters under which cutting inside an item is worth less than leaving it out."""


@dataclass(slots=True)
class Cut:
    """What a cut left, and what it left out: each entry of ``left_out`` reads ``path: 40 of 500 items``."""

    value: JsonValue = None
    left_out: list[str] = field(default_factory=list)


def cut_value(value: JsonValue, budget_chars: int) -> Cut:
    """Return as much of ``value`` as ``budget_chars`` of compact JSON hold, cut between items, keys or lines.

    Shares are fair: small members stay whole, and large ones divide what is left. A number, a short string or a key is
    never cut inside.
    """
    cut = Cut()
    cut.value = _fit(value, budget_chars, "", cut.left_out)
    return cut


def cut_text(text: str, budget_chars: int) -> Cut:
    """Return the first whole lines of ``text`` that fit; one overlong line is cut between characters."""
    cut = Cut()
    cut.value = _fit_text(text, budget_chars, "", cut.left_out)
    return cut


def json_chars(value: JsonValue) -> int:
    """Return the length of ``value`` as compact JSON, in characters."""
    return len(orjson.dumps(value).decode())


def _fit(value: JsonValue, budget: int, path: str, left_out: list[str]) -> JsonValue:
    if json_chars(value) <= budget:
        return value
    if isinstance(value, str):
        return _fit_text(value, budget - 2, path, left_out)
    if isinstance(value, list):
        return _fit_list(value, budget - 2, path, left_out)
    if isinstance(value, dict):
        return _fit_dict(value, budget - 2, path, left_out)
    return value


def _fit_list(items: list[JsonValue], budget: int, path: str, left_out: list[str]) -> JsonValue:
    kept: list[JsonValue] = []
    note_at = len(left_out)
    for number, item in enumerate(items):
        size = json_chars(item) + 1
        if size <= budget:
            kept.append(item)
            budget -= size
            continue
        # A list of few large items shows a part of each rather than the first alone.
        share = budget // max(1, min(len(items) - number, 4))
        if share >= _SMALLEST_SHARE:
            kept.append(_fit(item, share - 1, f"{path}[{number}]", left_out))
            budget -= json_chars(kept[-1]) + 1
            continue
        break
    if len(kept) < len(items):
        left_out.insert(note_at, f"{_label(path)}{len(kept)} of {len(items)} items")
    return kept


def _fit_dict(members: dict[str, JsonValue], budget: int, path: str, left_out: list[str]) -> JsonValue:
    sizes = {key: json_chars(key) + 2 + json_chars(inner) for key, inner in members.items()}
    shares: dict[str, int] = {}
    rest = budget
    # Smallest first: what a small member does not need is shared among the larger ones.
    for position, key in enumerate(sorted(sizes, key=lambda name: sizes[name])):
        shares[key] = min(sizes[key], rest // (len(sizes) - position))
        rest -= shares[key]
    kept: dict[str, JsonValue] = {}
    omitted: list[str] = []
    for key, inner in members.items():
        if shares[key] >= sizes[key]:
            kept[key] = inner
        elif shares[key] - json_chars(key) - 2 >= _SMALLEST_SHARE:
            kept[key] = _fit(inner, shares[key] - json_chars(key) - 2, f"{path}.{key}", left_out)
        else:
            omitted.append(key)
    if omitted:
        names = ", ".join(omitted[:8]) + (", …" if len(omitted) > 8 else "")
        left_out.append(f"{_label(path)}{len(omitted)} of {len(members)} keys left out: {names}")
    return kept


def _fit_text(text: str, budget: int, path: str, left_out: list[str]) -> str:
    # Escapes make the JSON form of a string longer than the string, so the budget counts the escaped form.
    escaping = max(1.0, (json_chars(text) - 2) / max(1, len(text))) if path else 1.0
    room = max(0, int(budget / escaping))
    if len(text) <= room:
        return text
    head = text[:room]
    lines, kept_lines = text.count("\n") + 1, head.count("\n")
    if kept_lines and len(head[: head.rfind("\n")]) >= room // 2:
        left_out.append(f"{_label(path)}{kept_lines} of {lines} lines")
        return head[: head.rfind("\n")]
    left_out.append(f"{_label(path)}{len(head)} of {len(text)} characters")
    return head


def _label(path: str) -> str:
    return f"{path.removeprefix('.')}: " if path else ""

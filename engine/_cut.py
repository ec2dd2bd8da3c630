"""A value too long for an answer, cut by structure: whole items, whole keys, whole lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import orjson

from engine._quote import quoted_part

if TYPE_CHECKING:
    from typegen import JsonValue

_SMALLEST_SHARE = 120
"""Characters under which cutting inside an item is worth less than leaving it out."""
_MOST_LEVELS: Final = 10
"""Of lists and objects inside one another that are cut inside: each level is measured anew, and may be megabytes."""
_KEY_CHARS: Final = 40
_PATH_CHARS: Final = 120

_Path: TypeAlias = tuple[str, ...]


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
    cut.value = _fit(value, json_chars(value), budget_chars, (), cut.left_out)
    return cut


def cut_text(text: str, budget_chars: int) -> Cut:
    """Return the first whole lines of ``text`` that fit; one overlong line is cut between characters."""
    cut = Cut()
    # A text that stands alone is not written as JSON, so it is as long as it is.
    cut.value = _fit_text(text, len(text) + 2, budget_chars, (), cut.left_out)
    return cut


def json_chars(value: JsonValue) -> int:
    """Return the length of ``value`` as compact JSON, in characters."""
    return len(orjson.dumps(value).decode())


def _fit(value: JsonValue, size: int, budget: int, path: _Path, left_out: list[str]) -> JsonValue:
    """Return as much of ``value``, which takes ``size`` characters, as ``budget`` holds."""
    if size <= budget:
        return value
    if isinstance(value, str):
        return _fit_text(value, size, budget - 2, path, left_out)
    if isinstance(value, list):
        return _fit_list(value, budget - 2, path, left_out)
    if isinstance(value, dict):
        return _fit_dict(value, budget - 2, path, left_out)
    return value


def _fit_list(items: list[JsonValue], budget: int, path: _Path, left_out: list[str]) -> JsonValue:
    kept: list[JsonValue] = []
    note_at = len(left_out)
    for number, item in enumerate(items):
        size = json_chars(item)
        if size + 1 <= budget:
            kept.append(item)
            budget -= size + 1
            continue
        # A list of few large items shows a part of each rather than the first alone.
        share = budget // max(1, min(len(items) - number, 4))
        if share >= _SMALLEST_SHARE and _is_cut_inside(item, path):
            kept.append(_fit(item, size, share - 1, (*path, f"[{number}]"), left_out))
            budget -= json_chars(kept[-1]) + 1
            continue
        break
    if len(kept) < len(items):
        left_out.insert(note_at, f"{_label(path)}{len(kept)} of {len(items)} items")
    return kept


def _fit_dict(members: dict[str, JsonValue], budget: int, path: _Path, left_out: list[str]) -> JsonValue:
    key_sizes = {key: json_chars(key) + 2 for key in members}
    sizes = {key: key_sizes[key] + json_chars(inner) for key, inner in members.items()}
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
        elif shares[key] - key_sizes[key] >= _SMALLEST_SHARE and _is_cut_inside(inner, path):
            size, share = (taken[key] - key_sizes[key] for taken in (sizes, shares))
            kept[key] = _fit(inner, size, share, (*path, f".{key}"), left_out)
        else:
            omitted.append(key)
    if omitted:
        names = ", ".join(quoted_part(key, _KEY_CHARS) for key in omitted[:8]) + (", …" if len(omitted) > 8 else "")
        left_out.append(f"{_label(path)}{len(omitted)} of {len(members)} keys left out: {names}")
    return kept


def _is_cut_inside(value: JsonValue, path: _Path) -> bool:
    """Say whether a part of ``value`` may stand for it in what is at ``path``."""
    return isinstance(value, str) or len(path) < _MOST_LEVELS - 1


def _fit_text(text: str, size: int, budget: int, path: _Path, left_out: list[str]) -> str:
    # Escapes make the JSON form of a string longer than the string, so the budget counts the escaped form.
    escaping = max(1.0, (size - 2) / max(1, len(text)))
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


def _label(path: _Path) -> str:
    return f"{quoted_part(''.join(path).removeprefix('.'), _PATH_CHARS)}: " if path else ""

"""Bars as inline SVG: drawn from figures, coloured by the page's own style sheet."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 880
_LABEL: Final = 250
_VALUE: Final = 130
_ROW: Final = 28
_BAR: Final = 16
_MAX_LABEL_CHARS: Final = 34
_LEAST: Final = 2.0  # so that a bar stays visible beside one a thousand times as long


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: ``parts`` are the lengths of its pieces, coloured in the order of the legend."""

    label: str
    parts: tuple[int, ...]
    value: str
    title: str = ""


def bars(rows: Sequence[Bar], *, description: str) -> str:
    """Draw horizontal bars to one scale; ``description`` is what a reader who cannot see them is told."""
    longest = max((sum(row.parts) for row in rows), default=0) or 1
    room = WIDTH - _LABEL - _VALUE
    drawn = "".join(_row(row, number, room / longest) for number, row in enumerate(rows))
    height = _ROW * len(rows)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(description)}" '
        f'xmlns="http://www.w3.org/2000/svg">{drawn}</svg>'
    )


def legend(names: Sequence[str]) -> str:
    """Name the colours of the pieces."""
    keys = "".join(f'<span><i class="p{number}"></i>{escape(name)}</span>' for number, name in enumerate(names))
    return f'<p class="legend">{keys}</p>'


def _row(row: Bar, number: int, scale: float) -> str:
    top = _ROW * number
    middle = top + _ROW / 2
    label = row.label if len(row.label) <= _MAX_LABEL_CHARS else f"{row.label[: _MAX_LABEL_CHARS - 1]}…"
    at = float(_LABEL)
    pieces = []
    for place, length in enumerate(row.parts):
        width = max(length * scale, _LEAST if length else 0.0)
        y = top + (_ROW - _BAR) / 2
        pieces.append(f'<rect class="p{place}" x="{at:.1f}" y="{y:.0f}" width="{width:.1f}" height="{_BAR}" rx="2"/>')
        at += width
    return (
        f"<g><title>{escape(row.title or f'{row.label}: {row.value}')}</title>"
        f'<text class="label" x="{_LABEL - 12}" y="{middle:.0f}">{escape(label)}</text>{"".join(pieces)}'
        f'<text class="value" x="{at + 8:.1f}" y="{middle:.0f}">{escape(row.value)}</text></g>'
    )

"""A part of RESULTS.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one benchmark found, as Markdown."""

    title: str
    text: str

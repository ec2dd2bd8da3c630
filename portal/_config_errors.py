"""The operator's mistakes, with the file and the line."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class ConfigError(Exception):
    """A setting that Portico cannot work with; the operator can fix it.

    ``message`` is a sentence that says what is wrong and what to do; ``file``, ``line`` (1-based) and ``key`` say
    where, as far as they are known. ``str()`` puts them together as ``file:line: message``.
    """

    def __init__(
        self, message: str, *, file: Path | str | None = None, line: int | None = None, key: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = None if file is None else Path(file)
        self.line = line
        self.key = key

    def at(self, *, file: Path | str | None, line: int | None) -> ConfigError:
        """Return the same error with a place, keeping the place that it already has."""
        return ConfigError(
            self.message,
            file=self.file if self.file is not None else file,
            line=self.line if self.line is not None else line,
            key=self.key,
        )

    def __str__(self) -> str:
        if self.file is None:
            return self.message
        place = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.message}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that somebody who wrote ``name`` most likely meant, or ``None`` when nothing is near."""
    by_fold = {candidate.lower().replace("-", "_"): candidate for candidate in known}
    matches = get_close_matches(name.lower().replace("-", "_"), by_fold, n=1, cutoff=0.6)
    return by_fold[matches[0]] if matches else None


def listing(names: Iterable[str]) -> str:
    """Join names for a sentence: ``a, b and c``."""
    items = list(names)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "(none)"

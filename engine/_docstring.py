"""A function's docstring -> what the tool does, and what each of its parameters means.

Two ways to describe parameters are read: a Google section (``Args:``) and a NumPy one (``Parameters`` underlined). The
description is everything before the first section of either kind; any other docstring is all description.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_OF_PARAMETERS: Final = frozenset({"args", "arguments", "parameters", "params", "keyword args", "other parameters"})
_OTHERS: Final = frozenset(
    {
        *("attributes", "example", "examples", "note", "notes", "raises", "references", "return", "returns"),
        *("see also", "todo", "warning", "warnings", "warns", "yield", "yields"),
    }
)
_GOOGLE_HEAD: Final = re.compile(r"([A-Z][A-Za-z ]*):")
_GOOGLE_ITEM: Final = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")  # sku (str): The article.
_NUMPY_ITEM: Final = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?")  # x, y : int


@dataclass(frozen=True, slots=True, kw_only=True)
class Docstring:
    """What a docstring says: of the function, and of its parameters by name."""

    description: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def read_docstring(text: str | None) -> Docstring:
    """Read a docstring as it stands in the source."""
    lines = inspect.cleandoc(text or "").splitlines()
    heads = [(number, *head) for number in range(len(lines)) if (head := _head(lines, number)) is not None]
    parameters: dict[str, str] = {}
    ends = [*(number for number, _, _ in heads), len(lines)][1:]
    for (number, name, is_numpy), end in zip(heads, ends, strict=True):
        if name in _OF_PARAMETERS:
            body = lines[number + (2 if is_numpy else 1) : end]
            parameters.update(_numpy_items(body) if is_numpy else _google_items(body))
    first = heads[0][0] if heads else len(lines)
    return Docstring(description="\n".join(lines[:first]).strip(), parameters=parameters)


def _head(lines: Sequence[str], number: int) -> tuple[str, bool] | None:
    """Return the name of the section that begins at a line, and whether it is of NumPy's kind."""
    line = lines[number]
    after = lines[number + 1] if number + 1 < len(lines) else ""
    known = _OF_PARAMETERS | _OTHERS
    if len(after) >= 3 and not after.strip("-") and line.strip().lower() in known:
        return line.strip().lower(), True
    google = _GOOGLE_HEAD.fullmatch(line.rstrip())
    if google is not None and google[1].lower() in known and (not after or after[0] == " "):
        return google[1].lower(), False
    return None


def _google_items(body: Sequence[str]) -> dict[str, str]:
    """Read ``name (type): description`` at the least indentation, with lines that go on further in."""
    indent = min((len(line) - len(line.lstrip()) for line in body if line.strip()), default=0)
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in body:
        item = _GOOGLE_ITEM.fullmatch(line[indent:].rstrip()) if line[indent : indent + 1].strip() else None
        if item is not None:
            current = found[item[1]] = [item[2]]
        else:
            current.append(line.strip())
    return {name: " ".join(filter(None, words)) for name, words in found.items()}


def _numpy_items(body: Sequence[str]) -> dict[str, str]:
    """Read ``name : type``, not indented, with the description in the indented lines below it."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in body:
        item = _NUMPY_ITEM.fullmatch(line.rstrip()) if line[:1].strip() else None
        if item is not None:
            current = []
            found.update(dict.fromkeys((name.strip().lstrip("*") for name in item[1].split(",")), current))
        else:
            current.append(line.strip())
    return {name: " ".join(filter(None, words)) for name, words in found.items()}

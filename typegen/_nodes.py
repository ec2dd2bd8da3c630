"""Nodes: the types of a declaration that may be shown or folded, and the marks that stand for them in text.

Marks are control characters, which no text of a server keeps (see ``_text``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typegen._reader import Reader
    from typegen._types import Type

OPEN, CLOSE, CLOSE_IN_LIST = "\x01", "\x02", "\x03"  # around a node's number; the last where a union needs parentheses
RECORD, END_RECORD = "\x04", "\x05"  # around the values of a map: `Record<string, ...>` or an index signature
MARK = re.compile("\x01([0-9]+)([\x02\x03])")


class Node:
    """A type that may be shown or folded."""

    __slots__ = (
        "body",
        "cost",
        "depth",
        "hint",
        "is_recursive",
        "name",
        "number",
        "precedence",
        "reader",
        "type",
        "uses",
    )

    def __init__(self, number: int, node_type: Type, hint: str, depth: int, reader: Reader) -> None:
        self.number = number
        self.type = node_type
        self.hint = hint
        self.depth = depth
        self.reader = reader
        self.body: str | None = None
        self.cost = 0
        self.precedence = 0
        self.uses = 0
        self.is_recursive = False
        self.name = ""


def marks_in(nodes: list[Node], text: str) -> list[Node]:
    """Return the nodes that ``text`` mentions, once for each mention."""
    return [nodes[int(number)] for number, _ in MARK.findall(text)]

"""From nodes to text: which are named, which stand where they are used, and which are one and the same.

A body holds its children as marks. The marks are resolved at the end, without recursion, so that neither depth nor
repetition in a schema costs more than its size.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from typegen._nodes import CLOSE, CLOSE_IN_LIST, END_RECORD, MARK, OPEN, RECORD, Node, marks_in

if TYPE_CHECKING:
    from collections.abc import Iterable

_MIN_NAMED_TOKENS = 6  # a smaller type is repeated: its name and declaration would cost more
_WORDS = re.compile(r"[A-Za-z0-9]+")
# What our own text refers to, and what a type may not be called.
_TAKEN_TYPE_NAMES = frozenset(
    {"Promise", "Record", "Array", "Partial", "Object", "String", "Number", "Boolean", "Function"}
)


def resolve(nodes: list[Node], roots: list[str], taken: Iterable[str] = ()) -> tuple[list[str], list[str], list[Node]]:
    """Put names and bodies in place of marks: the roots' text, the named types' text, and the folded nodes."""
    order = _count_uses(nodes, roots)
    used = set(taken)
    named: list[Node] = []
    folded: list[Node] = []
    for node in order:
        is_named = node.body is not None and (node.is_recursive or (node.uses > 1 and _is_worth_a_name(node)))
        if node.body is None or is_named:
            node.name = _unique(_type_name(node.hint), used)
            (named if is_named else folded).append(node)
    # An alias may refer to itself through an index signature, not through Record (TS2456).
    record = ("{ [k: string]: ", " }") if any(node.is_recursive for node in named) else ("Record<string, ", ">")
    texts = [_with_records(_fill(nodes, root), record) for root in roots]
    types = [_with_records(f"type {node.name} = {_fill(nodes, node.body or '')}", record) for node in named]
    return texts, types, folded


def merge(nodes: list[Node], roots: list[str]) -> list[str]:
    """Let nodes that mean the same share one body, across documents, and return the roots so rewritten.

    Two nodes are the same when their text is and their children are: colours are refined until no colour splits,
    which also settles types that contain themselves.
    """
    children = [[child.number for child in marks_in(nodes, node.body or "")] for node in nodes]
    own = [
        f"{node.precedence}{MARK.sub(CLOSE, node.body)}" if node.body is not None else f"{OPEN}{node.number}"
        for node in nodes
    ]
    numbers: dict[object, int] = {}
    colours = [numbers.setdefault(text, len(numbers)) for text in own]
    count = 0
    while len(numbers) != count:
        count = len(numbers)
        numbers = {}
        colours = [
            numbers.setdefault((colours[at], *(colours[child] for child in below)), len(numbers))
            for at, below in enumerate(children)
        ]
    first: dict[int, int] = {}
    for at, colour in enumerate(colours):
        first.setdefault(colour, at)

    def rewritten(text: str) -> str:
        return MARK.sub(lambda mark: f"{OPEN}{first[colours[int(mark[1])]]}{mark[2]}", text)

    for node in nodes:
        if node.body is not None:
            node.body = rewritten(node.body)
    return [rewritten(root) for root in roots]


def _count_uses(nodes: list[Node], roots: list[str]) -> list[Node]:
    order: list[Node] = []
    seen: set[int] = set()
    for node in nodes:
        node.uses = 0
        node.is_recursive = False
        node.name = ""
    # Depth first, with the path beside it: a node met on its own path is recursive.
    stack: list[tuple[Node, bool]] = []
    path: set[int] = set()
    for root in roots:
        stack.extend((node, False) for node in reversed(marks_in(nodes, root)))
        while stack:
            node, is_leaving = stack.pop()
            if is_leaving:
                path.discard(node.number)
                continue
            node.uses += 1
            if node.number in seen:
                node.is_recursive = node.is_recursive or node.number in path
                continue
            seen.add(node.number)
            order.append(node)
            if node.body is None:
                continue
            path.add(node.number)
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(marks_in(nodes, node.body)))
    return order


def _fill(nodes: list[Node], text: str) -> str:
    """Replace marks by names or bodies, to any depth, without recursion."""
    pieces: list[str] = []
    stack: list[str | tuple[Node, str]] = [text]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple):
            node, close = item
            if node.name or node.body is None:
                pieces.append(node.name)
            elif close == CLOSE_IN_LIST and node.precedence:
                stack.extend((")", node.body, "("))
            else:
                stack.append(node.body)
            continue
        parts = MARK.split(item)
        if len(parts) == 1:
            pieces.append(item)
            continue
        later: list[str | tuple[Node, str]] = [parts[0]]
        for at in range(1, len(parts), 3):
            later.append((nodes[int(parts[at])], parts[at + 1]))
            later.append(parts[at + 2])
        stack.extend(reversed(later))
    return "".join(pieces)


def _is_worth_a_name(node: Node) -> bool:
    return node.cost > _MIN_NAMED_TOKENS or OPEN in (node.body or "")


def _with_records(text: str, record: tuple[str, str]) -> str:
    return text.replace(RECORD, record[0]).replace(END_RECORD, record[1])


def _type_name(hint: str) -> str:
    hint = re.sub(r"^.*[./#](?=[A-Za-z])", "", hint[:200])
    name = "".join(word[0].upper() + word[1:] for word in _WORDS.findall(hint))[:40]
    if not name or name[0].isdigit() or name in _TAKEN_TYPE_NAMES:
        name = f"T{name}"
    return name


def _unique(name: str, taken: set[str]) -> str:
    candidate = name
    number = 2
    while candidate in taken:
        candidate = f"{name}{number}"
        number += 1
    taken.add(candidate)
    return candidate

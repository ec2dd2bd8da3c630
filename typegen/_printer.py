"""Types -> text, node by node, so that a declaration shows as much as its token budget allows.

Every object, large enum and intersection is a node. A node is printed with its children as marks; it is shown when the
budget allows its text, and else it stays a name (a stub). A shown node that is used once stands where it is used; one
that is used more often, or inside itself, becomes a ``type`` of its own, emitted once.

Why the text looks as it does (o200k tokens, over the declarations of GitHub REST, AWS and real servers; see
``tests/typegen/test_budget.py``): ``"a"|"b"`` is a fifth smaller than with spaces, ``Record<string, T>`` three tokens
smaller than an index signature, a ``// note`` at the end of the line one token smaller than ``/* note */``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from typegen._notes import description, facts
from typegen._text import estimate_tokens, property_name
from typegen._types import (
    NEVER,
    AllOf,
    AnyOf,
    Atom,
    Enum,
    Later,
    ListOf,
    Member,
    Scoped,
    Shape,
    TupleOf,
    Type,
)

if TYPE_CHECKING:
    from typegen._reader import Reader

MAX_INLINE_LITERALS = 16
MAX_INLINE_LITERAL_CHARS = 160
MAX_INLINE_SHAPES = 6
MAX_NODES = 20_000
_MAX_WIDENED = 6  # kinds of value in one index signature; more are `unknown`
MAX_NESTED_LISTS = 24
_MIN_NAME_TOKENS = 30  # spent on names even when there is no room: a dozen of them
PARTIAL_MARK = "/* also: "  # before the names of members that a budget leaves out

_OPEN, _CLOSE, _CLOSE_IN_LIST = "\x01", "\x02", "\x03"
_RECORD, _END_RECORD = "\x04", "\x05"
_MARK = re.compile("\x01([0-9]+)([\x02\x03])")
_WORDS = re.compile(r"[A-Za-z0-9]+")
# What our own text refers to, and what a type may not be called.
_TAKEN_TYPE_NAMES = frozenset(
    {"Promise", "Record", "Array", "Partial", "Object", "String", "Number", "Boolean", "Function"}
)


class Docs:
    """How much of a member's documentation is printed."""

    __slots__ = ("is_jsdoc", "is_whole", "max_chars")

    def __init__(self, max_chars: int, *, is_whole: bool = False, is_jsdoc: bool = False) -> None:
        self.max_chars = max_chars
        self.is_whole = is_whole
        self.is_jsdoc = is_jsdoc

    def note(self, member: Member) -> str:
        """Return what is said beside ``member``; empty when there is nothing worth a reader's time."""
        schema = member.type.schema if isinstance(member.type, Scoped) else member.type
        if not isinstance(schema, Mapping):
            return ""
        found = facts(schema)
        said = description(schema, self.max_chars, is_whole=self.is_whole) if self.max_chars else ""
        if said and not self.is_whole and _repeats(said, member.name):
            said = ""
        note = _in_comment(f"{said} ({found})" if said and found else said or found)
        return f"{note} @deprecated" if self.is_jsdoc and schema.get("deprecated") is True else note


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


class Printer:
    """Prints types as text with marks, and resolves the marks at the end."""

    def __init__(self, *, taken: tuple[str, ...] = (), max_nodes: int = MAX_NODES) -> None:
        self._taken = frozenset(taken)
        self._max_nodes = max_nodes
        self.nodes: list[Node] = []
        self._by_identity: dict[int, tuple[Type, Node]] = {}
        self._by_hint: dict[tuple[Reader, str], list[Node]] = {}
        self._depth = 0
        self._nested = 0

    def text(self, later: Later, hint: str, reader: Reader) -> str:
        """Return the type as text, children as marks."""
        return self._text(later, hint, reader)[0]

    def show(self, node: Node, docs: Docs | None = None) -> str:
        """Return the body of ``node``, its children as marks; does not yet decide that it is shown."""
        self._depth = node.depth + 1
        reader = node.reader
        match node.type:
            case Shape():
                node.precedence = 0
                return self._shape(node.type, node.hint, reader, docs)
            case AllOf(parts):
                node.precedence = 2
                return " & ".join(self._operand(part, node.hint, reader, docs) for part in parts)
            case Enum(texts):
                node.precedence = 1
                return "|".join(texts)
            case AnyOf(parts):
                node.precedence = 1
                return self._union(parts, node.hint, reader)[0]
            case other:
                text, node.precedence = self._text(other, node.hint, reader)
                return text

    def partial(self, node: Node, allowance: int, *, keeps_required: bool) -> str:
        """Return the body of a shape too large for ``allowance``: members while they fit, and the names of the others.

        Required members are always shown when ``keeps_required``; links go last, they are seldom what is looked for.
        """
        if not isinstance(node.type, Shape):
            return self.show(node)
        self._depth = node.depth + 1
        members = sorted(node.type.members, key=lambda member: _rank(member, keeps_required=keeps_required))
        names = [property_name(member.name) for member in members]
        costs = [estimate_tokens(name) for name in names]
        left = allowance - sum(costs) - 4
        lines: list[str] = []
        others: list[str] = []
        room_for_names = allowance
        for member, name, cost in zip(members, names, costs, strict=True):
            is_kept = keeps_required and member.is_required
            if left > 0 or is_kept:
                line = _property(member, self._text(member.type, member.name or node.hint, node.reader)[0])
                extra = estimate_tokens(line) + 1 - cost
                if extra <= left or is_kept:
                    left -= extra
                    room_for_names -= extra + cost
                    lines.append(line)
                    continue
            others.append(name)
        if not others:
            return "{ " + "; ".join(lines) + " }"
        shown = _fitting(others, max(room_for_names - 6, _MIN_NAME_TOKENS))
        rest = " ".join(shown) + (f" and {len(others) - len(shown)} more" if len(shown) < len(others) else "")
        return "{ " + "".join(f"{line}; " for line in lines) + f"{PARTIAL_MARK}{_in_comment(rest)} */ }}"

    def marks_in(self, text: str) -> list[Node]:
        """Return the nodes that ``text`` mentions, once for each mention."""
        return [self.nodes[int(number)] for number, _ in _MARK.findall(text)]

    # -- types ------------------------------------------------------------------------------------------------------

    def _text(self, later: Later, hint: str, reader: Reader) -> tuple[str, int]:
        read = reader.read(later)
        if isinstance(read, Atom):
            return read.text, 0
        if isinstance(read, Shape):
            return (self._mark(read, hint, reader), 0) if read.members else self._indexed(read, hint, reader)
        if isinstance(read, ListOf):
            return self._list(read, hint, reader), 0
        if isinstance(read, Enum):
            texts = read.texts
            if len(texts) <= MAX_INLINE_LITERALS and sum(map(len, texts)) <= MAX_INLINE_LITERAL_CHARS:
                return "|".join(texts), 1
            return self._mark(read, hint, reader), 3
        if isinstance(read, AnyOf):
            if len(read.parts) > MAX_INLINE_SHAPES:
                return self._mark(read, hint, reader), 3
            return self._union(read.parts, hint, reader)
        if isinstance(read, AllOf):
            return self._mark(read, hint, reader), 3
        return self._tuple(read, hint, reader), 0

    def _list(self, read: ListOf, hint: str, reader: Reader) -> str:
        self._nested += 1
        try:
            if self._nested > MAX_NESTED_LISTS:
                return "unknown[]"
            return _in_list(*self._text(read.item, _singular(hint), reader)) + "[]"
        finally:
            self._nested -= 1

    def _tuple(self, read: TupleOf, hint: str, reader: Reader) -> str:
        self._nested += 1
        try:
            if self._nested > MAX_NESTED_LISTS:
                return "unknown[]"
            texts = []
            for position, item in enumerate(read.items):
                text = self._text(item, hint, reader)
                texts.append(text[0] if position < read.required else f"{_in_list(*text)}?")
            if read.rest is not None:
                texts.append(f"...{_in_list(*self._text(read.rest, hint, reader))}[]")
            return f"[{', '.join(texts)}]"
        finally:
            self._nested -= 1

    def _union(self, parts: tuple[Type, ...], hint: str, reader: Reader) -> tuple[str, int]:
        texts: dict[str, None] = {}
        for part in parts:
            text, precedence = self._text(part, hint, reader)
            texts[_in_list(text, precedence) if precedence >= 2 else text] = None
        return (next(iter(texts)), 0) if len(texts) == 1 and len(parts) > 1 else ("|".join(texts), 1)

    def _operand(self, part: Type, hint: str, reader: Reader, docs: Docs | None) -> str:
        if isinstance(part, Shape) and part.members:
            return self._shape(part, hint, reader, docs)
        if isinstance(part, AnyOf):
            return "(" + "|".join(dict.fromkeys(self._operand(one, hint, reader, docs) for one in part.parts)) + ")"
        if isinstance(part, AllOf):
            return "(" + " & ".join(self._operand(one, hint, reader, docs) for one in part.parts) + ")"
        text, precedence = self._text(part, hint, reader)
        return _in_list(text, precedence)

    # -- shapes -----------------------------------------------------------------------------------------------------

    def _shape(self, shape: Shape, hint: str, reader: Reader, docs: Docs | None) -> str:
        texts = [self._text(member.type, member.name or hint, reader)[0] for member in shape.members]
        lines = [_property(member, text) for member, text in zip(shape.members, texts, strict=True)]
        indexes = self._signatures(shape, texts, hint, reader)
        if not lines:
            return indexes[0]
        notes = [docs.note(member) for member in shape.members] if docs else []
        lines.extend(indexes)
        if not any(notes):
            return "{ " + "; ".join(lines) + " }"
        notes.extend("" for _ in indexes)
        pairs = zip(lines, notes, strict=True)
        if docs is not None and docs.is_jsdoc:
            return "{\n" + "".join(f"/** {note} */\n{line};\n" if note else f"{line};\n" for line, note in pairs) + "}"
        return "{\n" + "".join(f"{line} // {note}\n" if note else f"{line}\n" for line, note in pairs) + "}"

    def _indexed(self, shape: Shape, hint: str, reader: Reader) -> tuple[str, int]:
        if shape.indexes and shape.indexes[0].type is NEVER:
            return "Record<string, never>", 0
        text = self._signatures(shape, [], hint, reader)[0]
        return text if text.startswith(_RECORD) else f"{{ {text} }}", 0

    def _signatures(self, shape: Shape, beside: list[str], hint: str, reader: Reader) -> list[str]:
        """Return the index signatures, wide enough for the members beside them (TS2411), or one ``Record``."""
        found = []
        for index in shape.indexes:
            text, precedence = self._text(index.type, _singular(hint), reader)
            if index.is_mapped:
                found.append(f"[k in {index.key}]{'' if index.is_required else '?'}: {text}")
            elif not beside and index.key == "string":
                found.append(f"{_RECORD}{text}{_END_RECORD}")
            elif not beside:
                found.append(f"[k: {index.key}]: {text}")
            else:
                found.append(f"[k: {index.key}]: {_widened(text, precedence, shape, beside)}")
        return found

    # -- nodes ------------------------------------------------------------------------------------------------------

    def _mark(self, node_type: Type, hint: str, reader: Reader) -> str:
        known = self._by_identity.get(id(node_type))
        if known is None:
            name = reader.name_of(node_type) or hint
            node = self._same(node_type, name, reader)
            if node is None:
                if len(self.nodes) >= self._max_nodes:
                    return "unknown"
                node = Node(len(self.nodes), node_type, name, self._depth, reader)
                self.nodes.append(node)
                self._by_hint.setdefault((reader, name), []).append(node)
            known = self._by_identity[id(node_type)] = node_type, node  # the type is kept, so that its id stays its own
        return f"{_OPEN}{known[1].number}{_CLOSE}"

    def _same(self, node_type: Type, name: str, reader: Reader) -> Node | None:
        """Return a node of the same document that looks the same (schemas of two documents may refer to two things)."""
        for node in self._by_hint.get((reader, name), ())[:8]:
            try:
                if node.type == node_type:
                    return node
            except RecursionError:
                return None
        return None

    # -- marks ------------------------------------------------------------------------------------------------------

    def resolve(self, roots: list[str]) -> tuple[list[str], list[str], list[Node]]:
        """Put names and bodies in place of marks: the roots' text, the named types' text, and the folded nodes."""
        order = self._count_uses(roots)
        taken = set(self._taken)
        named: list[Node] = []
        folded: list[Node] = []
        for node in order:
            is_named = node.body is not None and (node.is_recursive or (node.uses > 1 and node.cost > 6))
            if node.body is None or is_named:
                node.name = _unique(_type_name(node.hint), taken)
                (named if is_named else folded).append(node)
        # An alias may refer to itself through an index signature, not through Record (TS2456).
        record = ("{ [k: string]: ", " }") if any(node.is_recursive for node in named) else ("Record<string, ", ">")
        texts = [_with_records(self._fill(root), record) for root in roots]
        types = [_with_records(f"type {node.name} = {self._fill(node.body or '')}", record) for node in named]
        return texts, types, folded

    def merge(self, roots: list[str]) -> list[str]:
        """Let nodes that mean the same share one body, across documents, and return the roots so rewritten.

        Two nodes are the same when their text is and their children are: colours are refined until no colour splits,
        which also settles types that contain themselves.
        """
        children = [[child.number for child in self.marks_in(node.body or "")] for node in self.nodes]
        own = [
            f"{node.precedence}{_MARK.sub(_CLOSE, node.body)}" if node.body is not None else f"{_OPEN}{node.number}"
            for node in self.nodes
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
            return _MARK.sub(lambda mark: f"{_OPEN}{first[colours[int(mark[1])]]}{mark[2]}", text)

        for node in self.nodes:
            if node.body is not None:
                node.body = rewritten(node.body)
        return [rewritten(root) for root in roots]

    def _count_uses(self, roots: list[str]) -> list[Node]:
        order: list[Node] = []
        seen: set[int] = set()
        for node in self.nodes:
            node.uses = 0
            node.is_recursive = False
            node.name = ""
        # Depth first, with the path beside it: a node met on its own path is recursive.
        stack: list[tuple[Node, bool]] = []
        path: set[int] = set()
        for root in roots:
            stack.extend((node, False) for node in reversed(self.marks_in(root)))
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
                stack.extend((child, False) for child in reversed(self.marks_in(node.body)))
        return order

    def _fill(self, text: str) -> str:
        """Replace marks by names or bodies, to any depth, without recursion."""
        pieces: list[str] = []
        stack: list[str | tuple[Node, str]] = [text]
        while stack:
            item = stack.pop()
            if isinstance(item, tuple):
                node, close = item
                if node.name or node.body is None:
                    pieces.append(node.name)
                elif close == _CLOSE_IN_LIST and node.precedence:
                    stack.extend((")", node.body, "("))
                else:
                    stack.append(node.body)
                continue
            parts = _MARK.split(item)
            if len(parts) == 1:
                pieces.append(item)
                continue
            later: list[str | tuple[Node, str]] = [parts[0]]
            for at in range(1, len(parts), 3):
                later.append((self.nodes[int(parts[at])], parts[at + 1]))
                later.append(parts[at + 2])
            stack.extend(reversed(later))
        return "".join(pieces)


def _with_records(text: str, record: tuple[str, str]) -> str:
    return text.replace(_RECORD, record[0]).replace(_END_RECORD, record[1])


def _in_list(text: str, precedence: int) -> str:
    """Return ``text`` as the item of an array or the operand of ``&``: in parentheses where they are needed."""
    if precedence == 3:  # one mark: parentheses are decided when it is filled
        return text[:-1] + _CLOSE_IN_LIST if text.endswith(_CLOSE) else text
    return f"({text})" if precedence else text


def _property(member: Member, text: str) -> str:
    return f"{property_name(member.name)}{':' if member.is_required else '?:'} {text}"


def _widened(text: str, precedence: int, shape: Shape, beside: list[str]) -> str:
    """Return the type of an index signature so wide that the members ``beside`` it fit (TS2411)."""
    if text == "unknown":
        return text
    kinds = dict.fromkeys((text, *beside))
    if not all(member.is_required for member in shape.members):
        kinds["undefined"] = None
    if len(kinds) == 1:
        return text
    if len(kinds) > _MAX_WIDENED or precedence == 3 or "unknown" in kinds:
        return "unknown"
    return "|".join(kinds)


def _rank(member: Member, *, keeps_required: bool) -> int:
    if keeps_required and member.is_required:
        return 0
    return 2 if member.name.endswith(("_url", "Url", "_links", "Links", "_href", "Href")) else 1


def _fitting(names: list[str], allowance: int) -> list[str]:
    for count, name in enumerate(names):
        allowance -= estimate_tokens(name)
        if allowance < 0:
            return names[:count]
    return names


def _in_comment(text: str) -> str:
    return text.replace("*/", "*\\/")


def _repeats(said: str, name: str) -> bool:
    """Say whether a description has no word that the name lacks: ``owner: string // The owner``."""
    words = {word.lower().rstrip("s") for word in _WORDS.findall(said)}
    known = {
        word.lower().rstrip("s")
        for word in _WORDS.findall(re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name.replace("_", " ")))
    }
    return words <= known | {"the", "a", "an", "of", "to", "for", "thi", "your"}


def _singular(hint: str) -> str:
    if len(hint) > 4 and hint.endswith("ies"):
        return f"{hint[:-3]}y"
    if len(hint) > 3 and hint[-1] == "s" and hint[-2] not in "su":
        return hint[:-1]
    return hint


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

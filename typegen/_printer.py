"""Types -> text, node by node, so that a declaration shows as much as its token budget allows.

Every object, large enum and intersection is a node. A node is printed with its children as marks; it is shown when the
budget allows its text, and else it stays a name (a stub). A shown node that is used once stands where it is used; one
that is used more often, or inside itself, becomes a ``type`` of its own, emitted once.

Why the text looks as it does, measured in o200k tokens over the default declarations of GitHub REST and of AWS:
``"a" | "b"`` would cost 2.7 % and 1.3 % more than ``"a"|"b"``; ``/* note */`` 3.8 % and 4.3 % more than ``// note`` at
the end of the line, and JSDoc before it 3.7 % and 4.3 %; ``Record<string, T>`` saves three tokens over an index
signature. Leaving out every space would save 6.3 % and 2.2 %; they stay, because programs are written with them and the
text is read by people too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from typegen._nodes import CLOSE, CLOSE_IN_LIST, END_RECORD, OPEN, RECORD, Node, marks_in
from typegen._text import estimate_tokens, in_comment, property_name
from typegen._types import (
    NEVER,
    AllOf,
    AnyOf,
    Atom,
    Enum,
    Later,
    ListOf,
    Member,
    Shape,
    TupleOf,
    Type,
)

if TYPE_CHECKING:
    from typegen._notes import Docs
    from typegen._reader import Reader

MAX_INLINE_LITERALS = 16
MAX_INLINE_LITERAL_CHARS = 160
MAX_INLINE_SHAPES = 6
MAX_NODES = 20_000
_MAX_WIDENED = 6  # kinds of value in one index signature; more are `unknown`
MAX_NESTED_LISTS = 24
_MIN_NAME_TOKENS = 30  # spent on names even when there is no room: a dozen of them
PARTIAL_MARK = "/* also: "  # before the names of members that a budget leaves out


class Printer:
    """Prints types as text in which marks stand for nodes."""

    def __init__(self, *, max_nodes: int = MAX_NODES) -> None:
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
        return "{ " + "".join(f"{line}; " for line in lines) + f"{PARTIAL_MARK}{in_comment(rest)} */ }}"

    def marks_in(self, text: str) -> list[Node]:
        """Return the nodes that ``text`` mentions, once for each mention."""
        return marks_in(self.nodes, text)

    # -- types ------------------------------------------------------------------------------------------------------

    def _text(self, later: Later, hint: str, reader: Reader) -> tuple[str, int]:  # noqa: PLR0911 - one for each kind of type
        """Return the type as text, and how loosely it binds: 0 a word, 1 a union, 2 an intersection, 3 one mark."""
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
        return text if text.startswith(RECORD) else f"{{ {text} }}", 0

    def _signatures(self, shape: Shape, beside: list[str], hint: str, reader: Reader) -> list[str]:
        """Return the index signatures, wide enough for the members beside them (TS2411), or one ``Record``."""
        found = []
        for index in shape.indexes:
            text, precedence = self._text(index.type, _singular(hint), reader)
            if index.is_mapped:
                found.append(f"[k in {index.key}]{'' if index.is_required else '?'}: {text}")
            elif not beside and index.key == "string":
                found.append(f"{RECORD}{text}{END_RECORD}")
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
        return f"{OPEN}{known[1].number}{CLOSE}"

    def _same(self, node_type: Type, name: str, reader: Reader) -> Node | None:
        """Return a node of the same document that looks the same (schemas of two documents may refer to two things)."""
        for node in self._by_hint.get((reader, name), ())[:8]:
            try:
                if node.type == node_type:
                    return node
            except RecursionError:
                return None
        return None


def _in_list(text: str, precedence: int) -> str:
    """Return ``text`` as the item of an array or the operand of ``&``: in parentheses where they are needed."""
    if precedence == 3:  # one mark: parentheses are decided when it is filled
        return text[:-1] + CLOSE_IN_LIST if text.endswith(CLOSE) else text
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


def _singular(hint: str) -> str:
    if len(hint) > 4 and hint.endswith("ies"):
        return f"{hint[:-3]}y"
    if len(hint) > 3 and hint[-1] == "s" and hint[-2] not in "su":
        return hint[:-1]
    return hint

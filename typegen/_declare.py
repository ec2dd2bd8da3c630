"""Declarations: one compact method signature for a tool, within a token budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from typegen._assembly import resolve
from typegen._notes import Docs
from typegen._printer import PARTIAL_MARK, Printer
from typegen._reader import Reader
from typegen._text import estimate_tokens, first_sentence, prose
from typegen._types import Shape, Type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typegen._json import JsonValue
    from typegen._nodes import Node
    from typegen._tool import Tool

DEFAULT_TOKEN_BUDGET = 200  # five such declarations make an answer of about 1,000 tokens
DETAIL_TOKEN_BUDGET = 4_000  # for someone who asked for one tool by name, with a depth
MAX_TOKENS = 100_000  # the bound where there is no budget: beyond any real declaration
MAX_CACHED_CHARS = 16 * 2**20  # of text: some 10,000 declarations of the usual size

_ENTRY_CHARS = 500  # what a cached declaration takes beside its text
_MAX_SUMMARY_CHARS = 160
_MAX_DESCRIPTION_CHARS = 2_000
_GLUE_TOKENS = 8  # parentheses, Promise, JSDoc
_OUTPUT_SHARE = 0.35  # of the budget, at least, when the result has that much to show
_MAX_MISSES = 12  # nested types tried that did not fit, before the search for smaller ones ends
_NOTES = (Docs(110), Docs(60), Docs(0))  # what is tried, richest first

_Key: TypeAlias = tuple[str, str, int | None, int | None, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """The TypeScript text of one tool: JSDoc, the method's signature, and the types it names.

    ``stubs`` are the names in the text that stand for types left out to keep to the budget. ``complete`` says that
    nothing was left out: no stub, and no member that is only named.
    """

    identifier: str
    text: str
    stubs: tuple[str, ...] = ()
    complete: bool = True


def declare(
    tool: Tool,
    *,
    identifier: str,
    token_budget: int | None = DEFAULT_TOKEN_BUDGET,
    depth: int | None = None,
    has_output: bool = True,
) -> Declaration:
    """Declare ``tool`` as a method called ``identifier``, in about ``token_budget`` tokens.

    Parameters come first: the names and types of all that are required are always there. Then come the other
    parameters, the keys of the result, nested types, and notes, while there is room. What does not fit is folded to a
    stub, or its name stands in a comment. ``depth`` unfolds no more than so many levels of nested types. ``None`` is no
    limit, for the depth and for the budget. Declarations are cached by the content of the tool.
    """
    key = (tool.digest, identifier, token_budget, depth, has_output)
    known = _CACHE.get(key)
    if known is None:
        known = _Sketch(tool, identifier, token_budget, depth, has_output=has_output).finish()
        _CACHE.put(key, known)
    return known


def unfold(tool: Tool, *, identifier: str, stub: str, token_budget: int | None = DETAIL_TOKEN_BUDGET) -> str | None:
    """Return the type behind a ``stub`` of the default declaration of ``tool``; ``None`` if it has no such stub."""
    sketch = _Sketch(tool, identifier, DEFAULT_TOKEN_BUDGET, None, has_output=True)
    sketch.finish()
    node = next((node for node in sketch.printer.nodes if node.name == stub and node.body is None), None)
    return None if node is None else _type_text(node.type, stub, node.reader, token_budget)


def type_of(schema: Mapping[str, JsonValue] | bool, *, name: str = "T") -> str:
    """Return ``type T = ...`` for ``schema``, whole, without notes; types that it names follow, each on its line."""
    return _type_text(schema, name, Reader({} if isinstance(schema, bool) else schema), None)


def _type_text(later: Mapping[str, JsonValue] | bool | Type, name: str, reader: Reader, budget: int | None) -> str:
    printer = Printer()
    text = printer.text(later, name, reader)
    limit = MAX_TOKENS if budget is None else budget
    waiting = printer.marks_in(text)
    used = 0
    while waiting:
        node, *waiting = waiting
        if node.body is not None:
            continue
        body = printer.show(node)
        cost = estimate_tokens(body)
        if used + cost > limit and used:
            continue
        node.body, node.cost = body, cost
        used += cost
        waiting.extend(printer.marks_in(body))
    (text,), types, _folded = resolve(printer.nodes, [text], (name,))
    return "\n".join([f"type {name} = {text}", *types])


class _Cache:
    """Declarations by the digests of their tools, so that no schema is held; those made first go first."""

    def __init__(self, *, max_chars: int) -> None:
        self._max_chars = max_chars
        self._known: dict[_Key, Declaration] = {}
        self._chars = 0

    def get(self, key: _Key) -> Declaration | None:
        return self._known.get(key)

    def put(self, key: _Key, declaration: Declaration) -> None:
        self._known[key] = declaration
        self._chars += len(declaration.text) + _ENTRY_CHARS
        while self._chars > self._max_chars:
            oldest = self._known.pop(next(iter(self._known)))
            self._chars -= len(oldest.text) + _ENTRY_CHARS


_CACHE = _Cache(max_chars=MAX_CACHED_CHARS)


class _Sketch:
    """One declaration while it is being fitted into its budget."""

    def __init__(self, tool: Tool, identifier: str, budget: int | None, depth: int | None, *, has_output: bool) -> None:
        self.tool = tool
        self.identifier = identifier
        self.printer = Printer()
        self.limit = MAX_TOKENS if budget is None else budget
        self.depth = depth
        self.docs = Docs(_MAX_DESCRIPTION_CHARS, is_whole=True) if budget is None else None
        self.summary = self._summary(is_whole=budget is None)
        self.used = _GLUE_TOKENS + estimate_tokens(self.summary) + estimate_tokens(identifier)
        self.root = Reader(tool.input_schema)
        self.input = self.printer.text(tool.input_schema, "args", self.root)
        self.output = "unknown"
        self.has_output = has_output
        if has_output and tool.output_schema is not None:
            self.output = self.printer.text(tool.output_schema, "result", Reader(tool.output_schema))

    def finish(self) -> Declaration:
        inputs = self.printer.marks_in(self.input)
        outputs = self.printer.marks_in(self.output) if self.has_output else []
        reserved = min(self._wanted(outputs), int(self.limit * _OUTPUT_SHARE))
        for node in inputs:
            self._show_root(node, self.limit - self.used - reserved, keeps_required=True)
        for node in outputs:
            self._show_root(node, self.limit - self.used, keeps_required=False)
        nested = self._unfold(inputs)
        self._document(inputs)
        self._unfold(outputs)
        self._document(nested)
        if self.limit >= DETAIL_TOKEN_BUDGET:
            self._document([node for node in self.printer.nodes if node not in inputs and node not in nested])
        return self._declaration()

    def _summary(self, *, is_whole: bool) -> str:
        text = self.tool.description or self.tool.title or ""
        return prose(text, _MAX_DESCRIPTION_CHARS) if is_whole else first_sentence(text, _MAX_SUMMARY_CHARS)

    def _wanted(self, outputs: list[Node]) -> int:
        """Return how many tokens the keys of the result would take; a guess is enough."""
        return sum(6 * len(node.type.members) if isinstance(node.type, Shape) else 24 for node in outputs)

    def _show_root(self, node: Node, share: int, *, keeps_required: bool) -> None:
        if node.body is not None:
            return
        is_large = isinstance(node.type, Shape) and 4 * len(node.type.members) > share
        body = "" if is_large else self.printer.show(node, self.docs)
        if is_large or estimate_tokens(body) > share:
            body = self.printer.partial(node, share, keeps_required=keeps_required)
        self._accept(node, body)

    def _accept(self, node: Node, body: str) -> None:
        self.used -= node.cost
        node.body = body
        node.cost = estimate_tokens(body)
        self.used += node.cost

    def _unfold(self, nodes: list[Node]) -> list[Node]:
        """Show nested nodes, breadth first, while there is room; return those shown."""
        shown: list[Node] = []
        waiting = [child for node in nodes for child in self.printer.marks_in(node.body or "")]
        misses = 0
        while waiting and misses < _MAX_MISSES:
            level, waiting = waiting, []
            for node in level:
                if node.body is not None or (self.depth is not None and node.depth > self.depth):
                    continue
                body = self._fitting(node)
                if body is None:
                    misses += 1
                    continue
                self._accept(node, body)
                shown.append(node)
                waiting.extend(self.printer.marks_in(body))
        return shown

    def _fitting(self, node: Node) -> str | None:
        room = self.limit - self.used
        if room < 4 or (isinstance(node.type, Shape) and 3 * len(node.type.members) > room):
            return None
        body = self.printer.show(node, self.docs)
        return body if estimate_tokens(body) <= room else None

    def _document(self, nodes: list[Node]) -> None:
        """Add notes to the members of ``nodes``: as much as fits."""
        if self.docs is not None:
            return  # they are there already
        for node in nodes:
            if node.body is None or PARTIAL_MARK in node.body:
                continue
            for docs in _NOTES:
                body = self.printer.show(node, docs)
                if self.used - node.cost + estimate_tokens(body) <= self.limit:
                    self._accept(node, body)
                    break

    def _declaration(self) -> Declaration:
        (arguments, result), types, folded = resolve(self.printer.nodes, [self.input, self.output])
        signature = signature_of(self.tool, self.identifier, arguments, result if self.has_output else None)
        if self.has_output and self.tool.is_output_learned:
            signature += " // learned from results"
        lines = [f"/** {self.summary} */"] if self.summary else []
        return Declaration(
            identifier=self.identifier,
            text="\n".join([*lines, signature, *types]),
            stubs=tuple(node.name for node in folded),
            complete=not folded and not any(PARTIAL_MARK in (node.body or "") for node in self.printer.nodes),
        )


def signature_of(tool: Tool, identifier: str, arguments: str, result: str | None) -> str:
    """Return the method's signature for types that are text already."""
    root = Reader(tool.input_schema).read(tool.input_schema)
    answer = "" if result is None else f": Promise<{result}>"
    return f"{identifier}({_parameters(root, arguments)}){answer}"


def _parameters(root: Type, arguments: str) -> str:
    if not isinstance(root, Shape):
        return f"args: {arguments}"
    if not root.members and arguments in ("Record<string, never>", "Record<string, unknown>"):
        return ""
    is_optional = not any(member.is_required for member in root.members)
    return f"args{'?' if is_optional else ''}: {arguments}"

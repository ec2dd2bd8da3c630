"""Declarations: one compact method signature for a tool, within a token budget, or a whole module for a compiler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from typegen._printer import Docs, Node, Printer
from typegen._reader import Reader
from typegen._text import estimate_tokens, first_sentence, prose
from typegen._types import Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typegen._json import JsonValue
    from typegen._tool import Tool

DEFAULT_TOKEN_BUDGET = 200  # five such declarations make an answer of about 1,000 tokens
DETAIL_TOKEN_BUDGET = 4_000  # for someone who asked for one tool by name, with a depth
MAX_TOKENS = 100_000  # the bound where there is no budget: beyond any real declaration
MAX_CACHED = 8_192

_MAX_SUMMARY_CHARS = 160
_MAX_DESCRIPTION_CHARS = 2_000
_GLUE_TOKENS = 8  # name, parentheses, Promise


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """The TypeScript text of one tool: JSDoc, the method's signature, and the types it names.

    ``stubs`` are names in the text that stand for types left out to keep to the budget; ``is_complete`` says that
    nothing was left out.
    """

    identifier: str
    text: str
    stubs: tuple[str, ...] = ()
    is_complete: bool = True

    @property
    def complete(self) -> bool:
        """Whether nothing was left out."""
        return self.is_complete


def declare(
    tool: Tool,
    *,
    identifier: str,
    token_budget: int | None = DEFAULT_TOKEN_BUDGET,
    depth: int | None = None,
    has_output: bool = True,
) -> Declaration:
    """Declare ``tool`` as a method called ``identifier``, in about ``token_budget`` tokens.

    Parameters come first: their names and types, then the keys of the result, nested types, and notes while there is
    room. What does not fit is folded to a named stub, or at least named. ``depth`` unfolds no more than so many levels
    of nested types; ``None`` is no limit, for the budget as well. Results are cached by the content of the tool.
    """
    return _declare(tool, identifier, token_budget, depth, has_output)


@lru_cache(maxsize=MAX_CACHED)
def _declare(tool: Tool, identifier: str, budget: int | None, depth: int | None, has_output: bool) -> Declaration:
    return _Sketch(tool, identifier, budget, depth, has_output=has_output).finish()


class _Sketch:
    """One declaration while it is being fitted into its budget."""

    def __init__(self, tool: Tool, identifier: str, budget: int | None, depth: int | None, *, has_output: bool) -> None:
        self.tool = tool
        self.identifier = identifier
        self.printer = Printer()
        self.limit = MAX_TOKENS if budget is None else budget
        self.depth = depth
        self.is_whole = budget is None
        self.is_partial = False
        self.docs = Docs(_MAX_DESCRIPTION_CHARS) if budget is None else None
        self.used = _GLUE_TOKENS
        self.summary = self._summary()
        self.input_reader = Reader(tool.input_schema)
        self.input = self.printer.text(tool.input_schema, "args", self.input_reader)
        self.output = "unknown"
        self.has_output = has_output
        self.output_reader: Reader | None = None
        if has_output and tool.output_schema is not None:
            self.output_reader = Reader(tool.output_schema)
            self.output = self.printer.text(tool.output_schema, "result", self.output_reader)

    def finish(self) -> Declaration:
        inputs = self.printer.marks_in(self.input)
        outputs = self.printer.marks_in(self.output)
        share = self.limit if not outputs else self.limit * 6 // 10
        for node in inputs:
            self._show_root(node, share)
        for node in outputs:
            self._show_root(node, max(self.limit - self.used, self.limit // 4))
        nested = self._unfold(inputs)
        if not self.is_whole:
            self._document(inputs)
        self._unfold(outputs)
        if not self.is_whole:
            self._document(nested)
        return self._declaration()

    def _summary(self) -> str:
        text = self.tool.description or self.tool.title or ""
        text = prose(text, _MAX_DESCRIPTION_CHARS) if self.is_whole else first_sentence(text, _MAX_SUMMARY_CHARS)
        self.used += estimate_tokens(text)
        return text

    def _show_root(self, node: Node, share: int) -> None:
        if node.body is not None:
            return
        if (
            isinstance(node.type, Shape)
            and not self.is_whole
            and 3 * len(node.type.members) > share - self.used % share
        ):
            body = self.printer.partial(node, share)
            self.is_partial = self.is_partial or "/* also: " in body
        else:
            body = self.printer.show(node, self.docs)
            if not self.is_whole and estimate_tokens(body) > share:
                body = self.printer.partial(node, share)
                self.is_partial = self.is_partial or "/* also: " in body
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
        while waiting and misses < 12:
            node, *waiting = waiting
            if node.body is not None or (self.depth is not None and node.depth > self.depth):
                continue
            room = self.limit - self.used
            if room < 4 or (isinstance(node.type, Shape) and 3 * len(node.type.members) > room):
                misses += 1
                continue
            body = self.printer.show(node, self.docs)
            if estimate_tokens(body) > room:
                misses += 1
                continue
            self._accept(node, body)
            shown.append(node)
            waiting.extend(self.printer.marks_in(body))
        return shown

    def _document(self, nodes: list[Node]) -> None:
        """Add notes to the members of ``nodes``: as much as fits."""
        for node in nodes:
            if node.body is None or "/* also: " in node.body:
                continue
            for docs in (Docs(110), Docs(60), Docs(0)):
                body = self.printer.show(node, docs)
                if self.used - node.cost + estimate_tokens(body) <= self.limit:
                    self._accept(node, body)
                    break

    def _declaration(self) -> Declaration:
        (arguments, result), types, folded = self.printer.resolve([self.input, self.output], str)
        root = self.input_reader.read(self.tool.input_schema)
        signature = f"{self.identifier}({_parameters(root, arguments)})"
        if self.has_output:
            signature += f": Promise<{result}>"
        lines = [f"/** {self.summary} */"] if self.summary else []
        lines.append(signature)
        lines.extend(types)
        stubs = tuple(node.name for node in folded)
        is_complete = not (stubs or self.is_partial)
        return Declaration(identifier=self.identifier, text="\n".join(lines), stubs=stubs, is_complete=is_complete)


def _parameters(root: object, arguments: str) -> str:
    if isinstance(root, Shape):
        if not root.members and arguments in ("Record<string, never>", "Record<string, unknown>"):
            return ""
        is_optional = not any(member.is_required for member in root.members)
        return f"args{'?' if is_optional else ''}: {arguments}"
    return f"args: {arguments}"


def type_of(schema: Mapping[str, JsonValue] | bool) -> str:
    """Return the TypeScript type of ``schema``, whole, without notes; types it names follow on lines of their own."""
    printer = Printer()
    root = schema if isinstance(schema, Mapping) else {}
    text = printer.text(schema, "T", Reader(root))
    waiting = printer.marks_in(text)
    used = 0
    while waiting and used < MAX_TOKENS:
        node = waiting.pop()
        if node.body is None:
            node.body = printer.show(node)
            node.cost = estimate_tokens(node.body)
            used += node.cost
            waiting.extend(printer.marks_in(node.body))
    (text,), types, _folded = printer.resolve([text], str)
    return "\n".join([text, *types])


def declare_module(tools: Sequence[tuple[str, Tool]], *, namespace: str = "codemode") -> str:
    """Return a whole module that declares ``namespace`` with one method for each ``(identifier, tool)``."""
    methods = []
    for identifier, tool in tools:
        methods.append(declare(tool, identifier=identifier, token_budget=None).text)
    return f"declare const {namespace}: {{\n" + "\n".join(methods) + "\n}\n"

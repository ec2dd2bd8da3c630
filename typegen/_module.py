"""A whole catalog as one TypeScript module, for editors and compilers: nothing folded, shared types emitted once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typegen._assembly import merge, resolve
from typegen._declare import signature_of
from typegen._notes import Docs
from typegen._printer import Printer
from typegen._reader import Reader
from typegen._text import estimate_tokens, prose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typegen._tool import Tool

MAX_MODULE_NODES = 2_000_000
MAX_MODULE_TOKENS = 20_000_000  # about 80 MB of text: five times the largest catalog measured
_MAX_DESCRIPTION_CHARS = 2_000


def declare_module(tools: Iterable[tuple[str, Tool]], *, namespace: str = "codemode", members: str = "") -> str:
    """Return the text of a ``.d.ts`` module that declares ``namespace`` with a method for each ``(identifier, tool)``.

    ``members`` is TypeScript for what the namespace has beside its tools. Types that several tools share are declared
    once. Descriptions, bounds, formats and defaults are JSDoc.
    """
    listed = list(tools)
    printer = Printer(max_nodes=MAX_MODULE_NODES)
    docs = Docs(_MAX_DESCRIPTION_CHARS, is_whole=True, is_jsdoc=True)
    roots: list[str] = []
    for _identifier, tool in listed:
        roots.append(printer.text(tool.input_schema, "args", Reader(tool.input_schema)))
        has_output = tool.output_schema is not None
        roots.append(
            printer.text(tool.output_schema, "result", Reader(tool.output_schema or {})) if has_output else "unknown"
        )
    _show_all(printer, roots, docs)
    texts, types, folded = resolve(printer.nodes, merge(printer.nodes, roots))
    methods = []
    for at, (identifier, tool) in enumerate(listed):
        summary = prose(tool.description or tool.title or "", _MAX_DESCRIPTION_CHARS)
        signature = signature_of(tool, identifier, texts[2 * at], texts[2 * at + 1])
        methods.append(f"/** {summary} */\n{signature};" if summary else f"{signature};")
    lines = [
        "export {};",
        "declare global {",
        f"const {namespace}: {{",
        *([members] if members else []),
        *methods,
        "};",
        "}",
        *(f"{text};" for text in types),
        *(f"type {node.name} = unknown; // too large" for node in folded),
    ]
    return _indented("\n".join(lines)) + "\n"


def _show_all(printer: Printer, roots: list[str], docs: Docs) -> None:
    used = 0
    waiting = [node for root in roots for node in printer.marks_in(root)]
    while waiting and used < MAX_MODULE_TOKENS:
        node = waiting.pop()
        if node.body is None:
            node.body = printer.show(node, docs)
            node.cost = estimate_tokens(node.body)
            used += node.cost
            waiting.extend(printer.marks_in(node.body))


def _indented(text: str) -> str:
    """Indent by the braces that end and begin lines: our own text has no others there."""
    lines = []
    depth = 0
    for line in text.split("\n"):
        if line.startswith("}"):
            depth -= 1
        lines.append("  " * depth + line)
        if line.endswith("{"):
            depth += 1
    return "\n".join(lines)

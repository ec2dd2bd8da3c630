"""Erasable TypeScript -> JavaScript of the same shape: types become blanks, so that every position stays the same.

Runs in the analyst process, over a syntax tree of tree-sitter's TypeScript grammar. TypeScript that generates code
(``enum``, ``namespace``, parameter properties, ``import x = require()``) cannot be erased and is named instead.
Source: TypeScript 5.8, ``--erasableSyntaxOnly``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

WHOLE_NODES = frozenset(
    {
        *("type_annotation", "type_predicate_annotation", "asserts_annotation", "type_arguments", "type_parameters"),
        *("interface_declaration", "type_alias_declaration", "ambient_declaration", "function_signature"),
        *("abstract_method_signature", "method_signature", "index_signature", "implements_clause"),
        *("accessibility_modifier", "override_modifier"),
    }
)
"""Node types that are TypeScript from end to end."""

REFUSED = {
    "enum_declaration": "enum: write const NAME = {...} instead",
    "internal_module": "namespace: write an object instead",
    "module": "module: write an object instead",
    "import_alias": "import =: there are no modules here",
    "import_require_clause": "import =: there are no modules here",
}
"""Node types that generate code, with what to write instead."""

_MODIFIERS = frozenset({"readonly", "abstract", "declare", "?", "!"})
_MEMBERS = frozenset(
    {
        *("public_field_definition", "method_definition", "abstract_class_declaration", "required_parameter"),
        *("optional_parameter", "variable_declarator"),
    }
)
"""Where a modifier token stands by itself among other children."""
_CASTS = frozenset({"as_expression", "satisfies_expression"})
_JOINING_LINE = re.compile(rb"[ \t]*\r?\n\s*[(\[`]")
"""After a type no line can go on like this (TypeScript ends the statement); after the blanked type it would."""


class Erasure:
    """Collects what to blank out of one source while its tree is walked."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._ranges: list[tuple[int, int, bytes]] = []
        self.refused: list[tuple[Node, str]] = []

    def visit(self, node: Node) -> bool:
        """Note what of ``node`` is TypeScript. False when nothing below it remains to be seen."""
        kind = node.type
        if kind in WHOLE_NODES:
            self._blank(node.start_byte, node.end_byte)
            return False
        if kind in REFUSED:
            self.refused.append((node, REFUSED[kind]))
            return False
        if kind in _CASTS:
            self._erase_cast(node)
        elif kind == "non_null_expression":
            self._blank(node.end_byte - 1, node.end_byte)
        elif kind in {"import_statement", "export_statement"}:
            return self._visit_module_statement(node)
        elif kind in _MEMBERS:
            return self._visit_member(node)
        return True

    def text(self) -> str | None:
        """Return the source with everything noted blanked out; None when nothing was."""
        if not self._ranges:
            return None
        parts: list[str] = []
        at = 0
        for start, end, first in sorted(self._ranges):
            if end <= at:
                continue
            parts.append(self._source[at:start].decode())
            erased = self._source[start:end].decode()
            blank = "".join(character if character in "\r\n" else " " for character in erased)
            parts.append(first.decode() + blank[len(first) :])
            at = end
        parts.append(self._source[at:].decode())
        return "".join(parts)

    def _blank(self, start: int, end: int, *, first: bytes = b"") -> None:
        self._ranges.append((start, end, first))

    def _erase_cast(self, node: Node) -> None:
        """Blank `` as T``. Where a line that begins like a call follows, a semicolon keeps the two apart."""
        is_joined = _JOINING_LINE.match(self._source, node.end_byte) is not None
        self._blank(node.children[0].end_byte, node.end_byte, first=b";" if is_joined else b"")

    def _visit_module_statement(self, node: Node) -> bool:
        """Blank ``import type``, ``export type`` and the export of a declaration that is blanked itself."""
        exported = node.child_by_field_name("declaration")
        is_type = any(child.type == "type" for child in node.children)
        if is_type or (exported is not None and exported.type in WHOLE_NODES):
            self._blank(node.start_byte, node.end_byte)
            return False
        return True

    def _visit_member(self, node: Node) -> bool:
        """Blank the modifiers of a member or parameter; name a parameter that declares a property."""
        children = node.children
        kinds = {child.type for child in children}
        if node.type in {"required_parameter", "optional_parameter"}:
            if kinds & {"accessibility_modifier", "readonly", "override_modifier"}:
                self.refused.append((node, "parameter property: assign it in the constructor instead"))
                return False
            if children[0].type == "this":
                after = node.next_sibling
                self._blank(node.start_byte, after.end_byte if after and after.type == "," else node.end_byte)
                return False
        if node.type == "public_field_definition" and "declare" in kinds:
            self._blank(node.start_byte, node.end_byte)
            return False
        for child in children:
            if child.type in _MODIFIERS:
                self._blank(child.start_byte, child.end_byte)
        return True

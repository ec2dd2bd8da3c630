"""The calls of the namespace in a program: which method, where, with which literal arguments, and whether awaited.

Runs in the analyst process. Only what is certain is said: an argument that is not a literal is unknown.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandbox._json import JsonObject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tree_sitter import Node

    from sandbox._json import JsonValue

LITERAL_DEPTH = 16
"""Deeper literals are unknown: a checker that follows them into their thousandth level helps nobody."""
_WRAPPERS = frozenset({"parenthesized_expression", "as_expression", "satisfies_expression", "non_null_expression"})
_PROMISE_METHODS = frozenset({b"then", b"catch", b"finally"})
_BINDING_FIELDS = ("name", "left", "parameter", "pattern")
_BINDING_NODES = frozenset(
    {
        *("array_pattern", "rest_pattern", "pair_pattern", "object_assignment_pattern", "formal_parameters"),
        *("import_clause", "import_specifier", "namespace_import"),
    }
)
_ESCAPES = {b"n": "\n", b"t": "\t", b"r": "\r", b"b": "\b", b"f": "\f", b"v": "\v", b"0": "\0"}

Literal = JsonObject
"""What is certain of a value: ``{"known": value}``; ``{"members": {name: Literal}, "is_whole": bool}`` of an object;
``{"items": [Literal]}`` of an array; ``{"kind": "string" | "number" | "array"}``; or ``{}``."""


def call_site(node: Node, namespace: bytes) -> JsonObject | None:
    """Describe a ``call_expression`` that calls a method of ``namespace``; None for any other."""
    function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
    if function is None or arguments is None or arguments.type != "arguments":
        return None
    path = _method_path(function, namespace)
    if path is None:
        return None
    values = [child for child in arguments.named_children if child.type != "comment"]
    return {
        "method": ".".join(path),
        "at": function.start_byte,
        "arguments": [literal(value) for value in values],
        "misuse": _misuse(node),
    }


def rebinds(node: Node, namespace: bytes) -> bool:
    """Say whether ``node``, an identifier, gives the namespace's name another meaning."""
    if node.text != namespace:
        return False
    if node.type == "shorthand_property_identifier_pattern":
        return True
    parent = node.parent
    if parent is None or node.type != "identifier":
        return False
    if parent.type in _BINDING_NODES:
        return True
    return any(parent.child_by_field_name(field) == node for field in _BINDING_FIELDS)


def literal(node: Node, depth: int = LITERAL_DEPTH) -> Literal:
    """Return what is certain of the value that ``node`` evaluates to."""
    read = _READERS.get(node.type)
    return read(node, depth) if read is not None and depth > 0 else {}


def _method_path(node: Node, namespace: bytes) -> list[str] | None:
    """Return the names after the namespace in ``namespace.a.b`` or ``namespace["a"]``, or None."""
    names: list[str] = []
    while True:
        if node.type == "identifier":
            return names[::-1] if names and node.text == namespace else None
        if any(child.type == "optional_chain" for child in node.children):
            return None
        inner = node.child_by_field_name("object")
        if node.type == "member_expression":
            named = node.child_by_field_name("property")
            name = named.text.decode() if named is not None and named.text is not None else None
        elif node.type == "subscript_expression":
            index = node.child_by_field_name("index")
            name = _string(index) if index is not None and index.type == "string" else None
        elif node.type in _WRAPPERS:
            inner, name = node.named_child(0), ""
        else:
            return None
        if inner is None or name is None:
            return None
        if name:
            names.append(name)
        node = inner


def _misuse(call: Node) -> str | None:
    """Say what is done to the promise that should have been awaited, where that is certain."""
    node, parent = call, call.parent
    while parent is not None and parent.type in _WRAPPERS:
        node, parent = parent, parent.parent
    if parent is None:
        return None
    if parent.type == "member_expression" and parent.child_by_field_name("object") == node:
        named = parent.child_by_field_name("property")
        name = named.text if named is not None else None
        return None if name is None or name in _PROMISE_METHODS else f".{name.decode()}"
    if parent.type == "subscript_expression" and parent.child_by_field_name("object") == node:
        return "[…]"
    is_for_await = any(child.type == "await" for child in parent.children)
    if parent.type == "for_in_statement" and parent.child_by_field_name("right") == node and not is_for_await:
        return "for … of"
    return "..." if parent.type == "spread_element" else None


def _quoted(node: Node, _depth: int) -> Literal:
    string = _string(node)
    return {} if string is None else {"known": string}


def _template(node: Node, _depth: int) -> Literal:
    text = node.text or b""
    has_parts = any(child.type == "template_substitution" for child in node.children)
    return {"kind": "string"} if has_parts or b"\\" in text else {"known": text[1:-1].decode()}


def _number(node: Node, _depth: int) -> Literal:
    try:
        return {"known": json.loads(node.text or b"")}
    except ValueError:
        return {"kind": "number"}


def _negative(node: Node, depth: int) -> Literal:
    operand = node.child_by_field_name("argument")
    if operand is None or operand.type != "number" or not (node.text or b"").startswith(b"-"):
        return {}
    number = literal(operand, depth - 1).get("known")
    return {"known": -number} if isinstance(number, int | float) else {}


def _wrapped(node: Node, depth: int) -> Literal:
    inner = node.named_children
    return literal(inner[0], depth - 1) if inner else {}


def _array(node: Node, depth: int) -> Literal:
    children = [child for child in node.named_children if child.type != "comment"]
    if any(child.type == "spread_element" for child in children) or node.text is None or b",," in node.text:
        return {"kind": "array"}
    items = [literal(child, depth - 1) for child in children]
    if all("known" in item for item in items):
        return {"known": [item["known"] for item in items]}
    shown: list[JsonValue] = list(items)
    return {"items": shown}


def _object(node: Node, depth: int) -> Literal:
    members: dict[str, Literal] = {}
    is_whole = True
    for child in node.named_children:
        match child.type:
            case "pair":
                key, value = child.child_by_field_name("key"), child.child_by_field_name("value")
                name = _key(key) if key is not None else None
                if name is None or value is None:
                    is_whole = False
                elif value.type == "undefined" or value.text == b"undefined":
                    members.pop(name, None)
                else:
                    members[name] = literal(value, depth - 1)
            case "shorthand_property_identifier":
                members[(child.text or b"").decode()] = {}
            case "comment":
                pass
            case _:
                is_whole = False
    if is_whole and all("known" in member for member in members.values()):
        return {"known": {name: member["known"] for name, member in members.items()}}
    shown: JsonObject = dict(members)
    return {"members": shown, "is_whole": is_whole}


def _key(node: Node) -> str | None:
    if node.type == "property_identifier":
        return (node.text or b"").decode()
    if node.type == "string":
        return _string(node)
    return (node.text or b"").decode() if node.type == "number" and (node.text or b"").isdigit() else None


def _string(node: Node) -> str | None:
    """Return the value of a string literal; None for the rarer escapes."""
    parts: list[str] = []
    for child in node.named_children:
        text = child.text or b""
        if child.type == "string_fragment":
            parts.append(text.decode())
        elif child.type == "escape_sequence":
            escape = text[1:]
            if len(escape) == 1 and not escape.isdigit():
                parts.append(_ESCAPES.get(escape, escape.decode()))
            else:
                return None
        else:
            return None
    return "".join(parts)


_READERS: Mapping[str, Callable[[Node, int], Literal]] = {
    "string": _quoted,
    "template_string": _template,
    "number": _number,
    "true": lambda _node, _depth: {"known": True},
    "false": lambda _node, _depth: {"known": False},
    "null": lambda _node, _depth: {"known": None},
    "unary_expression": _negative,
    "array": _array,
    "object": _object,
    "parenthesized_expression": _wrapped,
    "as_expression": _wrapped,
    "satisfies_expression": _wrapped,
}

"""What search reads of a tool: its names, its description, and the words of its input schema, bounded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typegen import JsonValue, Tool

_NODES_MAX = 60
"""Schemas that are read of one tool, the outermost first: enough for the parameters and what most of them hold."""
_DEPTH_MAX = 2
_VALUES_MAX = 40
_DESCRIPTION_CHARS = 600
_DETAIL_CHARS = 400
"""What follows tells of edge cases, in the words of other tools."""
_HOLDERS = ("items", "additionalProperties")
_UNIONS = ("anyOf", "oneOf", "allOf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What search reads of one tool: ``values`` are its parameters' enums, ``details`` their descriptions."""

    name: str
    server: str = ""
    title: str = ""
    description: str = ""
    parameters: str = ""
    values: str = ""
    details: str = ""


def document_of(tool: Tool, *, server: str = "") -> Document:
    """Return the texts that search reads of ``tool``; a schema of any shape is read as far as it makes sense."""
    parameters: list[str] = []
    values: list[str] = []
    details: list[str] = []
    for schema, depth in _schemas(tool.input_schema):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            (details if depth else parameters).extend(properties)
        description = schema.get("description")
        if depth and isinstance(description, str):
            details.append(description[:_DETAIL_CHARS])
        values.extend(_values(schema))
    return Document(
        name=tool.name,
        server=server,
        title=tool.title or "",
        description=tool.description[:_DESCRIPTION_CHARS],
        parameters="\n".join(parameters),
        values="\n".join(values[:_VALUES_MAX]),
        details="\n".join(details),
    )


def _values(schema: Mapping[str, JsonValue]) -> Iterator[str]:
    enum = schema.get("enum")
    for value in [*(enum if isinstance(enum, list) else ()), schema.get("const")]:
        if isinstance(value, str):
            yield value


def _schemas(root: Mapping[str, JsonValue]) -> Iterator[tuple[Mapping[str, JsonValue], int]]:
    """Walk from ``root`` outwards in, each schema once; local references are followed, others are not."""
    waiting: deque[tuple[JsonValue, int]] = deque([(dict(root), 0)])
    seen: set[str] = set()
    for _ in range(_NODES_MAX):
        if not waiting:
            return
        schema, depth = waiting.popleft()
        if not isinstance(schema, dict):
            continue
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if reference in seen:
                continue
            seen.add(reference)
            waiting.append((_resolve(root, reference), depth))
        yield schema, depth
        waiting.extend(_within(schema, depth))


def _within(schema: Mapping[str, JsonValue], depth: int) -> Iterator[tuple[JsonValue, int]]:
    properties = schema.get("properties")
    if isinstance(properties, dict) and depth < _DEPTH_MAX:
        for value in properties.values():
            yield value, depth + 1
    for key in _HOLDERS:
        if key in schema:
            yield schema[key], depth  # a list of users is as deep as a user
    for key in _UNIONS:
        union = schema.get(key)
        for value in union if isinstance(union, list) else ():
            yield value, depth


def _resolve(root: Mapping[str, JsonValue], reference: str) -> JsonValue:
    """Return what a local ``reference`` such as ``#/$defs/User`` names, or None."""
    if not reference.startswith("#/"):
        return None
    found: JsonValue = dict(root)
    for key in reference[2:].split("/"):
        found = found.get(key.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found

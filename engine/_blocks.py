"""Content blocks inside a program's value -> MCP content blocks beside the text, each named by its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typegen import JsonObject, JsonValue

_MEDIA = ("image", "audio")
_DEPTH = 100
"""As deep as a tool's answer may sensibly nest; a hostile value must not exhaust Python's stack."""


def as_block(value: Mapping[str, JsonValue]) -> JsonObject | None:
    """Return ``value`` as an MCP content block if it is one that text cannot stand for, else None.

    Images, audio, embedded resources and resource links count; ``{type: "file", data, mimeType, name?}`` becomes an
    embedded resource. A text block is plain data. Source: MCP 2026-07-28, server/tools, content types.
    """
    kind = value.get("type")
    data, mime_type = value.get("data"), value.get("mimeType")
    if isinstance(data, str) and isinstance(mime_type, str):
        if kind in _MEDIA:
            return dict(value)
        if kind == "file":
            name = value.get("name")
            uri = f"file:///{name}" if isinstance(name, str) and name else "file:///result"
            return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "blob": data}}
    resource = value.get("resource")
    if kind == "resource" and isinstance(resource, dict) and isinstance(resource.get("uri"), str):
        return dict(value)
    if kind == "resource_link" and isinstance(value.get("uri"), str) and isinstance(value.get("name"), str):
        return dict(value)
    return None


class BlockCollector:
    """Takes content blocks out of a value, in order, and leaves ``[image 1]`` in the place of each."""

    def __init__(self) -> None:
        self.blocks: list[JsonObject] = []
        self._counts: dict[str, int] = {}

    def add(self, block: JsonObject) -> str:
        """Keep ``block`` for the answer and return the text that stands for it."""
        self.blocks.append(block)
        kind = str(block["type"]).replace("_", " ")
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"[{kind} {self._counts[kind]}]"

    def take_from(self, value: JsonValue, *, depth: int = _DEPTH) -> JsonValue:
        """Return ``value`` with each content block in its first ``depth`` levels replaced by its name."""
        if depth == 0:
            return value
        if isinstance(value, dict):
            block = as_block(value)
            if block is not None:
                return self.add(block)
            return {key: self.take_from(inner, depth=depth - 1) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.take_from(inner, depth=depth - 1) for inner in value]
        return value


def may_hold_blocks(value: bytes) -> bool:
    """Say quickly whether JSON text could hold a content block, so that most values are never parsed."""
    return b'"type"' in value and (b'"mimeType"' in value or b'"resource' in value)

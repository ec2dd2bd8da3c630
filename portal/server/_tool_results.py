"""Results of tool calls that the portal answers itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typegen import JsonObject, JsonValue


def text_result(text: str) -> JsonObject:
    """Return an MCP result of one text."""
    content: list[JsonValue] = [{"type": "text", "text": text}]
    return {"content": content}


def error_result(text: str) -> JsonObject:
    """Return an MCP result that says what went wrong and what to do."""
    return {**text_result(text), "isError": True}

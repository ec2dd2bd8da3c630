"""Bytes from an upstream as messages: JSON objects, or a failure that says what came instead."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import orjson

from portal.upstream._failures import TransportFailure

if TYPE_CHECKING:
    from portal.wire import Message
    from typegen import JsonValue

_LONE_SURROGATE: Final = b"\\ud"


def read_messages(content: bytes | bytearray | str) -> list[Message]:
    """Read one message, or the batch of MCP 2025-03-26. Raises ``TransportFailure``."""
    value = read_json(content)
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list) and value:
        messages = [item for item in value if isinstance(item, dict)]
        if len(messages) == len(value):
            return messages
    raise TransportFailure("JSON that is no message", kind="not_mcp")


def read_json(content: bytes | bytearray | str) -> JsonValue:
    """Parse JSON. Raises ``TransportFailure``."""
    try:
        value: JsonValue = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        value = _mended(content, error)
    return value


def _mended(content: bytes | bytearray | str, error: orjson.JSONDecodeError) -> JsonValue:
    # JavaScript cuts a text in the middle of an emoji and writes the half as an escape, which no UTF-8 can express.
    raw = content.encode() if isinstance(content, str) else content
    if _LONE_SURROGATE in raw.lower():
        try:
            text = json.dumps(json.loads(raw), ensure_ascii=False)
            value: JsonValue = orjson.loads(text.encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            pass
        else:
            return value
    raise TransportFailure(f"not JSON: {error.msg[:100]}", kind="not_mcp") from None

"""Bytes from an upstream as messages: JSON objects, or a failure that says what came instead."""

from __future__ import annotations

from json import JSONDecodeError
from typing import TYPE_CHECKING

from portal.upstream._failures import TransportFailure
from portal.wire import read

if TYPE_CHECKING:
    from portal.wire import Message
    from typegen import JsonValue


def read_messages(content: bytes | bytearray) -> list[Message]:
    """Read one message, or the batch of MCP 2025-03-26. Raises ``TransportFailure``."""
    value = read_json(content)
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list) and value:
        messages = [item for item in value if isinstance(item, dict)]
        if len(messages) == len(value):
            return messages
    raise TransportFailure("JSON that is no message", kind="not_mcp")


def read_json(content: bytes | bytearray) -> JsonValue:
    """Parse JSON. Raises ``TransportFailure``."""
    try:
        return read(content)
    except JSONDecodeError as error:
        raise TransportFailure(f"not JSON: {error.msg[:100]}", kind="not_mcp") from None

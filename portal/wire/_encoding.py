"""Messages as bytes of UTF-8 JSON, quickly; and what may come in at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import orjson

from portal.wire._messages import PARSE_ERROR, RpcError

if TYPE_CHECKING:
    from portal.wire._messages import Message
    from typegen import JsonValue


def encode(value: JsonValue) -> bytes:
    """Return a message, or a part of one, as JSON on one line.

    Integers beyond 64 bits and lone surrogates, which a tool of this process may return, take a slower way.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def decode(data: bytes | memoryview) -> Message | list[JsonValue]:
    """Read a message or a batch. Raises ``RpcError``, also for what is nested more than 1,024 levels deep."""
    try:
        value: JsonValue = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise RpcError(PARSE_ERROR, "Parse error: this is not JSON, or nested too deep") from None
    if not isinstance(value, dict | list):
        raise RpcError(PARSE_ERROR, "Parse error: a message is a JSON object")
    return value

"""Messages as bytes of UTF-8 JSON, quickly; and what may come in at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import orjson

from portal.wire._messages import INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR, RpcError, error_message
from portal.wire._unread import kind_of_unread

if TYPE_CHECKING:
    from portal.wire._messages import Message
    from typegen import JsonValue

MAX_LEVELS: Final = 512
"""How deep a client's message may be nested: any that may come in can be written for a server, at some 900 levels."""

_LONE_SURROGATE: Final = b"\\ud"
_ZEROS: Final = bytes(ord("0") if chr(byte) in "0123456789" else byte for byte in range(256))
_LONG_NUMBER: Final = b"0" * 19  # an integer with fewer digits has at most 64 bits


def encode(value: JsonValue, *, sorts_keys: bool = False) -> bytes:
    """Return a message, or a part of one, as JSON on one line.

    Integers beyond 64 bits, lone surrogates and what is nested more than some 250 levels deep take a slower way.
    Raises ``ValueError`` for what nests deeper than that can write either.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sorts_keys else None)
    except TypeError:
        pass
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False, sort_keys=sorts_keys).encode()
    except RecursionError:
        raise ValueError("it is nested too deep to be written") from None


def decode(data: bytes) -> Message | list[JsonValue]:
    """Read a client's message, or a batch. Raises ``RpcError``, also for one nested more than ``MAX_LEVELS`` deep.

    An answer that cannot be taken is read as an error with its id, because whoever asked must hear something.
    """
    try:
        value = read(data)
    except ValueError:
        return _unread(data, RpcError(PARSE_ERROR, "Parse error: this is not JSON, or nested too deep"))
    if not isinstance(value, dict | list):
        raise RpcError(PARSE_ERROR, "Parse error: a message is a JSON object")
    if _may_be_deep(data) and _is_deep(value):
        message = f"A message is nested at most {MAX_LEVELS} levels deep"
        return _unread(data, RpcError(INVALID_REQUEST, message))
    return value


def read(content: bytes | bytearray) -> JsonValue:
    """Read JSON, integers of more than 64 bits as they are. Raises ``JSONDecodeError``, also for 1,024 levels."""
    try:
        value: JsonValue = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        return _mended(content, error)
    # The one cost that every message has beside orjson's: 1 to 3 microseconds a KiB, a third of what a pattern takes.
    return _exact(content, value) if _LONG_NUMBER in content.translate(_ZEROS) else value


def _exact(content: bytes | bytearray, value: JsonValue) -> JsonValue:
    # orjson reads integers of more than 64 bits as floats, which a client or a server did not send.
    try:
        exact: JsonValue = json.loads(content)
    except (RecursionError, ValueError):  # nested too deep, or of more than 4,300 digits
        return value
    return exact


def _mended(content: bytes | bytearray, error: orjson.JSONDecodeError) -> JsonValue:
    # JavaScript cuts a text in the middle of an emoji and writes the half as an escape, which no UTF-8 can express.
    if _LONE_SURROGATE in content.lower():
        try:
            text = json.dumps(json.loads(content), ensure_ascii=False).encode("utf-8", "replace")
            value: JsonValue = orjson.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            return _exact(text, value)
    raise error


def _unread(data: bytes, error: RpcError) -> Message:
    found = kind_of_unread(data)
    if found is None or not found.is_answer or found.request_id is None:
        raise error
    return error_message(found.request_id, RpcError(INTERNAL_ERROR, f"the answer cannot be taken: {error.message}"))


def _may_be_deep(data: bytes) -> bool:
    return len(data) > 2 * MAX_LEVELS and data.count(b"{") + data.count(b"[") > MAX_LEVELS


def _is_deep(value: JsonValue) -> bool:
    level: list[JsonValue] = [value]
    for _ in range(MAX_LEVELS):
        inner: list[JsonValue] = []
        for each in level:
            if isinstance(each, dict):
                inner += [item for item in each.values() if isinstance(item, dict | list)]
            elif isinstance(each, list):
                inner += [item for item in each if isinstance(item, dict | list)]
        if not inner:
            return False
        level = inner
    return True

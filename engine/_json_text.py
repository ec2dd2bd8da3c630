"""JSON text of what servers answer, also where it holds what JSON for a program cannot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from typegen import JsonValue

MOST_LEVELS: Final = 200
"""Levels of nesting in one result: far more than any has, and fewer than any parser on the way takes."""
_MOST_BITS: Final = 63
_MOST_TEXT_BITS: Final = 10_000  # Python refuses to write more than some 14,000 in decimal
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def json_text(value: JsonValue, *, sorts_keys: bool = False) -> bytes:
    """Return ``value`` as compact JSON.

    An integer beyond 64 bits is text, as a program's own BigInt is; NaN and infinities are null; a lone surrogate is
    U+FFFD. Raises ``ValueError`` for what nests more than 200 levels deep, and for an integer of thousands of digits.
    """
    option = orjson.OPT_SORT_KEYS if sorts_keys else 0
    try:
        return orjson.dumps(value, option=option)
    except TypeError:  # the rare case: what is written then is made anew, without what cannot be
        return orjson.dumps(_writable(value, MOST_LEVELS), option=option)


def _writable(value: JsonValue, levels: int) -> JsonValue:
    if not levels:
        raise ValueError(f"it nests more than {MOST_LEVELS} levels deep")
    if isinstance(value, dict):
        return {_text(key): _writable(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_writable(item, levels - 1) for item in value]
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return _digits(value)
    return _text(value) if isinstance(value, str) else value


def _digits(value: int) -> str:
    if value.bit_length() > _MOST_TEXT_BITS:
        raise ValueError("a number in it has thousands of digits")
    return str(value)


def _text(text: str) -> str:
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)

"""Text that comes from servers, made safe to stand in TypeScript: comments, string literals, property names.

Nothing from a server may end a comment, start a directive, break a line or hide: invisible characters are dropped from
prose and escaped where they matter (names and values).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typegen._json import JsonValue

MAX_LITERAL_CHARS = 200  # a longer constant is described by its type: no reader compares that much text

# Controls, soft hyphen, zero-width and bidirectional marks, line separators, tags (U+E0000), lone surrogates, BOM.
_INVISIBLE_CLASS = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(f"[{_INVISIBLE_CLASS}]")
_NOT_SPACE = re.compile(f"(?![\\s\u2028\u2029])[{_INVISIBLE_CLASS}]")
_SPACE = re.compile(r"\s+")
_DIRECTIVE = re.compile(r"@(?=ts-)", re.IGNORECASE)  # `@ts-expect-error` acts from inside a comment
_PLAIN_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*\Z")
_SENTENCE_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\betc)(?<!\bvs)[.!?。](?=\s|$)|\n\s*\n|\n\s*[-*#`]")
_PIECE = re.compile(r"[^\x00-\x7f]|[A-Z]?[a-z]{1,8}|[A-Z]{1,2}|[0-9]{1,3}|[^\sA-Za-z0-9_]{1,3}")


def prose(text: str, max_chars: int) -> str:
    """Return ``text`` on one line, at most ``max_chars`` long, that cannot leave the comment it is put in."""
    text = _SPACE.sub(" ", _NOT_SPACE.sub("", text[: max_chars * 4])).strip()
    text = _DIRECTIVE.sub("@ ", text.replace("*/", "*\\/").replace("/*", "/ *"))
    if len(text) <= max_chars:
        return text
    cut = text[:max_chars]
    return f"{cut[: cut.rfind(' ')] if ' ' in cut[max_chars // 2 :] else cut}…"


def in_comment(text: str) -> str:
    """Return ``text``, put together from safe pieces, so that it does not end the comment it is put in."""
    return text.replace("*/", "*\\/")


def first_sentence(text: str, max_chars: int) -> str:
    """Return the first sentence of ``text``, made safe as ``prose`` does."""
    text = text[: max_chars * 8].strip()
    end = _SENTENCE_END.search(text)
    return prose(text[: end.end()].rstrip("-*#` \n") if end else text, max_chars)


def string_literal(text: str) -> str:
    """Return ``text`` as a TypeScript string literal with every invisible character escaped."""
    return _INVISIBLE.sub(_escape, json.dumps(text, ensure_ascii=False))


def property_name(name: str) -> str:
    """Return ``name`` as it is written before the colon of a property: quoted only when it must be."""
    return name if _PLAIN_NAME.match(name) else string_literal(name)


def scalar_literal(value: JsonValue) -> str | None:
    """Return the literal type of a JSON scalar, or ``None`` where no literal type can say it exactly."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return string_literal(value) if len(value) <= MAX_LITERAL_CHARS else None
        case int():
            return str(value) if abs(value) <= 2**53 else None
        case float():
            return repr(value) if value - value == 0 and "e" not in repr(value) else None
        case _:
            return None


def compact_json(value: JsonValue, max_chars: int) -> str | None:
    """Return ``value`` as JSON that may stand in a comment, or ``None`` when it is longer than ``max_chars``."""
    if isinstance(value, str) and len(value) > max_chars:
        return None
    if isinstance(value, dict | list) and len(value) > max_chars:
        return None
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    except (TypeError, ValueError, RecursionError):
        return None
    text = prose(text, max_chars + 1)
    return text if len(text) <= max_chars else None


def estimate_tokens(text: str) -> int:
    """Return about how many o200k tokens ``text`` is (see tests/typegen/test_budget.py for how near)."""
    return len(_PIECE.findall(text))


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\u{{{code:x}}}"

"""What a schema says that a type cannot: bounds, formats, defaults, examples, deprecation; and its description."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from typegen._text import compact_json, first_sentence, in_comment, prose
from typegen._types import Combined, Scoped

if TYPE_CHECKING:
    from typegen._json import JsonValue
    from typegen._types import Later, Member

_WORD = re.compile(r"[A-Za-z0-9]+")
_HUMP = re.compile(r"([a-z0-9])([A-Z])")

MAX_DEFAULT_CHARS = 40
MAX_PATTERN_CHARS = 60

_TELLING = frozenset(
    {
        "deprecated",
        "format",
        "contentEncoding",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "multipleOf",
        "uniqueItems",
        "pattern",
        "default",
        "examples",
        "example",
        "anyOf",
        "oneOf",
        "items",
    }
)
# The type already says it, or it says nothing to someone who writes JSON.
_SILENT_FORMATS = frozenset({"int32", "int64", "float", "double", "number", "integer", "string", "decimal", "any"})


class Docs:
    """How much of a member's documentation is printed."""

    __slots__ = ("is_jsdoc", "is_whole", "max_chars")

    def __init__(self, max_chars: int, *, is_whole: bool = False, is_jsdoc: bool = False) -> None:
        self.max_chars = max_chars
        self.is_whole = is_whole
        self.is_jsdoc = is_jsdoc

    def note(self, member: Member) -> str:
        """Return what is said beside ``member``; empty when there is nothing worth a reader's time."""
        schema = _schema_of(member.type)
        if schema is None:
            return ""
        found = facts(schema)
        said = description(schema, self.max_chars, is_whole=self.is_whole) if self.max_chars else ""
        if said and not self.is_whole and _repeats(said, member.name):
            said = ""
        note = in_comment(f"{said} ({found})" if said and found else said or found)
        return f"{note} @deprecated" if self.is_jsdoc and schema.get("deprecated") is True else note


def facts(schema: object) -> str:
    """Return the constraints of ``schema`` in a few words: ``1..100, default 30``. Empty when it has none."""
    if not isinstance(schema, dict | Mapping) or _TELLING.isdisjoint(schema):
        return ""
    found = [*_own_facts(schema)]
    for keyword in ("anyOf", "oneOf"):  # `string | null` is mostly spelled as alternatives, the bounds inside
        branches = schema.get(keyword)
        if isinstance(branches, list) and len(branches) <= 3:
            others = [branch for branch in branches if isinstance(branch, Mapping) and branch.get("type") != "null"]
            if len(others) == 1:
                found.extend(fact for fact in _own_facts(others[0]) if fact not in found)
    items = schema.get("items")
    if isinstance(items, Mapping) and "properties" not in items:
        found.extend(f"each {fact}" for fact in _own_facts(items) if not fact.startswith("default"))
    return ", ".join(found)


def description(schema: object, max_chars: int, *, is_whole: bool = False) -> str:
    """Return the description of ``schema``, safe in a comment: the first sentence, or all of it."""
    if not isinstance(schema, Mapping):
        return ""
    text = schema.get("description")
    if not isinstance(text, str):
        return ""
    return prose(text, max_chars) if is_whole else first_sentence(text, max_chars)


def _repeats(said: str, name: str) -> bool:
    """Say whether a description has no word that the name lacks: ``owner: string // The owner``."""
    words = {word.lower().rstrip("s") for word in _WORD.findall(said)}
    known = {word.lower().rstrip("s") for word in _WORD.findall(_HUMP.sub(r"\1 \2", name.replace("_", " ")))}
    return words <= known | {"the", "a", "an", "of", "to", "for", "thi", "your"}


def _schema_of(later: Later) -> Mapping[str, JsonValue] | None:
    while isinstance(later, Scoped | Combined):
        later = later.schema if isinstance(later, Scoped) else later.parts[0]
    return later if isinstance(later, Mapping) else None


def _own_facts(schema: Mapping[str, JsonValue]) -> list[str]:
    found = ["deprecated"] if schema.get("deprecated") is True else []
    found += _format(schema)
    found += (
        _between(schema, "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        _counted(schema, "minLength", "maxLength", "chars"),
        _counted(schema, "minItems", "maxItems", "items"),
        _counted(schema, "minProperties", "maxProperties", "keys"),
    )
    step = _number(schema.get("multipleOf"))
    if step is not None and step != "1":
        found.append(f"multiple of {step}")
    if schema.get("uniqueItems") is True:
        found.append("unique")
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and len(pattern) <= MAX_PATTERN_CHARS:
        found.append(f"/{prose(pattern, MAX_PATTERN_CHARS)}/")
    found.append(_default(schema) or _example(schema))
    return [fact for fact in found if fact]


def _format(schema: Mapping[str, JsonValue]) -> list[str]:
    names = [schema.get("format"), schema.get("contentEncoding")]
    return [prose(name, 40) for name in names if isinstance(name, str) and name not in _SILENT_FORMATS]


def _default(schema: Mapping[str, JsonValue]) -> str:
    default = schema.get("default")
    if default is None or default in ("", [], {}):
        return ""
    text = compact_json(default, MAX_DEFAULT_CHARS)
    return f"default {text}" if text else ""


def _example(schema: Mapping[str, JsonValue]) -> str:
    if "enum" in schema or "default" in schema:
        return ""
    examples = schema.get("examples")
    example = examples[0] if isinstance(examples, list) and examples else schema.get("example")
    text = None if example is None else compact_json(example, MAX_DEFAULT_CHARS)
    return f"e.g. {text}" if text else ""


def _between(schema: Mapping[str, JsonValue], low: str, high: str, above: str, below: str) -> str:
    floor, ceiling = _number(schema.get(low)), _number(schema.get(high))
    over, under = _number(schema.get(above)), _number(schema.get(below))
    if schema.get(above) is True:  # draft 4: a flag beside the bound
        floor, over = None, floor
    if schema.get(below) is True:
        ceiling, under = None, ceiling
    if floor is not None and ceiling is not None:
        return f"{floor}..{ceiling}"
    lower = f">={floor}" if floor is not None else f">{over}" if over is not None else ""
    upper = f"<={ceiling}" if ceiling is not None else f"<{under}" if under is not None else ""
    return f"{lower} {upper}".strip()


def _counted(schema: Mapping[str, JsonValue], low: str, high: str, what: str) -> str:
    floor, ceiling = _number(schema.get(low)), _number(schema.get(high))
    if floor is not None and floor == ceiling:
        return f"{floor} {what}"
    if floor in (None, "0"):
        return f"<={ceiling} {what}" if ceiling is not None else ""
    return f"{floor}..{ceiling} {what}" if ceiling is not None else f">={floor} {what}"


def _number(value: JsonValue) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not abs(value) < 2**53 - 1:  # not a number, a machine type's own limit, or nothing anyone would type
        return None
    return str(int(value)) if value == int(value) else repr(value)

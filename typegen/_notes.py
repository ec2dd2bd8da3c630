"""What a schema says that a type cannot: bounds, formats, defaults, examples, deprecation; and its description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from typegen._text import compact_json, first_sentence, prose

if TYPE_CHECKING:
    from typegen._json import JsonValue

MAX_DEFAULT_CHARS = 40
MAX_PATTERN_CHARS = 60

# The type already says it, or it says nothing to someone who writes JSON.
_SILENT_FORMATS = frozenset({"int32", "int64", "float", "double", "number", "integer", "string", "decimal", "any"})


def facts(schema: object) -> str:
    """Return the constraints of ``schema`` in a few words: ``1..100, default 30``. Empty when it has none."""
    if not isinstance(schema, Mapping):
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


def _own_facts(schema: Mapping[str, JsonValue]) -> list[str]:
    found = []
    if schema.get("deprecated") is True:
        found.append("deprecated")
    name = schema.get("format")
    if isinstance(name, str) and name and name not in _SILENT_FORMATS:
        found.append(prose(name, 40))
    encoding = schema.get("contentEncoding")
    if isinstance(encoding, str):
        found.append(prose(encoding, 20))
    found.extend(
        text
        for text in (
            _between(schema, "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
            _counted(schema, "minLength", "maxLength", "chars"),
            _counted(schema, "minItems", "maxItems", "items"),
            _counted(schema, "minProperties", "maxProperties", "keys"),
        )
        if text
    )
    step = _number(schema.get("multipleOf"))
    if step is not None and step != "1":
        found.append(f"multiple of {step}")
    if schema.get("uniqueItems") is True:
        found.append("unique")
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and len(pattern) <= MAX_PATTERN_CHARS:
        found.append(f"/{prose(pattern, MAX_PATTERN_CHARS)}/")
    default = schema.get("default")
    if default is not None and default not in ("", [], {}):
        text = compact_json(default, MAX_DEFAULT_CHARS)
        if text:
            found.append(f"default {text}")
    if "enum" not in schema and "default" not in schema:
        example = _example(schema)
        if example:
            found.append(f"e.g. {example}")
    return found


def _example(schema: Mapping[str, JsonValue]) -> str | None:
    examples = schema.get("examples")
    if isinstance(examples, list) and examples:
        return compact_json(examples[0], MAX_DEFAULT_CHARS)
    example = schema.get("example")
    return None if example is None else compact_json(example, MAX_DEFAULT_CHARS)


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

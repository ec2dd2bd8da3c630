"""A call's arguments against the tool's input schema: what does not fit, where, and what was expected."""

from __future__ import annotations

import difflib
import logging
from itertools import islice
from typing import TYPE_CHECKING, cast

import jsonschema_rs

from engine._json_text import json_text
from engine._quote import quoted_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typegen import JsonObject, JsonValue

logger = logging.getLogger("portico.engine")

_FINDINGS_SHOWN = 5
_SHARED_KEYWORDS = ("$schema", "$id", "$defs", "definitions")
_VALUE_CHARS = 60
_NAME_CHARS = 100
_SUGGESTED_MAX = 1_000
"""Members that an unknown one is compared with: each takes some microseconds."""
_LISTED_PARTS = 500
_LISTED_CHARS = 100_000
"""What arguments may hold for all their errors to be listed: each comes with a copy of what it is about, and of 20,000
members beside 2,000 missing ones that took a minute. Of larger arguments the first error is told."""


class ArgumentCheck:
    """The compiled input schema of one tool.

    Patterns run in linear time and no ``$ref`` is ever fetched. A schema that cannot be compiled checks nothing: the
    upstream then judges the arguments itself.
    """

    def __init__(self, schema: Mapping[str, JsonValue]) -> None:
        properties, required = schema.get("properties"), schema.get("required")
        self._properties: JsonObject = properties if isinstance(properties, dict) else {}
        self._required = [str(name) for name in required] if isinstance(required, list) else []
        self._is_closed = schema.get("additionalProperties") is False and not schema.get("patternProperties")
        self._definitions = {key: schema[key] for key in _SHARED_KEYWORDS if key in schema}
        self._validator = _compile(schema)
        self._member_validators: dict[str, jsonschema_rs.Validator | None] = {}

    def findings(self, arguments: JsonObject) -> list[str]:
        """Say each way in which ``arguments`` do not fit, unknown members first; an empty list means that they do."""
        if self._validator is None or self._validator.is_valid(arguments):
            return []
        unknown: list[str] = []
        missing: list[str] = []
        wrong: list[jsonschema_rs.ValidationError] = []
        for error in _errors(self._validator, arguments):
            is_at_top = not error.instance_path
            if is_at_top and error.kind.name in {"additionalProperties", "unevaluatedProperties"}:
                unknown += map(str, error.kind.as_dict()["unexpected"])
            elif is_at_top and error.kind.name == "required":
                missing.append(str(error.kind.as_dict()["property"]))
            else:
                wrong.append(error)
        return self._said(unknown=unknown, wrong=wrong, missing=missing)

    def partial_findings(self, known: JsonObject, *, names: Sequence[str], is_whole: bool) -> list[str]:
        """Say what is certain of an object of which only some values are ``known``.

        ``names`` are all its member names that are written out; ``is_whole`` that there are no others.
        """
        written = frozenset(names)
        missing = [name for name in self._required if name not in written] if is_whole else []
        # A schema that allows other members allows a misspelt one as well, unless one that it asks for is not there.
        looks_closed = self._is_closed or bool(missing and self._properties)
        unknown = [name for name in names if name not in self._properties] if looks_closed else []
        wrong = [
            error
            for name, value in known.items()
            if name in self._properties and (validator := self._member_validator(name)) is not None
            for error in _errors(validator, {name: value})
        ]
        return self._said(unknown=unknown, wrong=wrong, missing=missing)

    def _said(self, *, unknown: list[str], wrong: list[jsonschema_rs.ValidationError], missing: list[str]) -> list[str]:
        """Word the first findings; the one unknown member where one is missing was probably meant for it."""
        if len(unknown) == len(missing) == 1:
            found = [f'unknown "{_shown(unknown[0])}" (did you mean {_shown(missing[0])}?)']
        else:
            known = tuple(islice(self._properties, _SUGGESTED_MAX))
            found = [f'unknown "{_shown(name)}"{_suggest(_shown(name), known)}' for name in unknown[:_FINDINGS_SHOWN]]
        found += [_describe(error) for error in wrong[:_FINDINGS_SHOWN]]
        found += [f'missing "{_shown(name)}"' for name in missing[:_FINDINGS_SHOWN]]
        more = len(unknown) + len(wrong) + len(missing) - _FINDINGS_SHOWN
        return found[:_FINDINGS_SHOWN] + ([f"and {more} more"] if more > 0 else [])

    def _member_validator(self, name: str) -> jsonschema_rs.Validator | None:
        if name not in self._member_validators:
            schema: JsonObject = {**self._definitions, "properties": {name: self._properties[name]}}
            self._member_validators[name] = _compile(schema)
        return self._member_validators[name]


def _errors(validator: jsonschema_rs.Validator, value: JsonObject) -> list[jsonschema_rs.ValidationError]:
    """Return what is wrong with ``value``: all of it, or the first where that is too much."""
    if _is_small(value):
        return list(validator.iter_errors(value))
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        return [error]
    return []


def _is_small(value: JsonValue) -> bool:
    parts = [value]
    chars = 0
    for part in parts:
        if isinstance(part, dict):
            parts.extend(part.values())
            chars += sum(map(len, part))
        elif isinstance(part, list):
            parts.extend(part)
        elif isinstance(part, str):
            chars += len(part)
        if len(parts) > _LISTED_PARTS or chars > _LISTED_CHARS:
            return False
    return True


def _describe(error: jsonschema_rs.ValidationError) -> str:
    """Say path, what was expected and what was there."""
    facts = error.kind.as_dict()
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
    where = _shown(path.removeprefix("."))
    match error.kind.name:
        case "required":
            return f'missing "{where}.{facts["property"]}"'
        case "additionalProperties" | "unevaluatedProperties":
            return ", ".join(f'unknown "{where}.{_shown(name)}"' for name in facts["unexpected"][:_FINDINGS_SHOWN])
        case "falseSchema":
            return f'unknown "{where}"'
        case "type":
            expected = " or ".join(str(name) for name in facts["types"])
        case "enum":
            expected = f"one of {_short(facts['options'])}"
        case _:
            return f'"{where or "arguments"}": {_first_line(error)}'
    return f'"{where or "arguments"}": expected {expected}, got {_short(error.instance)}'


def _compile(schema: Mapping[str, JsonValue]) -> jsonschema_rs.Validator | None:
    try:
        return jsonschema_rs.validator_for(dict(schema), pattern_options=jsonschema_rs.RegexOptions(), offline=True)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        logger.warning("input schema cannot be compiled, so arguments are not checked here: %s", _first_line(error))
        return None


def _suggest(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _short(value: object) -> str:
    try:
        return quoted_part(json_text(cast("JsonValue", value)).decode(), _VALUE_CHARS)
    except TypeError:  # a Decimal, for a number of the schema
        return quoted_part(str(value), _VALUE_CHARS)
    except ValueError as error:  # too deep, or a number of thousands of digits
        return f"a value that cannot be shown: {error}"


def _shown(name: str) -> str:
    return quoted_part(name, _NAME_CHARS)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return quoted_part(lines[0] if lines else type(error).__name__)

"""A call's arguments against the tool's input schema: what does not fit, where, and what was expected."""

from __future__ import annotations

import difflib
import logging
from typing import TYPE_CHECKING

import jsonschema_rs
import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typegen import JsonObject, JsonValue

logger = logging.getLogger("portico.engine")

_FINDINGS_SHOWN = 5
_SHARED_KEYWORDS = ("$schema", "$id", "$defs", "definitions")
_VALUE_CHARS = 60


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
        wrong: list[str] = []
        for error in self._validator.iter_errors(arguments):
            is_at_top = not error.instance_path
            if is_at_top and error.kind.name in {"additionalProperties", "unevaluatedProperties"}:
                unknown += map(str, error.kind.as_dict()["unexpected"])
            elif is_at_top and error.kind.name == "required":
                missing.append(str(error.kind.as_dict()["property"]))
            else:
                wrong.append(_describe(error))
        return self._said(unknown=unknown, wrong=wrong, missing=missing)

    def partial_findings(self, known: JsonObject, *, names: Sequence[str], is_whole: bool) -> list[str]:
        """Say what is certain of an object of which only some values are ``known``.

        ``names`` are all its member names that are written out; ``is_whole`` that there are no others.
        """
        missing = [name for name in self._required if name not in names] if is_whole else []
        # A schema that allows other members allows a misspelt one as well, unless one that it asks for is not there.
        looks_closed = self._is_closed or bool(missing and self._properties)
        unknown = [name for name in names if name not in self._properties] if looks_closed else []
        wrong = [
            _describe(error)
            for name, value in known.items()
            if name in self._properties and (validator := self._member_validator(name)) is not None
            for error in validator.iter_errors({name: value})
        ]
        return self._said(unknown=unknown, wrong=wrong, missing=missing)

    def _said(self, *, unknown: list[str], wrong: list[str], missing: list[str]) -> list[str]:
        """Word the findings; the one unknown member where one is missing was probably meant for it."""
        if len(unknown) == len(missing) == 1:
            found = [f'unknown "{unknown[0]}" (did you mean {missing[0]}?)']
        else:
            found = [f'unknown "{name}"{_suggest(name, tuple(self._properties))}' for name in unknown]
        found += wrong + [f'missing "{name}"' for name in missing]
        more = len(found) - _FINDINGS_SHOWN
        return found[:_FINDINGS_SHOWN] + ([f"and {more} more"] if more > 0 else [])

    def _member_validator(self, name: str) -> jsonschema_rs.Validator | None:
        if name not in self._member_validators:
            schema: JsonObject = {**self._definitions, "properties": {name: self._properties[name]}}
            self._member_validators[name] = _compile(schema)
        return self._member_validators[name]


def _describe(error: jsonschema_rs.ValidationError) -> str:
    """Say path, what was expected and what was there."""
    facts = error.kind.as_dict()
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
    where = path.removeprefix(".")
    match error.kind.name:
        case "required":
            return f'missing "{where}.{facts["property"]}"'
        case "additionalProperties" | "unevaluatedProperties":
            return ", ".join(f'unknown "{where}.{name}"' for name in facts["unexpected"])
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
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= _VALUE_CHARS else f"{text[:_VALUE_CHARS]}…"


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}…"

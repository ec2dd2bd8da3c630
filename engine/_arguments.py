"""A call's arguments against the tool's input schema: what does not fit, where, and what was expected."""

from __future__ import annotations

import difflib
import logging
from typing import TYPE_CHECKING

import jsonschema_rs
import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typegen import JsonObject, JsonValue

logger = logging.getLogger("portico.engine")

_FINDINGS_SHOWN = 5
_VALUE_CHARS = 60


class ArgumentCheck:
    """The compiled input schema of one tool.

    Patterns run in linear time and no ``$ref`` is ever fetched. A schema that cannot be compiled checks nothing: the
    upstream then judges the arguments itself.
    """

    def __init__(self, schema: Mapping[str, JsonValue]) -> None:
        properties = schema.get("properties")
        self._properties: tuple[str, ...] = tuple(properties) if isinstance(properties, dict) else ()
        self._validator: jsonschema_rs.Validator | None = None
        try:
            self._validator = jsonschema_rs.validator_for(
                dict(schema), pattern_options=jsonschema_rs.RegexOptions(), offline=True
            )
        except (jsonschema_rs.ValidationError, ValueError) as error:
            logger.warning("input schema cannot be compiled, so arguments are not checked here: %s", _first_line(error))

    def findings(self, arguments: JsonObject) -> list[str]:
        """Say each way in which ``arguments`` do not fit; an empty list means that they do."""
        if self._validator is None or self._validator.is_valid(arguments):
            return []
        found = [self._describe(error) for error in self._validator.iter_errors(arguments)]
        more = len(found) - _FINDINGS_SHOWN
        return found[:_FINDINGS_SHOWN] + ([f"and {more} more"] if more > 0 else [])

    def _describe(self, error: jsonschema_rs.ValidationError) -> str:
        """Say path, what was expected and what was there."""
        facts = error.kind.as_dict()
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
        where = path.removeprefix(".")
        match error.kind.name:
            case "required":
                return f'missing "{_join(where, str(facts["property"]))}"'
            case "additionalProperties" | "unevaluatedProperties":
                known = self._properties if not where else ()
                return ", ".join(
                    f'unknown "{_join(where, name)}"{_suggest(name, known)}' for name in facts["unexpected"]
                )
            case "falseSchema":
                return f'unknown "{where}"'
            case "type":
                expected = " or ".join(str(name) for name in facts["types"])
            case "enum":
                expected = f"one of {_short(facts['options'])}"
            case _:
                return f'"{where or "arguments"}": {_first_line(error)}'
        return f'"{where or "arguments"}": expected {expected}, got {_short(error.instance)}'


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


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

"""Arguments of a tool that travel in headers too, so that proxies can route by them: ``x-mcp-header`` in its schema.

MCP 2026-07-28, Streamable HTTP, "Custom Headers from Tool Parameters" and "Server Validation".
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typegen import JsonObject, JsonValue

PREFIX: Final = "mcp-param-"

_ANNOTATION: Final = "x-mcp-header"
_TYPES: Final = frozenset({"string", "integer", "boolean"})  # a number has more than one spelling
_ONE_SCHEMA: Final = frozenset(
    {
        "items",
        "contains",
        "unevaluatedItems",
        "additionalProperties",
        "propertyNames",
        "unevaluatedProperties",
        "not",
        "if",
        "then",
        "else",
        "contentSchema",
    }
)
_SCHEMA_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SCHEMA_MAPS: Final = frozenset({"patternProperties", "dependentSchemas", "$defs", "definitions"})
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2
_PLAIN: Final = re.compile(r"[\x20-\x7e]*")
_ENCODED: Final = re.compile(r"=\?base64\?(.*)\?=")
_WHOLE: Final = re.compile(r"(-?[0-9]{1,400})(\.0+)?")


@dataclass(frozen=True, slots=True)
class MirroredParam:
    """One argument, at ``path`` of property names, that is repeated in ``header`` (in lower case)."""

    path: tuple[str, ...]
    header: str
    type: str


def mirrored_params(schema: Mapping[str, JsonValue]) -> tuple[MirroredParam, ...]:
    """Return the arguments that a tool with this input schema has in headers.

    Raises ``ValueError`` where one is annotated as the specification forbids: clients must then not list the tool.
    """
    found: dict[str, MirroredParam] = {}
    for path, place in _places(schema):
        if _ANNOTATION not in place:
            continue
        name, kind = place[_ANNOTATION], place.get("type")
        if not path:
            raise ValueError(f"{_ANNOTATION} stands where no property is")
        if not isinstance(name, str) or _TOKEN.fullmatch(name) is None:
            raise ValueError(f"{_ANNOTATION} of {'.'.join(path)} cannot be part of a header's name")
        if not isinstance(kind, str) or kind not in _TYPES:
            raise ValueError(f"{_ANNOTATION} of {'.'.join(path)} is for strings, integers and booleans")
        header = PREFIX + name.lower()
        if header in found:
            raise ValueError(f"{_ANNOTATION} of {'.'.join(path)} is that of another property too")
        found[header] = MirroredParam(path, header, kind)
    return tuple(found.values())


def param_headers(params: tuple[MirroredParam, ...], arguments: Mapping[str, JsonValue]) -> dict[str, str]:
    """Return the headers that go with a call."""
    rendered = ((param.header, _rendered(_value_at(arguments, param.path))) for param in params)
    return {header: encode_header(value) for header, value in rendered if value is not None}


def param_mismatch(
    params: tuple[MirroredParam, ...], arguments: Mapping[str, JsonValue], headers: Mapping[str, str]
) -> str | None:
    """Say in a sentence which header and argument disagree; None when all agree. Keys of ``headers`` are lower case."""
    for param in params:
        given, value = headers.get(param.header), _value_at(arguments, param.path)
        expected = _rendered(value)
        if given is None and expected is None:
            continue
        name = ".".join(param.path)
        if given is None:
            return f"{param.header} header is missing but the body has the argument {name}"
        if expected is None:
            return f"{param.header} header is given but the body has no such argument {name}"
        decoded = decode_header(given)
        if decoded is None or not _is_same(param, value, expected, decoded):
            return f"{param.header} header does not match the argument {name} of the body"
    return None


def encode_header(value: str) -> str:
    """Return ``value`` as a header carries it: as it is, or as ``=?base64?...?=``."""
    if _PLAIN.fullmatch(value) and value == value.strip() and not _ENCODED.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode('utf-8', 'surrogatepass')).decode()}?="


def decode_header(value: str) -> str | None:
    """Return what a header carries; None for what no client that keeps to the specification sends."""
    encoded = _ENCODED.fullmatch(value)
    if encoded is None:
        return value if _PLAIN.fullmatch(value) else None
    content = encoded.group(1)
    try:
        decoded = base64.b64decode(content, validate=True)
        # Other spellings of the same bytes would let a proxy and us read different values.
        return decoded.decode() if base64.b64encode(decoded).decode() == content else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _places(schema: Mapping[str, JsonValue]) -> Iterator[tuple[tuple[str, ...] | None, JsonObject]]:
    """Yield every schema inside ``schema`` with its path, which is None where not only properties lead to it."""
    pending: list[tuple[tuple[str, ...] | None, JsonValue]] = [((), dict(schema))]
    while pending:
        path, place = pending.pop()
        if not isinstance(place, dict):
            continue
        yield path, place
        for keyword, inner in place.items():
            if keyword == "properties" and isinstance(inner, dict):
                pending += [((*path, name) if path is not None else None, each) for name, each in inner.items()]
            elif keyword in _ONE_SCHEMA:
                pending.append((None, inner))
            elif keyword in _SCHEMA_LISTS and isinstance(inner, list):
                pending += [(None, each) for each in inner]
            elif keyword in _SCHEMA_MAPS and isinstance(inner, dict):
                pending += [(None, each) for each in inner.values()]


def _value_at(arguments: Mapping[str, JsonValue], path: tuple[str, ...]) -> JsonValue:
    value: JsonValue = dict(arguments)
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _rendered(value: JsonValue) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _is_same(param: MirroredParam, value: JsonValue, expected: str, decoded: str) -> bool:
    """Compare integers as numbers: 42 and 42.0 are the same."""
    number = _WHOLE.fullmatch(decoded)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if param.type == "integer" and is_number and number is not None:
        return int(number.group(1)) == value
    return decoded == expected

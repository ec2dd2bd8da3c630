"""Schemas and values drawn at random, and what TypeScript can say about them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema_rs
from hypothesis import strategies as st

Json = Any  # drawn documents: their form is what the test is about

NAMES = ("id", "kind", "user name", "x-tag", "items", "a", "b")
_SCALARS: tuple[Json, ...] = (
    {"type": "string"},
    {"type": "string", "minLength": 2, "format": "date"},
    {"type": "integer"},
    {"type": "number", "minimum": 0},
    {"type": "boolean"},
    {"type": "null"},
    {"type": ["string", "null"]},
    {"type": ["integer", "boolean"]},
    {"enum": ["p", "q", 1, None]},
    {"type": "string", "enum": ["p", "q"]},
    {"type": ["string", "null"], "enum": ["p", None, 3]},
    {"const": "p"},
    {"const": {"a": [1, None]}},
    {"$ref": "#/$defs/Tree"},
    {"$ref": "#pair", "description": "an anchor"},
    True,
    {},
)
DEFINITIONS: Json = {
    "Tree": {
        "type": "object",
        "properties": {"id": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
        "required": ["id"],
    },
    "Pair": {
        "$anchor": "pair",
        "type": "array",
        "prefixItems": [{"type": "string"}, {"type": "number"}],
        "items": False,
    },
}
# What a value is spoiled with. No object with unknown names: TypeScript's weak types refuse some of those.
_SPOILERS: tuple[Json, ...] = (None, True, 0, -1.5, "p", "zz", [], ["p"], [0, None], {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A schema and some values, each with what the validator and TypeScript must think of it."""

    schema: Json
    accepted: tuple[Json, ...]
    rejected: tuple[Json, ...]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a schema, values made for it and spoiled values."""
    schema = draw(schemas())
    document = {**schema, "$defs": DEFINITIONS} if isinstance(schema, dict) else schema
    validator = jsonschema_rs.Draft202012Validator(document)
    looser = jsonschema_rs.Draft202012Validator(expressible(document))
    known = jsonschema_rs.Draft202012Validator(with_a_known_name(document))
    values = [draw(values_of(schema)) for _ in range(4)]
    values += [draw(spoiled(value)) for value in values for _ in range(2)]
    distinct = {json.dumps(value, sort_keys=True): value for value in values}.values()
    return Case(
        schema=document,
        accepted=tuple(value for value in distinct if validator.is_valid(value) and known.is_valid(value)),
        rejected=tuple(value for value in distinct if not looser.is_valid(value)),
    )


@cache
def schemas(depth: int = 3) -> st.SearchStrategy[Json]:
    scalar = st.sampled_from(_SCALARS)
    if depth == 0:
        return scalar
    inner = schemas(depth - 1)
    return st.one_of(
        scalar,
        objects(inner),
        objects(inner),
        st.builds(lambda item: {"type": "array", "items": item}, inner),
        st.builds(lambda item: {"type": ["array", "null"], "items": item}, inner),
        tuples(inner),
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"anyOf": [part, {"type": "null"}], "default": None}, inner),
        maps(inner),
        st.builds(lambda left, right: {"allOf": [left, right]}, objects(inner), objects(inner)),
        st.builds(
            lambda base, parts: {**base, "anyOf": parts},
            objects(inner),
            st.lists(objects(inner), min_size=1, max_size=2),
        ),
        objects(inner).map(_one_of_required),
    )


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Json]) -> Json:
    properties = draw(st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=4))
    required = draw(st.lists(st.sampled_from([*properties, "id"]), unique=True, max_size=2))
    schema: Json = {"type": draw(st.sampled_from(["object", "object", ["object", "null"]])), "properties": properties}
    if required:
        schema["required"] = required
    extra = draw(st.sampled_from([None, None, None, True, {"type": "string"}, {"type": ["integer", "null"]}]))
    if extra is not None:
        schema["additionalProperties"] = extra
    return schema


@st.composite
def tuples(draw: st.DrawFn, inner: st.SearchStrategy[Json]) -> Json:
    items = draw(st.lists(inner, min_size=1, max_size=3))
    schema: Json = {"type": "array", "prefixItems": items}
    rest = draw(st.sampled_from([None, False, {"type": "string"}]))
    if rest is not None:
        schema["items"] = rest
    if draw(st.booleans()):
        schema["minItems"] = draw(st.integers(0, len(items)))
    return schema


def maps(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.one_of(
        st.builds(lambda value: {"type": "object", "additionalProperties": value}, inner),
        st.builds(lambda value: {"type": "object", "patternProperties": {"^x-": value}}, inner),
        st.builds(
            lambda value: {"type": "object", "patternProperties": {"^[a-z]$": value}, "additionalProperties": False},
            inner,
        ),
        st.builds(
            lambda value: {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": value},
            inner,
        ),
        st.just({"type": "object"}),
    )


def _one_of_required(schema: Json) -> Json:
    names = list(schema["properties"])
    return {**schema, "type": "object", "anyOf": [{"required": [name]} for name in names[:2]]}


@st.composite
def values_of(draw: st.DrawFn, schema: Json, depth: int = 5) -> Json:  # noqa: C901 - one case for each way to spell a schema
    """Draw a value meant for ``schema``; the validator has the last word."""
    if not isinstance(schema, dict) or not schema:
        return draw(st.sampled_from(_SPOILERS))
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    if "$ref" in schema:
        return draw(values_of(DEFINITIONS["Tree" if schema["$ref"].endswith("Tree") else "Pair"], depth - 1))
    if "allOf" in schema:
        first, second = (draw(values_of(part, depth)) for part in schema["allOf"])
        return {**second, **first} if isinstance(first, dict) and isinstance(second, dict) else first
    if "anyOf" in schema and "properties" not in schema:
        return draw(values_of(draw(st.sampled_from(schema["anyOf"])), depth))
    kind = schema["type"] if isinstance(schema["type"], str) else draw(st.sampled_from(schema["type"]))
    match kind:
        case "object":
            value = draw(_object_of(schema, depth))
            if "anyOf" in schema:
                branch = draw(
                    values_of({"type": "object", "properties": {}, **draw(st.sampled_from(schema["anyOf"]))}, depth)
                )
                value = {**branch, **value} if isinstance(branch, dict) else value
            return value
        case "array":
            return draw(_array_of(schema, depth))
        case "string":
            return draw(st.sampled_from(["p", "q", "2026-01-02", "é\u2028\"'`\\"]))
        case "integer":
            return draw(st.integers(-3, 3))
        case "number":
            return draw(st.sampled_from([0, 1, 2.5, -0.25]))
        case "boolean":
            return draw(st.booleans())
        case _:
            return None


@st.composite
def _object_of(draw: st.DrawFn, schema: Json, depth: int) -> Json:
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    value: dict[str, Json] = {}
    for name in [*properties, *(name for name in required if name not in properties)]:
        if name in required or (depth > 0 and draw(st.booleans())):
            value[name] = draw(values_of(properties.get(name, schema.get("additionalProperties", True)), depth - 1))
    extra = schema.get("additionalProperties")
    if extra not in (None, False):
        for name in draw(
            st.lists(st.sampled_from(["a", "b"] if "propertyNames" in schema else ["extra", "b"]), max_size=2)
        ):
            value.setdefault(name, draw(values_of(extra, depth - 1)))
    for pattern, inner in schema.get("patternProperties", {}).items():
        for name in draw(st.lists(st.sampled_from(["x-a", "x-b"] if pattern == "^x-" else ["a", "b"]), max_size=2)):
            value[name] = draw(values_of(inner, depth - 1))
    return value


@st.composite
def _array_of(draw: st.DrawFn, schema: Json, depth: int) -> Json:
    prefix = schema.get("prefixItems", [])
    items = schema.get("items", True)
    value = [draw(values_of(item, depth - 1)) for item in prefix[: draw(st.integers(0, len(prefix)))]]
    value = value if len(value) >= schema.get("minItems", 0) else [draw(values_of(item, depth - 1)) for item in prefix]
    if items is not False and len(value) == len(prefix) and depth > 0:
        value += [draw(values_of(items, depth - 1)) for _ in range(draw(st.integers(0, 2)))]
    return value


@st.composite
def spoiled(draw: st.DrawFn, value: Json) -> Json:
    """Draw ``value`` with one thing replaced or left out."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        name = draw(st.sampled_from(sorted(value)))
        if draw(st.booleans()):
            return {key: item for key, item in value.items() if key != name}
        return {**value, name: draw(spoiled(value[name]))}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(spoiled(value[at])), *value[at + 1 :]]
    return draw(st.sampled_from(_SPOILERS))


def expressible(schema: Json) -> Json:  # noqa: C901 - a table of keywords
    """Return the schema with everything loosened that TypeScript cannot say, and nothing else."""
    if isinstance(schema, list):
        return [expressible(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "const" in schema or "enum" in schema:
        return schema
    found: Json = {}
    for key, value in schema.items():
        match key:
            case "minLength" | "format" | "minimum":
                continue
            case "type":
                names = [value] if isinstance(value, str) else value
                found[key] = ["number" if name == "integer" else name for name in names]
            case "properties" | "$defs" | "patternProperties":
                found[key] = {name: expressible(item) for name, item in value.items()}
            case "additionalProperties" if "properties" in schema or value is False:
                continue  # an index signature has to allow the properties too; closing is seen in literals only
            case "additionalProperties" if "propertyNames" in schema:
                found["properties"] = {name: expressible(value) for name in schema["propertyNames"]["enum"]}
            case "propertyNames":
                continue  # a name too many is only seen in a fresh literal
            case "anyOf" | "allOf" | "prefixItems" | "items" | "additionalProperties":
                found[key] = expressible(value)
            case _:
                found[key] = value
    return found


def with_a_known_name(schema: Json) -> Json:
    """Return the schema with every object bound to have one of its known properties, or none at all.

    TypeScript refuses to assign an object to a type whose members are all optional when they share none (TS2559).
    """
    if isinstance(schema, list):
        return [with_a_known_name(item) for item in schema]
    if not isinstance(schema, dict) or "const" in schema or "enum" in schema:
        return schema
    found = {
        key: {name: with_a_known_name(item) for name, item in value.items()}
        if key in ("properties", "$defs", "patternProperties")
        else with_a_known_name(value)
        for key, value in schema.items()
    }
    if "properties" not in schema:
        return found
    known = [{"required": [name]} for name in schema["properties"]]
    return {"allOf": [found, {"anyOf": [*known, {"maxProperties": 0}, {"not": {"type": "object"}}]}]} | (
        {"$defs": found.pop("$defs")} if "$defs" in found else {}
    )


def literal_type(value: Json) -> str:
    """Return the type that only ``value`` has."""
    if isinstance(value, dict):
        return "{ " + "; ".join(f"{json.dumps(name)}: {literal_type(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(literal_type(item) for item in value)}]"
    return json.dumps(value)

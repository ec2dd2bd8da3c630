"""Arguments that a tool accepts, made from its input schema: for calls whose results do not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine import CatalogTool, JsonObject

Json = dict[str, Any]
AnyJson = Any  # a part of a schema that came as it is
_DEEPEST = 8


def example_arguments(entry: CatalogTool) -> JsonObject:
    """Return an object with the required properties alone."""
    schema: Json = dict(entry.tool.input_schema)
    made = _example(schema, schema, 0)
    return made if isinstance(made, dict) else {}


def _example(schema: AnyJson, root: Json, depth: int) -> AnyJson:
    schema = _resolved(schema, root)
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return "example"
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _example(properties.get(name), root, depth + 1) for name in schema.get("required", ())}
    if kind == "array":
        return [_example(schema.get("items"), root, depth + 1)] * max(1, schema.get("minItems", 0))
    return _scalar(kind, schema)


def _resolved(schema: AnyJson, root: Json) -> AnyJson:
    """Follow references, and take the first of several alternatives."""
    for _ in range(_DEEPEST):
        if not isinstance(schema, dict):
            break
        choices = [schema[keyword] for keyword in ("anyOf", "oneOf", "allOf") if keyword in schema]
        if "$ref" in schema:
            target: AnyJson = root
            for key in schema["$ref"].split("/")[1:]:
                target = target[key]
            schema = target
        elif choices and "type" not in schema:
            schema = choices[0][0]
        else:
            break
    return schema


def _scalar(kind: AnyJson, schema: Json) -> AnyJson:
    match kind:
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return "example".ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 100)]

"""Large catalogues, made from what the registries ship: GitHub's REST description and the AWS service models.

The conversion is ours and plain: one tool for each operation, path, query and body parameters as properties, the first
successful JSON answer as output schema, referenced schemas under ``$defs``.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from typegen import Tool

Json = dict[str, Any]  # other people's documents, of a form that is known and not ours to type
AnyJson = Any

REPOSITORY = Path(__file__).parents[2]
GITHUB = REPOSITORY / "node_modules/@octokit/openapi/generated/api.github.com.json"
_AWS_SCALARS: dict[str, Json] = {
    "blob": {"type": "string", "contentEncoding": "base64"},
    "timestamp": {"type": "string", "format": "date-time"},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer"},
    "long": {"type": "integer"},
    "float": {"type": "number"},
    "double": {"type": "number"},
}
AWS_SERVICES = ("ec2", "s3", "iam", "lambda", "rds", "dynamodb")


@cache
def github_tools() -> tuple[Tool, ...]:
    """Every operation of the GitHub REST API."""
    document = json.loads(GITHUB.read_text())
    schemas = document["components"]["schemas"]
    tools = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method not in {"get", "put", "post", "delete", "patch"}:
                continue
            parameters = [*operations.get("parameters", ()), *operation.get("parameters", ())]
            tools.append(
                Tool(
                    name=operation["operationId"].replace("/", "_"),
                    description=f"{operation.get('summary', path)}\n\n{operation.get('description', '')}",
                    input_schema=_with_definitions(_github_input(parameters, operation, document), schemas),
                    output_schema=_github_output(operation, document, schemas),
                )
            )
    return tuple(tools)


def _github_input(parameters: list[Json], operation: Json, document: Json) -> Json:
    properties: Json = {}
    required: list[str] = []
    for one in parameters:
        parameter = _at(one, document)
        if parameter["in"] not in ("path", "query"):
            continue
        properties[parameter["name"]] = {"description": parameter.get("description", ""), **parameter["schema"]}
        if parameter.get("required"):
            required.append(parameter["name"])
    body = _at(operation.get("requestBody", {}), document)
    schema = body.get("content", {}).get("application/json", {}).get("schema")
    if schema is not None:
        resolved = _at(schema, document)
        is_flat = resolved.get("type") == "object" and not {"oneOf", "anyOf", "allOf"} & set(resolved)
        if is_flat and not set(resolved.get("properties", {})) & set(properties):
            properties.update(resolved.get("properties", {}))
            required += resolved.get("required", [])
        else:
            properties["body"] = schema
            if body.get("required"):
                required.append("body")
    return {"type": "object", "properties": properties, "required": required}


def _github_output(operation: Json, document: Json, schemas: Json) -> Json | None:
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            content = _at(answer, document).get("content", {})
            schema = next(
                (body["schema"] for kind, body in content.items() if "json" in kind and "schema" in body), None
            )
            return None if schema is None else _with_definitions(schema, schemas)
    return None


def _at(node: Json, document: Json) -> Json:
    while "$ref" in node:
        target = document
        for key in node["$ref"].split("/")[1:]:
            target = target[key]
        node = target
    return node


def _with_definitions(schema: Json, schemas: Json) -> Json:
    """Return the schema with what it refers to, at any distance, under ``$defs``."""
    found: Json = {}

    def rewritten(node: AnyJson) -> AnyJson:
        if isinstance(node, list):
            return [rewritten(item) for item in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/components/schemas/"):
            name = reference.rpartition("/")[2]
            if name not in found:
                found[name] = True
                found[name] = rewritten(schemas[name])
            return {**node, "$ref": f"#/$defs/{name}"}
        return {key: rewritten(value) for key, value in node.items() if key not in ("example", "examples")}

    result = rewritten(schema)
    return {**result, "$defs": found} if found else result


@cache
def aws_tools(services: tuple[str, ...] = AWS_SERVICES) -> tuple[Tool, ...]:
    """Every operation of some AWS services."""
    return tuple(tool for service in services for tool in _aws_service(service))


def _aws_service(service: str) -> list[Tool]:
    origin = getattr(importlib.util.find_spec("botocore"), "origin", "")
    folder = sorted((Path(origin).parent / "data" / service).iterdir())[-1]
    model = json.loads(gzip.decompress((folder / "service-2.json.gz").read_bytes()))
    return [
        Tool(
            name=f"{service}_{name}",
            description=_plain(operation.get("documentation", "")),
            input_schema=_aws_schema(operation.get("input"), model["shapes"]) or {"type": "object"},
            output_schema=_aws_schema(operation.get("output"), model["shapes"]),
        )
        for name, operation in model["operations"].items()
    ]


def _aws_schema(reference: Json | None, shapes: Json) -> Json | None:
    if reference is None:
        return None
    found: Json = {}

    def schema(name: str) -> Json:
        shape = shapes[name]
        match shape["type"]:
            case "structure":
                properties = {key: member(value) for key, value in shape["members"].items()}
                return {"type": "object", "properties": properties} | _required(shape)
            case "list":
                return {"type": "array", "items": member(shape["member"])} | _bounds(shape, "Items")
            case "map":
                return {"type": "object", "additionalProperties": member(shape["value"])}
            case "string":
                return {"type": "string"} | ({"enum": shape["enum"]} if "enum" in shape else _bounds(shape, "Length"))
            case kind:
                return _AWS_SCALARS[kind]

    def member(value: Json) -> Json:
        name = value["shape"]
        noted = {"description": _plain(value["documentation"])} if "documentation" in value else {}
        if shapes[name]["type"] in ("structure", "list", "map"):
            if name not in found:
                found[name] = True
                found[name] = schema(name)
            return {"$ref": f"#/$defs/{name}", **noted}
        return {**schema(name), **noted}

    root = schema(reference["shape"])
    return {**root, "$defs": found} if found else root


def _required(shape: Json) -> Json:
    return {"required": shape["required"]} if shape.get("required") else {}


def _bounds(shape: Json, what: str) -> Json:
    found = {f"min{what}": shape.get("min"), f"max{what}": shape.get("max"), "pattern": shape.get("pattern")}
    return {key: value for key, value in found.items() if value is not None and (key != "pattern" or what == "Length")}


def _plain(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())

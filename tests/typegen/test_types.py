"""What each keyword of JSON Schema becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from typegen import JsonValue, Tool, declare, type_of

if TYPE_CHECKING:
    from tests.typegen.conftest import Compiler

Json = Any  # schemas in many spellings

USER: Json = {"type": "object", "properties": {"login": {"type": "string"}}, "required": ["login"]}
TYPES: list[tuple[Json, str]] = [
    ({"type": "string"}, "string"),
    ({"type": "integer"}, "number"),
    ({}, "unknown"),
    (True, "unknown"),
    (False, "never"),
    ({"type": ["string", "null"]}, "string|null"),
    ({"type": "string", "nullable": True}, "string|null"),
    ({"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}, "string|null"),
    ({"oneOf": [{"type": "null"}, {"type": "string"}]}, "string|null"),
    ({"enum": ["a", "b", None]}, '"a"|"b"|null'),
    ({"type": "string", "enum": ["a", 1, None]}, '"a"'),
    ({"enum": [True, False]}, "boolean"),
    ({"const": {"kind": "x", "at": [1, 2]}}, '{ kind: "x"; at: [1, 2] }'),
    ({"type": "array"}, "unknown[]"),
    ({"type": "array", "items": {"type": ["string", "null"]}}, "(string|null)[]"),
    ({"type": "array", "items": {"enum": ["p", "q"]}}, '("p"|"q")[]'),
    ({"type": ["array", "null"], "items": {"type": "string"}}, "string[]|null"),
    ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}], "items": False}, "[string?, number?]"),
    (
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}], "minItems": 1},
        "[string, number?, ...unknown[]]",
    ),
    (
        {"type": "array", "items": [{"type": "string"}], "additionalItems": {"enum": [1, 2]}, "minItems": 1},
        "[string, ...(1|2)[]]",
    ),
    ({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}, "[number, number]"),
    ({"type": "object"}, "Record<string, unknown>"),
    ({"type": "object", "properties": {}, "additionalProperties": False}, "Record<string, never>"),
    ({"type": "object", "additionalProperties": {"type": "number"}}, "Record<string, number>"),
    ({"type": "object", "patternProperties": {"^.*$": {"type": "number"}}}, "Record<string, number>"),
    ({"type": "object", "patternProperties": {"^x-": {"type": "number"}}}, "{ [k: `x-${string}`]: number }"),
    (
        {"type": "object", "patternProperties": {"^\\d+$": {"type": "number"}}, "additionalProperties": False},
        "Record<string, number>",
    ),
    (
        {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": {"type": "number"}},
        '{ [k in "a"|"b"]?: number }',
    ),
    (
        {
            "type": "object",
            "propertyNames": {"enum": ["a", "b"]},
            "additionalProperties": {"type": "number"},
            "required": ["a", "b"],
        },
        '{ [k in "a"|"b"]: number }',
    ),
    ({"type": ["object", "null"], "properties": {"k": {"type": "string"}}}, "{ k?: string }|null"),
    (
        {"type": "object", "properties": {"it's": {"type": "string"}, "a-b": True}},
        '{ "it\'s"?: string; "a-b"?: unknown }',
    ),
    ({"type": "object", "properties": {"a": USER}, "required": ["a", "b"]}, "{ a: { login: string }; b: unknown }"),
    (
        {"type": "object", "properties": {"id": {"type": "string"}}, "additionalProperties": {"type": "number"}},
        "{ id?: string; [k: string]: number|string|undefined }",
    ),
    (
        {"allOf": [USER, {"type": "object", "properties": {"id": {"type": "number"}}}]},
        "{ login: string; id?: number }",
    ),
    (
        {
            "type": "object",
            "properties": {"a": {"type": "string"}},
            "allOf": [{"required": ["a"]}, {"description": "x"}],
        },
        "{ a: string }",
    ),
    (
        {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        "{ a?: string; b?: string } & ({ a: unknown }|{ b: unknown })",
    ),
    (
        {"type": "array", "items": {"allOf": [USER, {"type": "object", "additionalProperties": {"type": "string"}}]}},
        "({ login: string } & Record<string, string>)[]",
    ),
    (
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}},
        "{ a?: string }",
    ),
    (
        {"type": "object", "properties": {"a": {"$ref": "#/definitions/a~1b%20c"}}, "definitions": {"a/b c": USER}},
        "{ a?: { login: string } }",
    ),
    (
        {"type": "object", "properties": {"a": {"$ref": "#user"}}, "$defs": {"U": {"$anchor": "user", **USER}}},
        "{ a?: { login: string } }",
    ),
    (
        {"type": "object", "properties": {"a": {"$ref": "U"}}, "$defs": {"U": {"$id": "U", **USER}}},
        "{ a?: { login: string } }",
    ),
    ({"$ref": "https://example.com/schema.json"}, "unknown"),
    ({"$ref": "#/$defs/Missing"}, "unknown"),
    ({"if": {"type": "string"}, "then": {"const": "a"}, "else": {"type": "number"}}, '"a"|number'),
    ({"type": "int"}, "number"),
    ({"type": "object", "properties": {"a": {"type": "string", "required": True}}}, "{ a: string }"),
]


@pytest.mark.parametrize(("schema", "expected"), TYPES)
def test_a_schema_becomes_the_type_that_accepts_what_it_accepts(schema: Json, expected: str) -> None:
    assert type_of(schema) == f"type T = {expected}"


def test_the_compiler_accepts_every_type(compiler: Compiler) -> None:
    types = [type_of(schema) for schema, _ in TYPES]

    source = "\n".join(f"namespace N{at} {{ {text} }}" for at, text in enumerate(types))

    assert compiler.errors(source) == {}


def test_a_type_that_contains_itself_is_named_and_emitted_once() -> None:
    tree: Json = {
        "type": "object",
        "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}, "up": {"$ref": "#"}},
    }

    assert type_of(tree) == "type T = T2\ntype T2 = { kids?: T2[]; up?: T2 }"


def test_a_map_of_itself_is_not_written_as_a_record(compiler: Compiler) -> None:
    """An alias that refers to itself through ``Record`` is circular (TS2456)."""
    schema: Json = {
        "$ref": "#/$defs/Json",
        "$defs": {
            "Json": {"type": "object", "properties": {"all": {"$ref": "#/$defs/Map"}}},
            "Map": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Json"}},
        },
    }

    text = type_of(schema)

    assert "all?: { [k: string]: Json }" in text
    assert compiler.errors(text) == {}


def test_a_shared_type_is_emitted_once_under_the_name_it_is_referred_to_by() -> None:
    person: Json = {"type": "object", "properties": {name: {"type": "string"} for name in ("login", "name", "email")}}
    schema: Json = {
        "type": "object",
        "properties": {
            "author": {"$ref": "#/$defs/simple-user"},
            "reviewers": {"type": "array", "items": {"$ref": "#/$defs/simple-user"}},
        },
        "$defs": {"simple-user": person},
    }

    assert type_of(schema) == (
        "type T = { author?: SimpleUser; reviewers?: SimpleUser[] }\n"
        "type SimpleUser = { login?: string; name?: string; email?: string }"
    )


def test_what_a_type_cannot_say_is_said_beside_it() -> None:
    properties: dict[str, JsonValue] = {
        "per_page": {"type": "integer", "minimum": 1, "maximum": 100, "default": 30, "description": "Page size."},
        "since": {"type": "string", "format": "date-time", "examples": ["2026-01-01T00:00:00Z"]},
        "slug": {"type": "string", "pattern": "^[a-z]*/", "maxLength": 40, "deprecated": True},
        "ids": {"type": "array", "items": {"type": "string", "format": "uuid"}, "minItems": 1, "uniqueItems": True},
    }
    tool = Tool(name="t", description="List. And more.", input_schema={"type": "object", "properties": properties})

    assert (
        declare(tool, identifier="s_t").text
        == """/** List. */
s_t(args?: {
per_page?: number // Page size. (1..100, default 30)
since?: string // date-time, e.g. "2026-01-01T00:00:00Z"
slug?: string // deprecated, <=40 chars, /^[a-z]*\\//
ids?: string[] // >=1 items, unique, each uuid
}): Promise<unknown>"""
    )


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object"}, "s_t(): Promise<unknown>"),
        ({"type": "object", "properties": {}, "additionalProperties": False}, "s_t(): Promise<unknown>"),
        ({"type": "object", "properties": {"a": True}}, "s_t(args?: { a?: unknown }): Promise<unknown>"),
        (
            {"type": "object", "properties": {"a": True}, "required": ["a"]},
            "s_t(args: { a: unknown }): Promise<unknown>",
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            "s_t(args?: Record<string, string>): Promise<unknown>",
        ),
    ],
)
def test_arguments_may_be_left_out_when_none_is_required(schema: dict[str, JsonValue], expected: str) -> None:
    assert declare(Tool(name="t", input_schema=schema), identifier="s_t").text == expected


def test_a_learned_result_is_marked() -> None:
    tool = Tool(name="t", input_schema={}, output_schema={"type": "string"}, is_output_learned=True)

    assert declare(tool, identifier="s_t").text == "s_t(args: unknown): Promise<string> // learned from results"

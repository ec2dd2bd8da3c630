"""Text and schemas from servers that mean harm (comments, literals, schema bombs, invisible characters)."""

from __future__ import annotations

import gc
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from typegen import JsonObject, JsonValue, Tool, declare, declare_module, type_of
from typegen._declare import _Cache

if TYPE_CHECKING:
    from tests.typegen.conftest import Compiler

Json = Any  # what a server may send, schema or not

TEXTS = (
    "*/ globalThis.x = 1 /*",
    "**//**/ x",
    "` ${process.env.SECRET} \\",
    "one\ntwo\r\nthree\u2028four\u2029five",
    "</script><script>alert(1)</script>",
    "@ts-expect-error",
    "first\n@ts-ignore",
    "'; }; declare const evil: any; type X = {",
    '"quoted" // comment',
    "/// <reference path='x' />",
    "#!/usr/bin/env node",
    "hidden \U000e0049\U000e0067\U000e006e text \u200b\u202e\ufeff",
    "\ud800 lone",
    "[a-z]*",
    "\x00\x01\x04\x05 marks 0\x02",
)


def hostile(text: str) -> Tool:
    """A tool with ``text`` wherever a server may write."""
    inner: JsonObject = {
        "type": "object",
        "description": text,
        "title": text,
        "properties": {
            text: {"type": "string", "description": text, "pattern": text, "format": text, "default": text},
            "list": {"type": "array", "items": {"enum": [text, f"{text}2"], "description": text}},
            "const": {"const": text, "examples": [text]},
            "map": {"type": "object", "patternProperties": {f"^{text}": {"type": "string"}}},
            "self": {"$ref": f"#/$defs/{text}"},
        },
        "required": [text],
    }
    schema: JsonObject = {"type": "object", "properties": {text: inner, "b": inner}, "$defs": {text: inner, "T": inner}}
    return Tool(name=text, description=text, input_schema=schema, output_schema=schema)


def test_hostile_text_stays_text(compiler: Compiler) -> None:
    tools = [(f"s_t{at}", hostile(text)) for at, text in enumerate(TEXTS)]
    compact = [declare(tool, identifier=name, token_budget=budget) for name, tool in tools for budget in (None, 1000)]
    methods = [text.text.split("\ntype ") for text in compact]
    wrapped = [
        f"namespace N{at} {{ declare const c: {{\n{lines[0]}\n}}\n"
        + "\n".join(f"type {line}" for line in lines[1:])
        + "}"
        for at, lines in enumerate(methods)
    ]

    # The last line proves that nothing before it swallowed or silenced the compiler.
    source = "\n".join([*wrapped, "const last: number = 'text'"])

    assert [compiler.errors(source)[len(source.split("\n"))][:14]] == ["error TS2322: "[:14]]
    assert len(compiler.errors(source)) == 1
    assert compiler.errors(declare_module(tools), name="module.d.ts") == {}


@pytest.mark.parametrize("text", TEXTS)
def test_no_invisible_character_reaches_a_declaration(text: str) -> None:
    shown = declare(hostile(text), identifier="s_t").text

    assert shown.replace("\n", "").isprintable()


def bomb_of_references() -> JsonObject:
    """Each definition uses the next twice: written out, it is 2**60 objects."""
    definitions: JsonObject = {
        f"D{at}": {"type": "object", "properties": {name: {"$ref": f"#/$defs/D{at + 1}"} for name in ("a", "b")}}
        for at in range(60)
    }
    return {"$ref": "#/$defs/D0", "$defs": definitions | {"D60": {"type": "string"}}}


def bomb_of_intersections() -> JsonObject:
    definitions: JsonObject = {
        f"D{at}": {
            "allOf": [{"$ref": f"#/$defs/D{at + 1}"}] * 2,
            "anyOf": [{"$ref": f"#/$defs/D{at + 1}"}, {"type": "null"}],
        }
        for at in range(60)
    }
    return {
        "$ref": "#/$defs/D0",
        "$defs": definitions | {"D60": {"type": "object", "properties": {"a": {"type": "string"}}}},
    }


def nested(keyword: str, levels: int) -> JsonObject:
    schema: JsonValue = {"type": "string"}
    for _ in range(levels):
        match keyword:
            case "properties":
                schema = {"type": "object", "properties": {"a": schema}}
            case "items":
                schema = {"type": "array", "items": schema}
            case _:
                schema = {keyword: [schema, {"type": "object"}]}
    assert isinstance(schema, dict)
    return schema


BOMBS: dict[str, Any] = {
    "references that double": bomb_of_references(),
    "intersections that double": bomb_of_intersections(),
    "a reference to itself": {"$ref": "#"},
    "a ring of references": {
        "$ref": "#/$defs/A",
        "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"allOf": [{"$ref": "#/$defs/A"}]}},
    },
    "unions of itself": {"anyOf": [{"$ref": "#"}, {"type": "array", "items": {"$ref": "#"}}]},
    "a hundred thousand literals": {"enum": [f"value {at}" for at in range(100_000)]},
    "a hundred thousand literals of ten thousand types that there are not": {
        "type": [f"type {at}" for at in range(10_000)],
        "enum": [f"value {at}" for at in range(100_000)],
    },
    "a hundred thousand properties": {
        "type": "object",
        "properties": {f"p{at}": {"type": "string"} for at in range(100_000)},
    },
    "a hundred thousand alternatives": {
        "anyOf": [{"type": "object", "properties": {f"p{at}": {}}} for at in range(100_000)]
    },
    "objects two thousand deep": nested("properties", 2_000),
    "arrays two thousand deep": nested("items", 2_000),
    "allOf two thousand deep": nested("allOf", 2_000),
    "anyOf two thousand deep": nested("anyOf", 2_000),
    "products of unions": {
        "allOf": [{"anyOf": [{"type": "object", "properties": {f"p{a}{b}": {}}} for a in range(12)]} for b in range(12)]
    },
    "a pattern that backtracks": {"type": "object", "patternProperties": {"^" + "a" * 20_000 + "!(a+)+$": {}}},
    "a million characters": {
        "type": "object",
        "description": "x" * 10**6,
        "properties": {"a": {"description": "y " * 10**6}},
    },
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_schema_bomb_is_declared_in_bounded_time_and_size(name: str, compiler: Compiler) -> None:
    schema = BOMBS[name]
    tool = Tool(name="t", input_schema={"type": "object", "properties": {"a": schema}}, output_schema=schema)
    started = time.process_time()

    compact = declare(tool, identifier="s_t")
    whole = type_of(schema)

    assert time.process_time() - started < 5
    assert len(compact.text) < 4_000
    assert len(whole) < 1_000_000
    assert compiler.errors(whole) == {}


def circular() -> Tool:
    schema: JsonObject = {}
    schema["self"] = schema
    return Tool(name="t", input_schema=schema)


def test_no_two_tools_whose_schemas_cannot_be_written_are_taken_for_one() -> None:
    digests = {circular().digest for _ in range(10)}

    assert len(digests) == 10


def test_a_declaration_that_is_kept_holds_no_schema() -> None:
    tool = Tool(name="t", input_schema={"type": "object"}, description="Known by its content.")
    known = weakref.ref(tool)
    first = declare(tool, identifier="s_t")

    del tool
    gc.collect()

    assert known() is None
    equal = Tool(name="t", input_schema={"type": "object"}, description="Known by its content.")
    assert declare(equal, identifier="s_t") is first


def test_the_oldest_declarations_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typegen._declare._CACHE", _Cache(max_chars=3_000))
    tools = [Tool(name="t", input_schema={}, description=f"{number} {'x' * 400}") for number in range(4)]
    first = [declare(tool, identifier="s_t", token_budget=None) for tool in tools]

    again = [declare(tool, identifier="s_t", token_budget=None) for tool in reversed(tools)]

    assert [one is other for one, other in zip(first, reversed(again), strict=True)] == [False, True, True, True]


BROKEN: list[Any] = [
    {"type": 5, "properties": [], "required": "x", "enum": "a", "items": "b"},
    {"type": "object", "properties": {"a": 1, "b": None, "c": [], "d": "string"}, "required": [1, None, "a"]},
    {"type": ["object", 3, None], "additionalProperties": "x", "patternProperties": []},
    {"anyOf": {}, "allOf": "x", "oneOf": [None, 3], "$ref": 7, "$defs": []},
    {"type": "array", "prefixItems": {}, "items": 3, "minItems": "two", "maxItems": -1},
    {
        "type": "object",
        "properties": {"a": {"minimum": "x", "maximum": float("nan"), "default": float("inf"), "enum": [float("nan")]}},
    },
    {"enum": [], "const": None},
    {"$ref": "#/$defs/~2", "$id": 3, "$anchor": []},
    {"$ref": "http://[bad", "$id": "http://[worse"},
]


@pytest.mark.parametrize("schema", BROKEN)
def test_a_schema_that_is_no_schema_is_still_declared(schema: Json, compiler: Compiler) -> None:
    tool = Tool(name="t", input_schema=schema, output_schema=schema)

    text = declare(tool, identifier="s_t", token_budget=None).text

    assert compiler.errors(f"declare const c: {{ {text} }}") == {}

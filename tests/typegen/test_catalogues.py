"""Whole catalogues: the compiler accepts every declaration, none has a known fault, and each keeps to its budget."""

from __future__ import annotations

import importlib
import re
import statistics
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests.typegen._catalogues import aws_tools, github_tools
from typegen import (
    DEFAULT_TOKEN_BUDGET,
    Declaration,
    Tool,
    declare,
    declare_module,
    estimate_tokens,
    identifier_for,
    type_of,
    unfold,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.typegen.conftest import Compiler

Json = Any  # a node of somebody's schema

CATALOGUES = {"github": github_tools, "aws": aws_tools}


@cache
def tools_of(catalogue: str) -> tuple[tuple[str, Tool], ...]:
    return tuple((identifier_for(catalogue, tool.name), tool) for tool in CATALOGUES[catalogue]())


@cache
def encoding() -> Json:
    with warnings.catch_warnings():  # the tokeniser opens its data in a way that Python deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("bpe_openai").get_encoding("o200k_base")


def tokens(text: str) -> int:
    return len(encoding().encode(text))


def compilable(declarations: list[Declaration]) -> str:
    """Each declaration in a namespace of its own, with what it folded as ``unknown``."""
    spaces = []
    for at, one in enumerate(declarations):
        signature, *types = one.text.split("\ntype ")
        named = [f"type {text}" for text in types] + [f"type {name} = unknown" for name in one.stubs]
        spaces.append("\n".join([f"namespace N{at} {{", "declare const codemode: {", signature, "}", *named, "}"]))
    return "\n".join(spaces)


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_the_compiler_accepts_every_declaration(catalogue: str, compiler: Compiler) -> None:
    for budget in (DEFAULT_TOKEN_BUDGET, 60, None):
        declarations = [declare(tool, identifier=name, token_budget=budget) for name, tool in tools_of(catalogue)]

        assert compiler.errors(compilable(declarations)) == {}


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_no_declaration_has_a_known_fault(catalogue: str) -> None:
    """What @cloudflare/codemode 0.5.6 gets wrong in hundreds of these tools, silently: the compiler accepts it."""
    faults = [
        (tool.name, fault)
        for _, tool in tools_of(catalogue)
        for schema in (tool.input_schema, tool.output_schema)
        if schema
        for fault in _faults(schema, schema.get("$defs", {}))
    ]

    assert faults == []


def _faults(schema: Json, definitions: Json) -> Iterator[str]:
    """Find lost nulls, lost item types, unparenthesised unions in arrays, and properties lost beside alternatives."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        if not isinstance(node, dict):
            continue
        waiting.extend(
            value for key, value in node.items() if key not in {"enum", "default", "required", "description"}
        )
        kinds = node.get("type")
        if not (isinstance(kinds, list) or kinds == "array" or {"anyOf", "oneOf", "allOf"} & node.keys()):
            continue
        text = type_of({**node, "$defs": definitions}).split("\n")[0]
        if (
            isinstance(kinds, list)
            and "null" in kinds
            and "enum" not in node
            and not re.search(r"\bnull$|unknown$", text)
        ):
            yield f"null is lost: {text}"
        if isinstance(kinds, list) and "array" in kinds and node.get("items") and "unknown[]" in text:
            yield f"items are lost: {text}"
        if kinds == "array" and not node.get("nullable") and re.search("[|&]", _without_groups(text)):
            yield f"no parentheses: {text}"
        if {"anyOf", "oneOf", "allOf"} & node.keys():
            lost = [name for name in node.get("properties", {}) if name not in type_of({**node, "$defs": definitions})]
            if lost:
                yield f"properties are lost: {lost}"


def _without_groups(text: str) -> str:
    text = re.sub(r'"(?:[^"\\]|\\.)*"', "s", text)
    while (shorter := re.sub(r"\{[^{}()]*\}|\([^{}()]*\)|<[^<>{}()]*>|\[[^\[\]{}()]+\]", "g", text)) != text:
        text = shorter
    return text


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_the_compiler_accepts_the_catalogue_as_a_module(catalogue: str, compiler: Compiler) -> None:
    assert compiler.errors(declare_module(tools_of(catalogue)), name="module.d.ts") == {}


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_declarations_keep_to_their_budget(catalogue: str) -> None:
    sizes = sorted(tokens(declare(tool, identifier=name).text) for name, tool in tools_of(catalogue))

    assert statistics.median(sizes) <= DEFAULT_TOKEN_BUDGET * 0.85
    assert sizes[len(sizes) * 95 // 100] <= DEFAULT_TOKEN_BUDGET * 1.1
    assert sizes[-1] <= DEFAULT_TOKEN_BUDGET * 1.6  # required parameters are never left out


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_tokens_are_estimated_nearly_enough_to_hold_a_budget(catalogue: str) -> None:
    texts = [declare(tool, identifier=name).text for name, tool in tools_of(catalogue)[::5]]

    ratios = sorted(estimate_tokens(text) / tokens(text) for text in texts)

    assert 0.95 < statistics.mean(ratios) < 1.05
    assert ratios[len(ratios) // 20] > 0.88
    assert ratios[-len(ratios) // 20] < 1.15


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_every_parameter_is_named_and_required_ones_are_typed(catalogue: str) -> None:
    for name, tool in tools_of(catalogue):
        text = declare(tool, identifier=name).text
        for parameter in _names(tool, "properties"):
            assert re.search(rf"\b{re.escape(parameter)}\b", text) or "more */" in text, (name, parameter)
        for parameter in _names(tool, "required"):
            assert re.search(rf'\b{re.escape(parameter)}"?: ', text), (name, parameter)


def _names(tool: Tool, keyword: str) -> list[str]:
    found = tool.input_schema.get(keyword, ())
    return [name for name in found if isinstance(name, str)] if isinstance(found, dict | list) else []


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_a_declaration_is_complete_exactly_when_nothing_is_left_out(catalogue: str) -> None:
    for name, tool in tools_of(catalogue)[::7]:
        one = declare(tool, identifier=name)

        assert one.complete == (not one.stubs and "/* also: " not in one.text)
        assert all(re.search(rf"\b{stub}\b", one.text) for stub in one.stubs)
        assert declare(tool, identifier=name, token_budget=None).complete


def test_a_folded_type_is_unfolded_by_its_name_or_by_depth() -> None:
    name, tool = next(pair for pair in tools_of("github") if pair[1].name == "issues_get")
    folded = declare(tool, identifier=name)

    assert "SimpleUser" in folded.stubs
    assert (unfold(tool, identifier=name, stub="SimpleUser") or "").startswith("type SimpleUser = {")
    assert unfold(tool, identifier=name, stub="Nothing") is None
    deeper = [declare(tool, identifier=name, token_budget=4_000, depth=depth) for depth in (0, 1, 2)]
    assert len(deeper[0].stubs) > len(deeper[1].stubs)
    assert len(deeper[0].text) < len(deeper[1].text) < len(deeper[2].text)


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_the_module_is_smaller_than_what_peers_generate(catalogue: str) -> None:
    """@cloudflare/codemode 0.5.6 needs 1,579,059 tokens for GitHub's inputs and outputs."""
    text = declare_module(tools_of(catalogue))

    size = sum(tokens(text[at : at + 100_000]) for at in range(0, len(text), 100_000))
    assert size < {"github": 400_000, "aws": 1_000_000}[catalogue]

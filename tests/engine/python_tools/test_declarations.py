"""What is declared of a typed Python function, and what cannot be a tool."""

from __future__ import annotations

import functools
import threading
from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal

import pytest
from pydantic import Field

from portico import (
    CodeMode,
    ToolDefinitionError,
    Tools,
)
from tests.engine.python_tools.shop import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal

    from portico import JsonValue, Sandbox


PATIENCE_S = 20.0


async def schema_of(tools: Tools) -> Mapping[str, JsonValue]:
    (tool,) = await tools.list_tools()
    return tool.input_schema


async def test_annotations_and_docstring_become_the_declaration(tools: Tools, sandbox: Sandbox) -> None:
    @tools.tool(read_only=True)
    def find_orders(
        customer: str, state: Literal["open", "sent"] = "open", max_price: Annotated[float, Field(gt=0)] = 99.5
    ) -> list[Line]:
        """Find the orders of a customer.

        Newest first.

        Args:
            customer: Name, or
                a part of it.
            max_price (float): In euros.

        Returns:
            The lines.
        """
        return []

    async with CodeMode(tools, sandbox=sandbox) as code_mode:
        types = code_mode.types()

    assert "/** Find the orders of a customer. Newest first. */" in types
    assert "/** Name, or a part of it. */\n      customer: string;" in types
    assert 'state?: "open"|"sent";' in types
    assert "In euros." in types
    assert "count: number;" in types
    assert "Returns" not in types


async def test_a_numpy_docstring_describes_parameters_too(tools: Tools) -> None:
    @tools.tool
    def move(x: int, y: int, speed: Annotated[int, Field(description="Metres a second")] = 1) -> None:
        """Move the arm.

        Parameters
        ----------
        x, y : int
            Where to.
        speed : int
            Not this text.

        Raises
        ------
        ValueError
            When it is stuck.
        """

    (tool,) = await tools.list_tools()
    properties = tool.input_schema["properties"]

    assert tool.description == "Move the arm."
    assert isinstance(properties, dict)
    assert properties == {
        "x": {"type": "integer", "description": "Where to."},
        "y": {"type": "integer", "description": "Where to."},
        "speed": {"type": "integer", "description": "Metres a second", "default": 1},
    }


async def test_any_other_docstring_is_the_description(tools: Tools) -> None:
    @tools.tool
    def weigh(sku: str) -> float:
        """Weigh an article.

        Note: in grams
        """
        return 1.0

    (tool,) = await tools.list_tools()

    assert tool.description == "Weigh an article.\n\nNote: in grams"


async def test_facts_about_a_tool_are_its_annotations_and_nothing_is_made_up(tools: Tools) -> None:
    @tools.tool(read_only=True, open_world=False)
    def look() -> None: ...

    @tools.tool(destructive=True, idempotent=True)
    def wipe() -> None: ...

    @tools.tool
    def silent() -> None: ...

    assert [tool.annotations for tool in await tools.list_tools()] == [
        {"readOnlyHint": True, "openWorldHint": False},
        {"destructiveHint": True, "idempotentHint": True},
        None,
    ]


async def test_no_other_argument_is_taken_and_defaults_are_named(tools: Tools) -> None:
    @tools.tool
    def put(sku: str, tags: list[str] = [], marker: object = object()) -> None:  # noqa: B006
        ...

    assert await schema_of(tools) == {
        "type": "object",
        "properties": {
            "sku": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}, "default": []},
            "marker": {},
        },
        "required": ["sku"],
        "additionalProperties": False,
    }


async def test_a_parameter_may_have_the_name_of_something_else(tools: Tools) -> None:
    @tools.tool
    def put(from_: Annotated[str, Field(alias="from")], json: int, self_: int, _hidden: int = 0) -> str:
        return from_ + str(json + self_)

    result = await tools.call_tool("put", {"from": "a", "json": 1, "self_": 2})

    assert result["structuredContent"] == "a3"


async def test_a_function_without_a_result_annotation_promises_nothing(tools: Tools) -> None:
    @tools.tool
    def free(order: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
        return Line("tea") if order else {"at": date(2026, 1, 1)}

    (tool,) = await tools.list_tools()

    assert tool.output_schema is None
    assert (await tools.call_tool("free", {"order": 1}))["structuredContent"] == {"sku": "tea", "count": 1}
    assert (await tools.call_tool("free", {"order": 0}))["structuredContent"] == {"at": "2026-01-01"}


async def test_a_field_with_a_default_may_be_left_out_of_arguments_and_is_always_in_results(tools: Tools) -> None:
    @tools.tool
    def same(line: Line) -> Line:
        return line

    (tool,) = await tools.list_tools()
    definitions = tool.input_schema["$defs"]

    assert isinstance(definitions, dict)
    assert isinstance(definitions["Line"], dict)
    assert definitions["Line"]["required"] == ["sku"]
    assert tool.output_schema is not None
    assert tool.output_schema["required"] == ["sku", "count"]


def star(*names: str) -> None: ...
def stars(**names: str) -> None: ...
def positional(name: str, /) -> None: ...
def untyped(name) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def hidden_type(price: Decimal) -> None: ...
def without_json(lock: threading.Lock) -> None: ...
def result_without_json() -> threading.Lock: ...  # type: ignore[empty-body]
def yields() -> Sequence[int]:  # type: ignore[misc]
    yield 1


@pytest.mark.parametrize(
    ("function", "advice"),
    [
        (star, "write a list or dict in place of *names"),
        (stars, "write a list or dict in place of **names"),
        (positional, "remove the / after name"),
        (untyped, "the parameter name has no annotation: write its type"),
        (hidden_type, 'the type "Decimal" in its annotations is not known'),
        (without_json, "the parameter lock has a type without a JSON form"),
        (result_without_json, "its result has a type without a JSON form"),
        (yields, "return a list"),
        (lambda: None, "give it one of letters"),
        (functools.partial(star), "give it one of letters"),
    ],
)
def test_a_function_that_cannot_be_a_tool_says_what_to_change(
    tools: Tools, function: Callable[..., object], advice: str
) -> None:
    with pytest.raises(ToolDefinitionError) as refusal:
        tools.tool(function)

    assert advice in str(refusal.value)


def test_two_tools_of_one_name_are_refused(tools: Tools) -> None:
    tools.tool(name="pay")(lambda: None)

    with pytest.raises(ToolDefinitionError, match="has a tool pay already"):
        tools.tool(name="pay")(lambda: None)


def test_a_tool_that_reads_only_and_destroys_is_refused(tools: Tools) -> None:
    with pytest.raises(ToolDefinitionError, match="contradict"):
        tools.tool(name="pay", read_only=True, destructive=True)(lambda: None)


@pytest.mark.parametrize("wrong", ["", "Shop", "my shop", "-shop", "shop.1"])
def test_an_id_is_lower_case_letters_digits_and_hyphens(wrong: str) -> None:
    with pytest.raises(ToolDefinitionError, match="lower-case"):
        Tools(wrong)


def test_an_underscore_in_an_id_is_a_hyphen_as_in_a_configuration() -> None:
    assert Tools("my_shop").id == "my-shop"

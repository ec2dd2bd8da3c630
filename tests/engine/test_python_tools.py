"""Typed Python functions as tools of programs: what is declared of them, how they are called, how they fail."""

from __future__ import annotations

import functools
import logging
import sys
import threading
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Literal

import anyio
import pytest
from pydantic import BaseModel, Field

from portico import (
    CodeMode,
    EngineLimits,
    Limits,
    Provider,
    Tool,
    ToolDefinitionError,
    ToolFailure,
    Tools,
    UpstreamError,
)

if sys.version_info >= (3, 12):
    from typing import TypedDict
else:
    from typing_extensions import TypedDict  # pydantic asks for it

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from decimal import Decimal

    from portico import Answer, JsonObject, JsonValue, Sandbox

PATIENCE_S = 20.0


class State(Enum):
    OPEN = "open"
    SENT = "sent"


class Address(TypedDict):
    street: str
    city: str


@dataclass
class Line:
    """One article of an order."""

    sku: str
    count: int = 1


class Order(BaseModel):
    id: int
    state: State
    placed: datetime
    lines: list[Line] = Field(default_factory=list)


@pytest.fixture
def tools() -> Tools:
    return Tools("shop")


@pytest.fixture
def run(tools: Tools, sandbox: Sandbox) -> Callable[[str], Awaitable[Answer]]:
    """Run a program over the tools that the test has added by then."""

    async def run_program(program: str) -> Answer:
        async with CodeMode(tools, sandbox=sandbox) as code_mode:
            return await code_mode.run(program)

    return run_program


async def schema_of(tools: Tools) -> Mapping[str, JsonValue]:
    (tool,) = await tools.list_tools()
    return tool.input_schema


# The functions


async def test_a_program_calls_typed_functions_and_gets_what_they_return(
    tools: Tools, run: Callable[[str], Awaitable[Answer]]
) -> None:
    @tools.tool
    def find_orders(customer: str, limit: int = 10) -> list[Order]:
        placed = datetime.fromisoformat("2026-01-02T03:04:05")
        order = Order(id=limit, state=State.OPEN, placed=placed, lines=[Line(customer)])
        return [order]

    answer = await run('(await codemode.shop_find_orders({ customer: "ada" }))[0]')

    assert answer.text == '{"id":10,"state":"open","placed":"2026-01-02T03:04:05","lines":[{"sku":"ada","count":1}]}'
    assert [(call.identifier, call.status) for call in answer.run.calls] == [("shop_find_orders", "ok")]


async def test_arguments_arrive_as_the_types_of_the_annotations(
    tools: Tools, run: Callable[[str], Awaitable[Answer]]
) -> None:
    seen: list[object] = []

    @tools.tool
    async def order(
        state: State, lines: list[Line], to: Address, by: date | None = None, when: date | None = None
    ) -> None:
        seen.extend([state, lines, to, by, when])

    answer = await run("""
        const to = { street: "1 High St", city: "York" };
        codemode.shop_order({ state: "sent", lines: [{ sku: "tea" }], to, by: "2026-03-01" })
    """)

    assert seen == [State.SENT, [Line("tea", 1)], {"street": "1 High St", "city": "York"}, date(2026, 3, 1), None]
    assert answer.text == "null"


async def test_an_asynchronous_function_runs_on_the_loop_and_a_synchronous_one_in_a_thread(
    tools: Tools, run: Callable[[str], Awaitable[Answer]]
) -> None:
    here = threading.get_ident()

    @tools.tool
    async def on_loop() -> bool:
        return threading.get_ident() == here

    @tools.tool
    def in_thread() -> bool:
        return threading.get_ident() != here

    assert (await run("[await codemode.shop_on_loop({}), await codemode.shop_in_thread({})]")).text == "[true,true]"


async def test_calls_that_a_program_makes_together_run_together(
    tools: Tools, run: Callable[[str], Awaitable[Answer]]
) -> None:
    barrier = threading.Barrier(3)

    @tools.tool
    def meet() -> int:
        return barrier.wait(PATIENCE_S) * 0

    answer = await run("Promise.all([1, 2, 3].map(() => codemode.shop_meet({})))")

    assert answer.text == "[0,0,0]"


async def test_the_decorated_function_stays_the_function(tools: Tools) -> None:
    @tools.tool(name="double", title="Double")
    def twice(number: int) -> int:
        return 2 * number

    assert twice(4) == 8
    assert [(tool.name, tool.title) for tool in await tools.list_tools()] == [("double", "Double")]


async def test_methods_and_callable_objects_can_be_tools(tools: Tools, run: Callable[[str], Awaitable[Answer]]) -> None:
    class Till:
        total = 5

        def sum_up(self, plus: int) -> int:
            return self.total + plus

        async def __call__(self, minus: int) -> int:
            return self.total - minus

    tools.tool(Till().sum_up)
    tools.tool(name="refund")(Till())

    assert (
        await run("[await codemode.shop_sum_up({ plus: 1 }), await codemode.shop_refund({ minus: 1 })]")
    ).text == "[6,4]"


async def test_a_returned_image_stands_beside_the_text(tools: Tools, run: Callable[[str], Awaitable[Answer]]) -> None:
    @tools.tool
    def photo(sku: str) -> dict[str, str]:
        return {"type": "image", "data": "aGk=", "mimeType": "image/png"}

    answer = await run('({ sku: "tea", photo: await codemode.shop_photo({ sku: "tea" }) })')

    assert answer.text == '{"sku":"tea","photo":"[image 1]"}'
    assert answer.blocks[1] == {"type": "image", "data": "aGk=", "mimeType": "image/png"}


async def test_text_that_looks_like_json_stays_text(tools: Tools, run: Callable[[str], Awaitable[Answer]]) -> None:
    @tools.tool
    def note() -> str:
        return "[1, 2]"

    assert (await run("typeof await codemode.shop_note({})")).text == "string"


async def test_values_beyond_json_become_the_nearest_json(
    tools: Tools, run: Callable[[str], Awaitable[Answer]]
) -> None:
    @tools.tool
    def values() -> list[float | None]:
        return [float("nan"), 10**30]

    assert (await run("codemode.shop_values({})")).text == "[null,1e+30]"


# What is declared


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


# What cannot be a tool


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


# Failure


async def test_a_function_says_in_its_own_words_why_it_failed(
    tools: Tools, run: Callable[[str], Awaitable[Answer]]
) -> None:
    @tools.tool
    def reserve(sku: str, count: int) -> None:
        raise ToolFailure("only 2 left", code="out_of_stock", data={"left": 2})

    answer = await run("""
        try { await codemode.shop_reserve({ sku: "tea", count: 3 }) }
        catch (error) { return [error.name, error.tool, error.message, error.code, error.data.left] }
    """)

    assert answer.text == '["ToolError","reserve","only 2 left","out_of_stock",2]'


@pytest.mark.parametrize(
    "error", [ValueError("password is hunter2"), SystemExit("hunter2"), ExceptionGroup("hunter2", [OSError()])]
)
async def test_an_exception_is_a_tool_error_whose_text_stays_in_the_log(
    tools: Tools, run: Callable[[str], Awaitable[Answer]], caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    @tools.tool
    def reserve() -> None:
        raise error

    answer = await run("codemode.shop_reserve({})")

    assert answer.is_error
    assert f"shop_reserve: the tool failed ({type(error).__name__})" in answer.text
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text
    assert "hunter2" in caplog.text


async def test_a_result_that_breaks_its_promise_is_an_error(
    tools: Tools, run: Callable[[str], Awaitable[Answer]], caplog: pytest.LogCaptureFixture
) -> None:
    @tools.tool
    def wrong() -> int:
        return "hunter2"  # type: ignore[return-value]

    @tools.tool
    def inside() -> Line:
        return Line(sku="tea", count="hunter2")  # type: ignore[arg-type]

    @tools.tool
    def no_json() -> object:
        return threading.Lock()

    program = "Promise.allSettled(['wrong', 'inside', 'no_json'].map(name => codemode[`shop_${name}`]({})))"
    answer = await run(f"(await {program}).map(outcome => outcome.reason.message)")

    assert answer.text.count("the tool returned something else than it promises") == 3
    assert "hunter2" not in answer.text
    assert caplog.text.count("returned something else than its annotation says") == 3


async def test_arguments_that_json_schema_cannot_judge_are_refused_before_the_function_runs(
    tools: Tools, run: Callable[[str], Awaitable[Answer]]
) -> None:
    @tools.tool
    def since(day: date) -> None:
        raise AssertionError("called")

    answer = await run('codemode.shop_since({ day: "tomorrow" })')

    assert 'shop_since: "day": Input should be a valid date' in answer.text


async def test_a_direct_call_is_checked_as_a_program_s_is(tools: Tools) -> None:
    @tools.tool
    def since(day: int) -> None:
        raise AssertionError("called")

    result = await tools.call_tool("since", {"days": 1})

    assert result["isError"] is True
    assert result["content"] == [{"type": "text", "text": 'unknown "days" (did you mean day?); missing "day"'}]
    assert result["structuredContent"] == {"code": "invalid_arguments"}


async def test_a_run_ends_at_its_deadline_whatever_a_thread_does(tools: Tools, sandbox: Sandbox) -> None:
    release = threading.Event()

    @tools.tool
    def stuck() -> None:
        release.wait(PATIENCE_S)

    limits = EngineLimits(run=Limits(wall_s=0.2))
    try:
        with anyio.fail_after(PATIENCE_S / 2):
            async with CodeMode(tools, sandbox=sandbox, limits=limits) as code_mode:
                answer = await code_mode.run("codemode.shop_stuck({})")
    finally:
        release.set()

    assert answer.is_error
    assert answer.run.status == "Stopped (wall_s limit)"


async def test_an_asynchronous_function_is_cancelled_with_its_run(tools: Tools, sandbox: Sandbox) -> None:
    ended: list[str] = []

    @tools.tool
    async def stuck() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    async with CodeMode(tools, sandbox=sandbox, limits=EngineLimits(run=Limits(wall_s=0.2))) as code_mode:
        await code_mode.run("codemode.shop_stuck({})")

    assert ended == ["cancelled"]


# Code mode without a server


@dataclass
class Weather:
    """A provider of its own making."""

    id: str = "weather"
    error: Exception | None = None
    calls: list[str] = field(default_factory=list)

    async def list_tools(self) -> list[Tool]:
        schema: JsonObject = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        return [Tool(name="now", description="The weather now.", input_schema=schema)]

    async def call_tool(self, name: str, arguments: Mapping[str, JsonValue]) -> JsonObject:
        self.calls.append(f"{name} {arguments['city']}")
        if self.error is not None:
            raise self.error
        return {"content": [{"type": "text", "text": "rain"}]}


@pytest.fixture
async def shop_and_weather(tools: Tools, sandbox: Sandbox) -> AsyncIterator[tuple[CodeMode, Weather]]:
    @tools.tool
    def city_of(customer: str) -> str:
        return {"ada": "London"}[customer]

    weather = Weather()
    async with CodeMode(tools, weather, sandbox=sandbox) as code_mode:
        yield code_mode, weather


async def test_one_program_composes_several_providers(shop_and_weather: tuple[CodeMode, Weather]) -> None:
    code_mode, weather = shop_and_weather

    answer = await code_mode.run("""
        const city = await codemode.shop_city_of({ customer: "ada" });
        return `${city}: ${await codemode.weather_now({ city })}`;
    """)

    assert isinstance(weather, Provider)
    assert answer.text == "London: rain"
    assert weather.calls == ["now London"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UpstreamError("no station", server="weather", tool="now"), "weather_now: no station"),
        (OSError("hunter2"), "weather_now: the tool failed (OSError)"),
    ],
)
async def test_what_a_provider_raises_is_a_tool_error(
    shop_and_weather: tuple[CodeMode, Weather], error: Exception, text: str
) -> None:
    code_mode, weather = shop_and_weather
    weather.error = error

    answer = await code_mode.run('codemode.weather_now({ city: "York" })')

    assert text in answer.text
    assert "hunter2" not in answer.text


async def test_a_failed_run_is_resumed_without_its_finished_calls(
    shop_and_weather: tuple[CodeMode, Weather],
) -> None:
    code_mode, weather = shop_and_weather
    call = 'const now = await codemode.weather_now({ city: "York" });'

    failed = await code_mode.run(f"{call} now.missing.field")
    fixed = await code_mode.run(f"{call} now", resume=failed.run.run_id)

    assert fixed.text.startswith("rain")
    assert weather.calls == ["now York"]


@pytest.mark.parametrize(
    ("form", "keys"),
    [
        ("mcp", {"name", "title", "description", "inputSchema", "annotations"}),
        ("anthropic", {"name", "description", "input_schema"}),
        ("openai", {"type", "name", "description", "parameters"}),
        ("openai_chat", {"type", "function"}),
    ],
)
def test_the_definition_of_code_comes_in_the_form_of_each_api(
    tools: Tools, form: Literal["mcp", "anthropic", "openai", "openai_chat"], keys: set[str]
) -> None:
    definition = CodeMode(tools).tool(form)

    assert set(definition) == keys
    assert "tools of these servers: shop." in str(definition)


def test_two_providers_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="same id"):
        CodeMode(Tools("shop"), Tools("shop"))


async def test_code_mode_that_is_not_open_says_how_to_open_it(tools: Tools) -> None:
    with pytest.raises(RuntimeError, match="async with CodeMode"):
        await CodeMode(tools).run("1 + 1")


async def test_code_mode_opens_and_closes_a_sandbox_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async with CodeMode() as code_mode:
        answer = await code_mode.run("1 + 1")

    assert answer.text == "2"
    assert caplog.text == ""

"""Code mode without a server, over several providers."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pytest

from portico import (
    CodeMode,
    Provider,
    Tool,
    Tools,
    UpstreamError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from portico import JsonObject, JsonValue, Sandbox


PATIENCE_S = 20.0


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

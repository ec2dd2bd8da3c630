"""Python functions mounted into a portal from its configuration: read, imported, listed, called, and how it fails."""

from __future__ import annotations

import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio
import pytest
from mcp import Client, MCPError
from mcp_types import TextContent

from engine import ToolFailure, Tools, UpstreamError
from portal import Config, ConfigError, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

    from mcp_types import CallToolResult

    from tests.portal.conftest import PortalAt

Era = Literal["legacy", "auto"]
ERAS = pytest.mark.parametrize("era", ["legacy", "auto"])
CODE = "?codemode=search_and_execute"
PATIENCE_S = 20.0

Write: TypeAlias = "Callable[..., Path]"

TOOLS = """
    from portico import Tools

    tools = Tools("shop")


    @tools.tool(read_only=True)
    def find_orders(customer: str, limit: int = 10) -> list[dict[str, str]]:
        "Find the orders of a customer."
        return [{"customer": customer}]
"""


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a configuration of one server and the module beside it; both are forgotten after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "shop_tools", raising=False)  # that of the guide, if its test came first
    known = set(sys.modules)

    def write(server: str, *, module: str = "shop_tools", source: str = TOOLS) -> Path:
        (tmp_path / f"{module}.py").write_text(dedent(source))
        file = tmp_path / "portico.yaml"
        file.write_text(f"servers:\n  - id: shop\n    {server}\n")
        return file

    yield write
    for name in set(sys.modules) - known:
        if name.startswith(("shop_", "broken_")):
            del sys.modules[name]


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Tools at ``mounted_shop:tools``, as if a module had made them."""
    module: ModuleType = type(sys)("mounted_shop")
    monkeypatch.setitem(sys.modules, "mounted_shop", module)
    module.tools = Tools("warehouse")  # type: ignore[attr-defined]
    tools: Tools = module.tools
    return tools


SHOP = ServerConfig(id="shop", python="mounted_shop:tools")


def text(result: CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


# From a configuration to a program


@ERAS
async def test_functions_beside_the_configuration_are_methods_of_programs(
    configured: Write, portal_at: PortalAt, era: Era
) -> None:
    config = Config.load(configured("python: shop_tools:tools"), {})

    async with (
        portal_at(*config.servers) as (portal, origin),
        Client(f"{origin}/mcp{CODE}", mode=era, cache=None) as client,
    ):
        answer = await client.call_tool("code", {"code": '(await codemode.shop_find_orders({ customer: "ada" }))[0]'})
        (status,) = portal.fleet.status()

    assert text(answer) == '{"customer":"ada"}'
    assert (status.transport, status.status, status.tools) == ("python", "ready", 1)


@ERAS
async def test_a_client_that_lists_tools_sees_and_calls_the_functions(
    shop: Tools, portal_at: PortalAt, era: Era
) -> None:
    @shop.tool(destructive=True)
    async def cancel(order: int) -> dict[str, int]:
        """Cancel an order."""
        return {"cancelled": order}

    async with portal_at(SHOP) as (_, origin), Client(f"{origin}/mcp", mode=era, cache=None) as client:
        (tool,) = [tool for tool in (await client.list_tools()).tools if tool.name.startswith("shop")]
        result = await client.call_tool("shop_cancel", {"order": 7})

    assert (tool.name, tool.description) == ("shop_cancel", "Cancel an order.")
    assert tool.annotations is not None
    assert tool.annotations.destructive_hint is True
    assert tool.input_schema["required"] == ["order"]
    assert result.structured_content == {"cancelled": 7}
    assert text(result) == '{"cancelled":7}'


@ERAS
async def test_a_result_that_is_no_object_reaches_every_version_of_the_protocol(
    shop: Tools, portal_at: PortalAt, era: Era
) -> None:
    @shop.tool
    def numbers() -> list[int]:
        return [1, 2]

    async with portal_at(SHOP) as (_, origin), Client(f"{origin}/mcp", mode=era, cache=None) as client:
        result = await client.call_tool("shop_numbers", {})

    assert text(result) == "[1,2]"


@ERAS
async def test_a_failing_function_is_a_tool_error_of_its_own_words_or_of_none(
    shop: Tools, portal_at: PortalAt, era: Era
) -> None:
    @shop.tool
    def reserve(sku: str) -> None:
        if sku == "tea":
            raise ToolFailure("only 2 left", code="out_of_stock")
        raise OSError("hunter2")

    async with portal_at(SHOP) as (_, origin), Client(f"{origin}/mcp", mode=era, cache=None) as client:
        said = await client.call_tool("shop_reserve", {"sku": "tea"})
        silent = await client.call_tool("shop_reserve", {"sku": "milk"})

    assert (said.is_error, text(said)) == (True, "only 2 left")
    assert said.structured_content == {"code": "out_of_stock"}
    assert (silent.is_error, text(silent)) == (True, "the tool failed (OSError); the log of the host says why")


async def test_what_another_provider_raises_is_its_json_rpc_error(
    monkeypatch: pytest.MonkeyPatch, portal_at: PortalAt
) -> None:
    class Weather(Tools):
        async def call_tool(self, name: str, arguments: object) -> dict[str, object]:  # type: ignore[override]
            del arguments
            raise UpstreamError("no station", server="weather", tool=name, code=-32_050, data={"near": "York"})

    weather = Weather("weather")
    weather.tool(name="now")(lambda: None)
    module = type(sys)("mounted_weather")
    module.tools = weather  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mounted_weather", module)

    async with (
        portal_at(ServerConfig(id="weather", python="mounted_weather:tools")) as (_, origin),
        Client(f"{origin}/mcp", cache=None) as client,
    ):
        with pytest.raises(MCPError) as refusal:
            await client.call_tool("weather_now", {})

    assert (refusal.value.code, refusal.value.message, refusal.value.data) == (-32_050, "no station", {"near": "York"})


async def test_a_function_is_cancelled_when_its_call_takes_too_long(shop: Tools, portal_at: PortalAt) -> None:
    ended = anyio.Event()

    @shop.tool
    async def stuck() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    server = ServerConfig(id="shop", python="mounted_shop:tools", call_timeout_s=0.2)
    async with portal_at(server) as (_, origin), Client(f"{origin}/mcp", cache=None) as client:
        result = await client.call_tool("shop_stuck", {})
        with anyio.fail_after(PATIENCE_S):
            await ended.wait()

    assert "did not answer within 0.2 s" in text(result)


# What goes wrong


@pytest.mark.parametrize(
    ("server", "advice"),
    [
        ("python: shop_tools", 'write it as "shop_tools:tools"'),
        ("python: shop_tools.py:tools", 'write it as "shop_tools:tools"'),
        ("python: ./lib/shop_tools.py:tools", 'write it as "lib.shop_tools:tools"'),
        ("python: shop-tools:tools", 'write module:name, for instance "shop_tools:tools"'),
        ("python: shop_toolz:tools", "there is no module shop_toolz: put shop_toolz.py beside the configuration file"),
        ("python: shop_tools.sub:tools", "there is no module shop_tools.sub: put shop_tools/sub.py"),
        ("python: shop_tools:tool", 'the module shop_tools has no tool: did you mean "shop_tools:tools"?'),
        (
            "python: shop_tools:find_orders",
            '"shop_tools:find_orders" is a function, not a provider of tools: its tools',
        ),
        ("python: shop_tools:Tools", "is a class, not a provider"),
        ("transport: python", "transport python needs python"),
        ("{python: shop_tools:tools, url: http://localhost/mcp}", "url cannot stand in server"),
        ("module: shop_tools:tools", "write python: module:name"),
    ],
)
def test_a_path_that_leads_nowhere_is_an_error_that_says_what_to_do(
    configured: Write, server: str, advice: str
) -> None:
    file = configured(server.strip("{}").replace(", url", "\n    url"))

    with pytest.raises(ConfigError) as refusal:
        Config.load(file, {})

    assert advice in str(refusal.value)
    assert refusal.value.line is not None
    assert refusal.value.line >= 2


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("import no_such_module", "it needs the module no_such_module, which is not installed"),
        ("x = 1\nraise ValueError('no key')", "broken_tools.py:2: ValueError: no key"),
        ("def (", "broken_tools.py:1: SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (
            "from portico import Tools\ntools = Tools('shop')\n@tools.tool\ndef f(x): ...",
            "ToolDefinitionError: f: the parameter x has no annotation",
        ),
    ],
)
def test_a_module_that_cannot_be_imported_says_where_it_failed(configured: Write, source: str, advice: str) -> None:
    file = configured("python: broken_tools:tools", module="broken_tools", source=source)

    with pytest.raises(ConfigError) as refusal:
        Config.load(file, {})

    assert advice in str(refusal.value)
    assert refusal.value.line == 3


def test_a_file_beside_the_configuration_stands_in_for_no_module_of_python(configured: Write) -> None:
    import json  # noqa: PLC0415 -- the one that is meant

    file = configured("python: json:tools", module="json", source="raise AssertionError")

    with pytest.raises(ConfigError, match="the module json has no tools"):
        Config.load(file, {})
    assert json.loads("1") == 1


def test_a_disabled_server_is_not_imported(configured: Write) -> None:
    file = configured("python: broken_tools:tools\n    enabled: false", module="broken_tools", source="1 / 0")

    assert Config.load(file, {}).servers[0].enabled is False


async def test_a_path_that_is_not_from_a_file_is_judged_when_the_portal_connects(
    portal_at: PortalAt, caplog: pytest.LogCaptureFixture
) -> None:
    async with portal_at(ServerConfig(id="shop", python="no_such_module:tools")) as (portal, _):
        (status,) = portal.fleet.status()

    assert (status.status, status.retryable) == ("error", False)
    assert status.cause == "its Python module cannot be used; the log of the portal says why"
    assert "there is no module no_such_module: put it on PYTHONPATH" in caplog.text

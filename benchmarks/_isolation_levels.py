"""What each level of isolation costs: a program with one host call, sent when the one before it has ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import anyio

from benchmarks._measure import Row
from portico import Capabilities, HostCall, Limits, Sandbox, SandboxConfig

if TYPE_CHECKING:
    from sandbox import Isolation

LEVELS: Final[tuple[Isolation, ...]] = ("shared", "user", "run")
PAUSE_S: Final = 0.02
"""Between runs that find the next process ready, as those of people do."""
_WARM_UP: Final = 20


async def isolation_levels(*, count: int) -> list[Row]:
    """Time ``count`` runs at each level, back to back and with pauses in which processes are made ready."""
    rows: list[Row] = []
    for level in LEVELS:
        async with Sandbox(SandboxConfig(isolation=level)) as sandbox:
            for case, pause_s in ((f"{level}, back to back", 0.0), (f"{level}, {PAUSE_S * 1e3:.0f} ms apart", PAUSE_S)):
                for _ in range(_WARM_UP):
                    await _run(sandbox, pause_s)
                samples = [await _run(sandbox, pause_s) for _ in range(count)]
                rows.append(Row(case=case, samples_s=tuple(samples)))
    return rows


async def _run(sandbox: Sandbox, pause_s: float) -> float:
    """Run one program and return how long it took; stop the benchmark where it fails."""
    if pause_s:
        await anyio.sleep(pause_s)
    start = time.perf_counter()
    outcome = await sandbox.execute(
        "await host.echo(1)", limits=Limits(), capabilities=Capabilities(methods="echo"), on_call=_echo
    )
    took_s = time.perf_counter() - start
    if outcome.error is not None:
        raise outcome.error
    return took_s


async def _echo(call: HostCall) -> bytes:
    """Answer a host call with its own arguments."""
    return call.args

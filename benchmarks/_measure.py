"""Samples of a duration, and the machine that gave them."""

from __future__ import annotations

import os
import platform
import statistics
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

HEAD = "| case | samples | median ms | 99th percentile ms | processor ms |\n|---|---:|---:|---:|---:|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The samples of one case, in seconds; ``cpu_s`` is the processor time of one, in all processes that had a part."""

    case: str
    samples_s: tuple[float, ...]
    cpu_s: float | None = None

    @property
    def median_ms(self) -> float:
        """The median sample, in milliseconds."""
        return statistics.median(self.samples_s) * 1e3

    def as_markdown(self) -> str:
        """The row of the table: case, samples, median, the slowest of a hundred, processor time of one."""
        slow_ms = statistics.quantiles(self.samples_s, n=100, method="inclusive")[98] * 1e3
        cpu = "" if self.cpu_s is None else _figure(self.cpu_s * 1e3)
        return f"| {self.case} | {len(self.samples_s):,} | {_figure(self.median_ms)} | {_figure(slow_ms)} | {cpu} |"


async def sample(
    case: str, once: Callable[[], Awaitable[object]], *, count: int, pids: Callable[[], Iterable[int]] = tuple
) -> Row:
    """Time ``once`` as often as ``count`` says, after a tenth as many calls that are not counted.

    The processor time is that of this process and of those that ``pids`` names.
    """
    for _ in range(max(3, count // 10)):
        await once()
    samples = []
    cpu_before_s = cpu_s(pids())
    for _ in range(count):
        start = time.perf_counter()
        await once()
        samples.append(time.perf_counter() - start)
    return Row(case=case, samples_s=tuple(samples), cpu_s=(cpu_s(pids()) - cpu_before_s) / count)


def cpu_s(pids: Iterable[int]) -> float:
    """Return the processor time of this process and of ``pids``, by the kernel's own count (``schedstat``)."""
    nanoseconds = sum(
        int(thread.joinpath("schedstat").read_text().split()[0])
        for pid in pids
        for thread in Path(f"/proc/{pid}/task").iterdir()
    )
    return time.process_time() + nanoseconds / 1e9


def _figure(milliseconds: float) -> str:
    return f"{milliseconds:,.3f}" if milliseconds < 1 else f"{milliseconds:,.2f}"


def pace_ms() -> float:
    """Return how long a million additions take at this moment, the median of nine."""
    samples = []
    for _ in range(9):
        started, total = time.perf_counter(), 0
        for number in range(1_000_000):
            total += number
        samples.append((time.perf_counter() - started) * 1e3)
    return statistics.median(samples)


def machine() -> str:
    """Say on what this was measured."""
    names = ("portico", "wasmtime", "mcp", "anyio")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores; "
        f"Python {platform.python_version()}, {versions}"
    )

"""Samples of a duration, and the machine that gave them."""

from __future__ import annotations

import os
import platform
import statistics
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The samples of one case, in seconds."""

    case: str
    samples_s: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        """The median sample, in milliseconds."""
        return statistics.median(self.samples_s) * 1e3

    def as_markdown(self) -> str:
        """The row of the table: case, samples, median, and the slowest of a hundred."""
        slow_ms = statistics.quantiles(self.samples_s, n=100, method="inclusive")[98] * 1e3
        return f"| {self.case} | {len(self.samples_s)} | {self.median_ms:.2f} | {slow_ms:.2f} |"


async def sample(case: str, once: Callable[[], Awaitable[object]], *, count: int) -> Row:
    """Time ``once`` as often as ``count`` says, after a tenth as many calls that are not counted."""
    for _ in range(max(3, count // 10)):
        await once()
    samples = []
    for _ in range(count):
        start = time.perf_counter()
        await once()
        samples.append(time.perf_counter() - start)
    return Row(case=case, samples_s=tuple(samples))


def machine() -> str:
    """Say on what this was measured."""
    names = ("portico", "wasmtime", "mcp", "anyio")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores; "
        f"Python {platform.python_version()}, {versions}"
    )

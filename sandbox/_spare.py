"""Isolates made ahead of time, while a worker has nothing else to do: each is used once, like any other.

Most of what starting a run costs is the kernel mapping the pages that it writes: 46 faults, 80 of 140 us. A spare
isolate has them mapped already; which pages those are is learned from a rehearsal.
"""

from __future__ import annotations

import ctypes
import mmap
from itertools import pairwise
from typing import TYPE_CHECKING

from sandbox._isolate import Isolate

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox._guest import GuestModule

_MADV_POPULATE_WRITE = 23  # madvise(2), Linux 5.14; an older kernel refuses it, and the pages are mapped when written
_BRIDGED_PAGES = 2  # one call for pages this near each other costs less than two
_STOCK = 4  # as many as a burst starts at once in one worker; each is about 300 KiB of memory


class ReadyIsolate(Isolate):
    """An isolate whose pages can be looked at and mapped from outside."""

    def written_pages(self, work: Callable[[], object]) -> list[int]:
        """Do ``work`` and return the numbers of the pages that it has changed."""
        before = self._memory()
        work()
        after = self._memory()
        size = mmap.PAGESIZE
        return [
            page for page in range(len(before) // size) if before[page * size :][:size] != after[page * size :][:size]
        ]

    def map_pages(self, ranges: list[tuple[int, int]]) -> None:
        """Have the kernel map pages now: each range is the first one and their number."""
        base = self._instance.base
        for first, count in ranges:
            _madvise(base + first * mmap.PAGESIZE, count * mmap.PAGESIZE, _MADV_POPULATE_WRITE)

    def _memory(self) -> memoryview:
        return memoryview(ctypes.string_at(self._instance.base, self._instance.size()))


class Spare:
    """A few isolates in waiting, for the memory limit that was asked for last."""

    def __init__(self, module: GuestModule, pages: list[int], *, memory_bytes: int, stock: int = _STOCK) -> None:
        self._module = module
        self._ranges = ranges_of(pages)
        self._isolates: list[Isolate] = []
        self._memory_bytes = memory_bytes
        self._stock = stock

    @property
    def is_wanted(self) -> bool:
        """Whether one more should wait."""
        return len(self._isolates) < self._stock and self._memory_bytes > 0

    def make(self) -> None:
        """Make one. Raises ``wasmtime.WasmtimeError`` when there is no memory for it."""
        self._isolates.append(self._new())

    def forget(self) -> None:
        """Want none until the next run has asked."""
        self._memory_bytes = 0

    def take(self, memory_bytes: int) -> Isolate:
        """Return one in waiting if it fits, or a new one. Raises as ``make`` does."""
        if memory_bytes != self._memory_bytes:
            while self._isolates:
                self._isolates.pop().close()
            self._memory_bytes = memory_bytes
        return self._isolates.pop() if self._isolates else self._new()

    def _new(self) -> Isolate:
        isolate = ReadyIsolate(self._module, memory_bytes=self._memory_bytes)
        isolate.map_pages(self._ranges)  # at once, also for a run that waits for it: half of what the faults would cost
        return isolate


def ranges_of(pages: list[int]) -> list[tuple[int, int]]:
    """Return ascending page numbers as ranges ``(first, count)``; small gaps are filled."""
    if not pages:
        return []
    starts = [pages[0], *(after for before, after in pairwise(pages) if after - before > _BRIDGED_PAGES)]
    ends = [*(before for before, after in pairwise(pages) if after - before > _BRIDGED_PAGES), pages[-1]]
    return [(first, last - first + 1) for first, last in zip(starts, ends, strict=True)]


_madvise = ctypes.CDLL(None).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

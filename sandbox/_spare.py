"""Isolates made ahead of time, while a worker has nothing else to do: each is used once, like any other.

Most of what starting a run costs is the kernel mapping the pages that it touches: some 25 that it writes, each copied,
and the rest of the snapshot, which it reads, 64 KiB at a fault. A spare isolate has them mapped already; which pages
those are is learned from a rehearsal. Without the faults of reading a program starts in 30 us in place of 50.
"""

from __future__ import annotations

import ctypes
import mmap
from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from sandbox._isolate import Isolate

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox._guest import GuestModule

# madvise(2), Linux 5.14; an older kernel refuses them, and the pages are mapped when they are touched
_MADV_POPULATE_READ, _MADV_POPULATE_WRITE = 22, 23
_AROUND_PAGES = (
    16  # a page that is read brings those beside it: fault_around_bytes of the kernel, unless it was changed
)
_BRIDGED_PAGES = 2  # one call for pages this near each other costs less than two
_STOCK = 4  # as many as a burst starts at once in one worker; each has about 100 KiB of its own


class Pages(NamedTuple):
    """What a rehearsal has found: the pages of linear memory that it wrote, and those that hold the snapshot."""

    written: list[int]
    filled: list[int]


class ReadyIsolate(Isolate):
    """An isolate whose pages can be looked at and mapped from outside."""

    def filled_pages(self) -> list[int]:
        """Return the numbers of the pages that hold anything."""
        memory, size = self._memory(), mmap.PAGESIZE
        return [page for page in range(len(memory) // size) if any(memory[page * size :][:size])]

    def written_pages(self, work: Callable[[], object]) -> list[int]:
        """Do ``work`` and return the numbers of the pages that it has changed."""
        before = self._memory()
        work()
        after = self._memory()
        size = mmap.PAGESIZE
        return [
            page for page in range(len(before) // size) if before[page * size :][:size] != after[page * size :][:size]
        ]

    def map_pages(self, written: list[tuple[int, int]], read: list[int]) -> None:
        """Have the kernel map pages now: ranges to write, each the first one and their number, and pages to read."""
        base = self._instance.base
        for first, count in written:
            _madvise(base + first * mmap.PAGESIZE, count * mmap.PAGESIZE, _MADV_POPULATE_WRITE)
        for page in read:
            _madvise(base + page * mmap.PAGESIZE, mmap.PAGESIZE, _MADV_POPULATE_READ)

    def _memory(self) -> memoryview:
        return memoryview(ctypes.string_at(self._instance.base, self._instance.size))


class Spare:
    """A few isolates in waiting, for the memory limit that was asked for last, and one that is prepared.

    What a program is told of its host is the same for each run over the same tools, and taking it in is half of a short
    run. So one isolate is prepared for the setup that has come most: another takes its place when it has come twice
    without that one in between, so that two which take turns cost no isolate.

    To close an isolate takes longer than to start a program in one, so those that are done wait for that here.
    """

    def __init__(self, module: GuestModule, pages: Pages, *, memory_bytes: int, stock: int = _STOCK) -> None:
        self._module = module
        self._written = ranges_of(pages.written)
        self._read = one_of_each_area(pages)
        self._isolates: list[Isolate] = []
        self._retired: deque[Isolate] = deque()
        self._prepared: Isolate | None = None
        self._setup: bytes | None = None  # of the prepared one, or of the one that should be
        self._other_setup: bytes | None = None  # that came since
        self._memory_bytes = memory_bytes
        self._stock = stock

    @property
    def is_wanted(self) -> bool:
        """Whether there is one to make or to prepare."""
        return self._memory_bytes > 0 and (len(self._isolates) < self._stock or self._may_prepare)

    @property
    def has_chore(self) -> bool:
        """Whether there is one to make, to prepare or to close."""
        return bool(self._retired) or self.is_wanted

    def do_chore(self) -> None:
        """Do one of these, what the next run needs first. Raises as ``make`` does."""
        if self.is_wanted:
            self.make()
        else:
            self.close_one()

    def make(self) -> None:
        """Prepare one, or make one. Raises ``wasmtime.WasmtimeError`` when there is no memory for it.

        Raises what ``Isolate.prepare`` does.
        """
        if self._may_prepare and self._setup is not None:
            isolate = self._isolates.pop()
            try:
                isolate.prepare(self._setup)
            except BaseException:
                isolate.close()
                raise
            self._prepared = isolate
        else:
            self._isolates.append(self._new())

    def forget(self) -> None:
        """Want none until the next run has asked."""
        self._memory_bytes = 0

    def take(self, memory_bytes: int, setup: bytes) -> Isolate:
        """Return one in waiting if it fits, prepared or not, or a new one. Raises as ``make`` does."""
        if memory_bytes != self._memory_bytes:
            while self._isolates:
                self.retire(self._isolates.pop())
            self._retire_prepared()
            self._memory_bytes = memory_bytes
        prepared = self._prepared_for(setup)
        if prepared is not None:
            return prepared
        return self._isolates.pop() if self._isolates else self._new()

    def retire(self, isolate: Isolate) -> None:
        """Take an isolate that is done; it is closed when there is time, or to make place for others."""
        self._retired.append(isolate)
        if len(self._retired) > self._stock + 1:
            self.close_one()

    @property
    def has_retired(self) -> bool:
        """Whether there is one to close."""
        return bool(self._retired)

    def close_one(self) -> None:
        """Close the one that has been done for longest."""
        self._retired.popleft().close()

    @property
    def _may_prepare(self) -> bool:
        return self._prepared is None and self._setup is not None and bool(self._isolates)

    def _prepared_for(self, setup: bytes) -> Isolate | None:
        if setup == self._setup:
            prepared, self._prepared, self._other_setup = self._prepared, None, None
            return prepared
        if self._setup is None or setup == self._other_setup:
            self._retire_prepared()
            self._setup = setup
        self._other_setup = setup
        return None

    def _retire_prepared(self) -> None:
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            self.retire(prepared)

    def _new(self) -> Isolate:
        isolate = ReadyIsolate(self._module, memory_bytes=self._memory_bytes)
        # At once, also for a run that waits for it: half of what the faults would cost.
        isolate.map_pages(self._written, self._read)
        return isolate


def ranges_of(pages: list[int]) -> list[tuple[int, int]]:
    """Return ascending page numbers as ranges ``(first, count)``; small gaps are filled."""
    if not pages:
        return []
    starts = [pages[0], *(after for before, after in pairwise(pages) if after - before > _BRIDGED_PAGES)]
    ends = [*(before for before, after in pairwise(pages) if after - before > _BRIDGED_PAGES), pages[-1]]
    return [(first, last - first + 1) for first, last in zip(starts, ends, strict=True)]


def one_of_each_area(pages: Pages) -> list[int]:
    """Return a page of each area that the kernel maps at once, where the snapshot has one that is not written."""
    mapped = {page for first, count in ranges_of(pages.written) for page in range(first, first + count)}
    return list({page // _AROUND_PAGES: page for page in pages.filled if page not in mapped}.values())


_madvise = ctypes.CDLL(None).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

"""Stalls of the event loop: how often, and for how long, something in this process kept everything else waiting.

A tick that comes late says that the loop was not free; what the kernel says of the thread tells why. Time in which it
wanted the processor and others had it is the machine's doing and not counted, so that the count is of our own code.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger("portico.loop")

STALL_S: Final = 0.100
"""What a person begins to notice."""
TICK_S: Final = 0.050
_LOG_EVERY_S: Final = 10.0
_SCHEDSTAT_BYTES: Final = 100  # three numbers of 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopStatus:
    """Stalls of more than ``STALL_S`` since the start, and the longest one."""

    stalls: int
    longest_s: float


class LoopWatch:
    """Counts the stalls of the loop that ``run`` runs in."""

    def __init__(self) -> None:
        self._stalls = 0
        self._longest_s = 0.0
        self._logged_at = -_LOG_EVERY_S

    def status(self) -> LoopStatus:
        """Return the counts at this moment."""
        return LoopStatus(stalls=self._stalls, longest_s=self._longest_s)

    async def run(self) -> None:
        """Watch until cancelled."""
        with _run_queue_clock() as waited_for_processor_s:
            while True:
                due, waited_s = time.monotonic() + TICK_S, waited_for_processor_s()
                await anyio.sleep(TICK_S)
                late_s = time.monotonic() - due
                if late_s > STALL_S:
                    self._count(late_s - (waited_for_processor_s() - waited_s))

    def _count(self, stalled_s: float) -> None:
        if stalled_s <= STALL_S:
            return
        self._stalls += 1
        self._longest_s = max(self._longest_s, stalled_s)
        now = time.monotonic()
        if now - self._logged_at >= _LOG_EVERY_S:
            self._logged_at = now
            logger.warning("the event loop stood still for %.0f ms (%d times by now)", stalled_s * 1e3, self._stalls)


@contextmanager
def _run_queue_clock() -> Iterator[Callable[[], float]]:
    """Yield a function that says for how many seconds this thread has waited for a processor."""
    try:  # Linux; proc(5). Opened once: later there may be no descriptor left.
        schedstat = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        schedstat = None
    if schedstat is None:
        started = time.thread_time()
        began = time.monotonic()
        # Without it only processor time counts: what the thread did not use it may have waited for.
        yield lambda: (time.monotonic() - began) - (time.thread_time() - started)
        return
    try:
        yield lambda: int(os.pread(schedstat, _SCHEDSTAT_BYTES, 0).split()[1]) / 1e9
    finally:
        os.close(schedstat)

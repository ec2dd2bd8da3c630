"""What one child says, in the log: so much a second and no more, whatever it writes."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

logger = logging.getLogger("portico.upstream")

PERIOD_S: Final = 1.0
MAX_LINES: Final = 100
MAX_CHARS: Final = 64 * 2**10
"""In a period, each. A server that starts writes tens of lines; one that loops would fill a disk within the hour."""
REST_S: Final = 0.02
"""Between two readings of some 64 KiB of a child that is past its allowance: 3 MB/s, a few percent of a core."""


class ChildLog:
    """Writes lines of the child ``server_id`` to the log, up to its allowance; once a period, how many were left out.

    ``tasks`` run as long as the child.
    """

    def __init__(self, server_id: str, tasks: TaskGroup, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._server_id = server_id
        self._tasks = tasks
        self._clock = clock
        self._ends_at = 0.0
        self._lines = 0
        self._chars = 0
        self.left_out = 0  # lines, in all
        self._told = 0  # of them
        self._level = logging.NOTSET

    def write(self, level: int, text: str) -> None:
        """Write one line, or count it."""
        now = self._clock()
        if now >= self._ends_at:
            self._ends_at, self._lines, self._chars = now + PERIOD_S, 0, 0
        if self._lines >= MAX_LINES or self._chars + len(text) > MAX_CHARS:
            self._level = max(self._level, level)
            if self.left_out == self._told:
                self._tasks.start_soon(self._say_left_out)
            self.left_out += 1
            return
        self._lines += 1
        self._chars += len(text)
        logger.log(level, "%s: %s", self._server_id, text)

    async def rest(self, before: int) -> None:
        """Pause if more than ``before`` lines were left out: what is written without end must not take a core."""
        if self.left_out > before:
            await anyio.sleep(REST_S)

    async def _say_left_out(self) -> None:
        try:
            await anyio.sleep(PERIOD_S)
        finally:
            message = "%s: %d more lines of what it printed were left out of this log"
            logger.log(self._level, message, self._server_id, self.left_out - self._told)
            self._told, self._level = self.left_out, logging.NOTSET

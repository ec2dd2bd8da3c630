"""The wall clock of one run, which stops while a person is asked something."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import anyio


class RunClock:
    """Counts the time of one run against ``Limits.wall_s``; hand it to ``execute`` to be able to pause it."""

    def __init__(self) -> None:
        self._scope: anyio.CancelScope | None = None
        self._limit_s = math.inf
        self._counted_s = 0.0
        self._running_since: float | None = None
        self._pauses = 0
        self._paused_s = 0.0
        self._paused_since = 0.0
        self._was_started = False
        self.is_cancelled = False

    @property
    def is_paused(self) -> bool:
        """Whether time does not count at this moment."""
        return self._pauses > 0

    @property
    def paused_s(self) -> float:
        """Seconds that did not count."""
        return self._paused_s + (time.monotonic() - self._paused_since if self._pauses else 0.0)

    @property
    def elapsed_s(self) -> float:
        """Seconds that have counted since the run began."""
        if self._running_since is None:
            return self._counted_s
        return self._counted_s + time.monotonic() - self._running_since

    @property
    def remaining_s(self) -> float:
        """Seconds that the run has left; infinite before it began."""
        return max(0.0, self._limit_s - self.elapsed_s)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop counting inside the block; blocks may overlap, and the last to end starts the clock again."""
        self._pauses += 1
        if self._pauses == 1:
            self._paused_since = time.monotonic()
            if self._running_since is not None:
                self._stop()
        try:
            yield
        finally:
            self._pauses -= 1
            if not self._pauses:
                self._paused_s += time.monotonic() - self._paused_since
                if self._scope is not None:
                    self._resume()

    def start(self, scope: anyio.CancelScope, *, limit_s: float, counted_s: float = 0.0) -> None:
        """Begin to count; ``scope`` is cancelled when ``limit_s`` have counted, or by ``cancel``.

        ``counted_s`` is how long the run has been going on already. A clock serves one run.
        """
        if self._was_started:
            raise ValueError("a RunClock serves one run: make another")
        self._was_started = True
        self._scope = scope
        self._limit_s = limit_s
        self._counted_s = counted_s
        if not self._pauses:
            self._resume()
        if self.is_cancelled:
            scope.cancel()

    def cancel(self) -> None:
        """End the run now, or before it begins: nobody waits for it any more."""
        self.is_cancelled = True
        self.end_run()

    def end_run(self) -> None:
        """End the run now, by the scope that it was started with."""
        if self._scope is not None:
            self._scope.cancel()

    def finish(self) -> float:
        """Stop for good and return the seconds that counted."""
        self._scope = None
        if self._running_since is not None:
            self._stop()
        return self._counted_s

    def _resume(self) -> None:
        self._running_since = time.monotonic()  # as event loops count, and deadlines with them
        if self._scope is not None:
            self._scope.deadline = self._running_since + self._limit_s - self._counted_s

    def _stop(self) -> None:
        self._counted_s = self.elapsed_s
        self._running_since = None
        if self._scope is not None:
            self._scope.deadline = math.inf

"""When to leave an upstream that keeps failing alone, and when to try it again."""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN_AFTER: Final = 5
"""Failures in a row; one success in between and they count from the start."""
PROBE_S: Final = 30.0
"""How long an open breaker waits, with jitter, before it lets the next try through."""


class Breaker:
    """Counts the failures of one upstream. Open, it lets no call through; after ``probe_in_s`` the owner tries.

    A success closes it. ``let_one_through`` makes it half open: the next failure opens it again.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.opened = anyio.Event()
        self._clock = clock
        self._failures = 0
        self._probe_at = 0.0
        self._failed_at = -math.inf

    @property
    def is_open(self) -> bool:
        """Whether nothing is let through now."""
        return self.opened.is_set()

    @property
    def failures(self) -> int:
        """How many failures there were in a row."""
        return self._failures

    @property
    def probe_in_s(self) -> float:
        """Seconds until the next try of an open breaker."""
        return max(0.0, self._probe_at - self._clock())

    def now(self) -> float:
        """The time by this breaker's clock, to be noted when a try begins."""
        return self._clock()

    def failed(self, began_at: float) -> None:
        """Note the failure of a try; those that were under way together count as one, as one cause may have had all."""
        if began_at < self._failed_at:
            return
        self._failed_at = self._clock()
        self._failures += 1
        if self._failures >= OPEN_AFTER:
            self._probe_at = self._clock() + jittered(PROBE_S)
            self.opened.set()

    def succeeded(self) -> None:
        """Note a success."""
        if not self._failures:  # as nearly always; then it is not open either
            return
        self._failures = 0
        if self.is_open:
            self.opened = anyio.Event()

    def let_one_through(self) -> None:
        """Half open: take the next success or failure of a call as the answer."""
        if self.is_open:
            self.opened = anyio.Event()


def jittered(seconds: float) -> float:
    """Spread retries, so that upstreams that went down together do not come back as one burst."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 -- not a secret

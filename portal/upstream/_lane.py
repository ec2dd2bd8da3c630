"""How many requests are on their way to one upstream at once, how many wait for their turn, and when none may go."""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import anyio

from portal._errors import UpstreamBusy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_QUEUED: Final = 256
"""Requests that wait for one upstream; each is a task and its arguments. Sixteen runs at their full width."""
QUEUE_WAIT_S: Final = 30.0
"""The longest wait in the queue: half of what impatient clients grant a whole call."""
SHORT_PAUSE_S: Final = 2.0
"""A pause that an upstream asked for is waited out up to this length; in a longer one calls fail at once."""
MAX_PAUSE_S: Final = 600.0
"""The longest pause that an upstream can ask for."""


class Lane:
    """The way to one upstream: ``async with lane`` holds a place on it, and ``pause`` closes it for a while.

    Entering waits for the place in turn. It raises ``UpstreamBusy`` when too many wait, or it takes too long.
    """

    def __init__(
        self,
        upstream: str,
        *,
        width: int,
        max_queued: int = MAX_QUEUED,
        queue_wait_s: float = QUEUE_WAIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upstream = upstream
        self._width = width
        self._max_queued = max_queued
        self._queue_wait_s = queue_wait_s
        self._clock = clock
        self._taken = 0
        self._queue: deque[anyio.Event] = deque()
        self._paused_until = 0.0

    async def __aenter__(self) -> None:
        if self._taken >= self._width or self._queue:
            await self._wait_in_turn()
        else:
            self._taken += 1

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        """Hand the place to whoever waits longest."""
        if self._queue and self._taken <= self._width:
            self._queue.popleft().set()
        else:
            self._taken -= 1

    @contextmanager
    def stepped_out(self) -> Iterator[None]:
        """Give the place up while a person is asked, and take it back afterwards, whoever has come meanwhile."""
        self._leave()
        try:
            yield
        finally:
            self._taken += 1

    def pause(self, seconds: float) -> None:
        """Let nobody through for so long, as the upstream asked (RFC 9110, Retry-After)."""
        self._paused_until = max(self._paused_until, self._clock() + min(seconds, MAX_PAUSE_S))

    @property
    def is_paused(self) -> bool:
        """Whether nobody is let through now."""
        return self._paused_until > self._clock()

    async def open_again(self) -> None:
        """Wait out a short pause. Raises ``UpstreamBusy``, with the time that is left, in a long one."""
        while (left_s := self._paused_until - self._clock()) > 0:
            if left_s > SHORT_PAUSE_S:
                message = f"{self._upstream} asked to be left alone for a while: try again in {left_s:.0f} s"
                raise UpstreamBusy(message, upstream=self._upstream, retry_after_s=left_s)
            await anyio.sleep(left_s)

    async def _wait_in_turn(self) -> None:
        if len(self._queue) >= self._max_queued:
            raise self._busy(f"{self._taken} calls are on their way and {len(self._queue)} wait")
        turn = anyio.Event()
        self._queue.append(turn)
        try:
            with anyio.move_on_after(self._queue_wait_s):
                await turn.wait()
        except BaseException:
            self._give_up(turn)
            raise
        if not turn.is_set():
            self._give_up(turn)
            raise self._busy(f"no call came to its turn within {self._queue_wait_s:g} s")

    def _give_up(self, turn: anyio.Event) -> None:
        if turn.is_set():  # the place was handed over in the same moment
            self._leave()
        else:
            self._queue.remove(turn)

    def _busy(self, why: str) -> UpstreamBusy:
        message = f"{self._upstream} is busy: {why}; try again in a moment"
        return UpstreamBusy(message, upstream=self._upstream, retry_after_s=1.0)

"""Rounds of the event loop: calls that are answered without a wait leave room between them for everything else."""

from __future__ import annotations

import asyncio
import time
from heapq import heappop, heappush
from itertools import count

AT_ONCE = 16
"""Calls that may begin in one round: those of one program, unless it is configured to make more at once."""
ROUND_S = 0.010
"""Time after which no more begin, though there is a place: a person notices a wait of ten times as long."""


class Rounds:
    """Lets the calls of all programs begin in the order in which they come, a few in each round of the event loop.

    Without it the calls that programs make in parallel would be answered in a row by a handler that never waits, and
    nobody else be served meanwhile.
    """

    def __init__(self) -> None:
        self._places = AT_ONCE  # that are left in this round
        self._ends_at: float | None = None  # once the first call of this round has begun
        self._is_next_on_its_way = False
        self._numbers = count()
        self._line: list[tuple[int, asyncio.Future[None]]] = []  # a heap: who came first goes on first

    async def take_place(self) -> None:
        """Return when a call may begin: in this round where there is room."""
        if not self._is_next_on_its_way:
            self._is_next_on_its_way = True
            asyncio.get_running_loop().call_soon(self._go_on)
        number = next(self._numbers)
        if self._places:
            self._places -= 1
        else:
            await self._stand_in_line(number)
        while not self._has_time():
            await self._stand_in_line(number)

    def _has_time(self) -> bool:
        now = time.monotonic()
        if self._ends_at is None:  # whatever the round was for until now: one call begins in each
            self._ends_at = now + ROUND_S
        return now < self._ends_at

    async def _stand_in_line(self, number: int) -> None:
        place = asyncio.get_running_loop().create_future()
        heappush(self._line, (number, place))
        await place

    def _go_on(self) -> None:
        self._places, self._ends_at = AT_ONCE, None
        while self._places and self._line:
            _, place = heappop(self._line)
            if not place.done():  # else its call was cancelled
                place.set_result(None)
                self._places -= 1
        self._is_next_on_its_way = self._places < AT_ONCE
        if self._is_next_on_its_way:
            asyncio.get_running_loop().call_soon(self._go_on)

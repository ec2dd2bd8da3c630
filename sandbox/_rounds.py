"""Rounds of the event loop: calls that are answered without a wait leave room between them for everything else."""

from __future__ import annotations

import asyncio
from collections import deque

AT_ONCE = 4
"""Calls in one round: up to ten milliseconds where a server in this process answers them."""


class Rounds:
    """Lets ``AT_ONCE`` calls begin in one round of the loop, of all programs together, in the order in which they come.

    Without it the calls that programs make in parallel would be answered in a row by a handler that never waits, and
    nobody else be served meanwhile.
    """

    def __init__(self) -> None:
        self._left = AT_ONCE
        self._is_counting = False  # so that a next round is on its way
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take_place(self) -> None:
        """Return when a call may begin: in this round where there is a place left."""
        loop = asyncio.get_running_loop()
        if not self._is_counting:
            self._is_counting = True
            loop.call_soon(self._go_on)
        if self._left:
            self._left -= 1
            return
        place = loop.create_future()
        self._waiting.append(place)
        await place

    def _go_on(self) -> None:
        self._left = AT_ONCE
        while self._left and self._waiting:
            place = self._waiting.popleft()
            if not place.done():  # else its call was cancelled
                place.set_result(None)
                self._left -= 1
        self._is_counting = self._left < AT_ONCE
        if self._is_counting:
            asyncio.get_running_loop().call_soon(self._go_on)

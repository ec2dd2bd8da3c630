"""A lock that users take by turns, however many tasks each of them has waiting."""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class FairLock:
    """Held by one task at a time; the users that have tasks waiting come one after the other."""

    def __init__(self) -> None:
        self._is_held = False
        self._waiting: dict[str, deque[anyio.Event]] = {}  # in the order in which users come

    def waiting(self, owner: str) -> int:
        """Return how many tasks of a user wait."""
        return len(self._waiting.get(owner, ()))

    @asynccontextmanager
    async def held_for(self, owner: str) -> AsyncIterator[None]:
        """Hold the lock inside the block."""
        if self._is_held:
            await self._wait(owner)
        self._is_held = True
        try:
            yield
        finally:
            self._hand_on()

    async def _wait(self, owner: str) -> None:
        turn = anyio.Event()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():  # it was this task's turn by then
                self._hand_on()
            else:
                self._remove(owner, turn)
            raise

    def _hand_on(self) -> None:
        self._is_held = bool(self._waiting)
        if self._is_held:
            owner = next(iter(self._waiting))
            tasks = self._waiting.pop(owner)
            tasks.popleft().set()
            if tasks:
                self._waiting[owner] = tasks  # at the end

    def _remove(self, owner: str, turn: anyio.Event) -> None:
        self._waiting[owner].remove(turn)
        if not self._waiting[owner]:
            del self._waiting[owner]

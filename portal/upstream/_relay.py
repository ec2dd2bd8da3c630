"""What an upstream says of a request while it works on it, handed to the client in order and at a bounded rate."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

import anyio

from portal.wire import PROGRESS

if TYPE_CHECKING:
    from portal._conversation import Conversation
    from portal.upstream._background import Background
    from typegen import JsonObject

logger = logging.getLogger("portico.upstream")

PROGRESS_S: Final = 0.1
"""The least time between two reports of progress; of those between them the last one counts."""
FREE_REPORTS: Final = 20
"""The first reports of a request go out one by one, at any pace: few requests have more."""
MAX_PENDING: Final = 256
"""Notifications that a client has not taken yet; more are dropped, so that neither side's pace is the other's."""
FINISH_S: Final = 1.0
"""How long the end of a request waits for a client to take what was said before it."""


class Relay:
    """Carries progress and notifications to a conversation, in a task of its own that runs while there are any."""

    __slots__ = ("_conversation", "_free", "_is_running", "_messages", "_progress", "_sending", "_tasks")

    def __init__(self, conversation: Conversation, tasks: Background) -> None:
        self._conversation = conversation
        self._tasks = tasks
        self._messages: deque[tuple[str, JsonObject]] = deque()
        self._progress: JsonObject | None = None
        self._free = FREE_REPORTS
        self._is_running = False
        self._sending = anyio.Lock()

    def progress(self, params: JsonObject) -> None:
        """Report progress, soon; a newer report takes the place of one that has not gone out."""
        if self._free:
            self._free -= 1
            self._messages.append((PROGRESS, params))
        else:
            self._progress = params
        self._run()

    def notify(self, method: str, params: JsonObject) -> None:
        """Send a notification, soon."""
        if len(self._messages) < MAX_PENDING:
            self._messages.append((method, params))
            self._run()

    async def finish(self) -> None:
        """Send what is pending: it must not come after the request's answer."""
        if self._messages or self._progress is not None or self._sending.locked():
            with anyio.move_on_after(FINISH_S):
                await self._send_pending()
            self._messages.clear()
            self._progress = None

    def _run(self) -> None:
        if not self._is_running:
            self._is_running = True
            self._tasks.start_soon(self._drain)

    async def _drain(self) -> None:
        try:
            while self._messages or self._progress is not None:
                await self._send_pending()
                await anyio.sleep(PROGRESS_S)
        finally:
            self._is_running = False

    async def _send_pending(self) -> None:
        try:
            await self._send_in_turn()
        except ValueError as error:
            logger.warning("a notification cannot be passed on: %s", error)
        except Exception:
            # What a client does not take must not end the session that other clients share.
            logger.exception("a notification could not be handed to its client")

    async def _send_in_turn(self) -> None:
        async with self._sending:
            while self._messages:
                method, params = self._messages.popleft()
                if method == PROGRESS:
                    await self._report(params)
                else:
                    await self._conversation.notify(method, params)
            progress, self._progress = self._progress, None
            if progress is not None:
                await self._report(progress)

    async def _report(self, params: JsonObject) -> None:
        progress, total, message = params.get("progress"), params.get("total"), params.get("message")
        await self._conversation.report_progress(
            progress if isinstance(progress, int | float) else 0.0,
            total if isinstance(total, int | float) else None,
            message if isinstance(message, str) else None,
        )

"""What an upstream says of a request while it works on it, handed to the client in order and at a bounded rate."""

from __future__ import annotations

import logging
import math
import time
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
MAX_PENDING: Final = 4_096
"""Notifications that a client has not taken yet, more than come at once to one that reads; of more the oldest are
dropped, so that neither side's pace is the other's."""
FINISH_S: Final = 1.0
"""How long the end of a request waits for a client to take the next thing that was said before it."""
FINISH_ALL_S: Final = 10.0
"""The same of all that was said."""

_KINDS: Final[dict[str, type | tuple[type, ...]]] = {"total": (int, float), "message": str, "_meta": dict}


class Relay:
    """Carries progress and notifications to a conversation, in a task of its own that runs while there are any."""

    __slots__ = (
        *("_conversation", "_free", "_is_running", "_messages", "_progress", "_progress_at", "_sending", "_tasks"),
        "_woken",
    )

    def __init__(self, conversation: Conversation, tasks: Background) -> None:
        self._conversation = conversation
        self._tasks = tasks
        self._messages: deque[tuple[str, JsonObject]] = deque(maxlen=MAX_PENDING)
        self._progress: JsonObject | None = None
        self._progress_at = -math.inf  # when the next report may go out
        self._free = FREE_REPORTS
        self._is_running = False
        self._sending = anyio.Lock()  # which lets others run between two messages of a burst
        self._woken = anyio.Event()

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
        self._messages.append((method, params))
        self._woken.set()
        self._run()

    async def finish(self) -> None:
        """Send what is pending: it must not come after the request's answer."""
        if self._messages or self._progress is not None or self._sending.locked():
            with anyio.move_on_after(FINISH_S) as patience:
                await self._finish(patience)
            self._messages.clear()
            self._progress = None

    def _run(self) -> None:
        if not self._is_running:
            self._is_running = True
            self._tasks.start_soon(self._drain)

    async def _drain(self) -> None:
        try:
            while self._messages or self._progress is not None:
                wait_s = self._progress_at - time.monotonic()
                if self._messages or wait_s <= 0:
                    await self._send_next()
                else:
                    self._woken = anyio.Event()
                    with anyio.move_on_after(wait_s):
                        await self._woken.wait()
        finally:
            self._is_running = False

    async def _finish(self, patience: anyio.CancelScope) -> None:
        last = time.monotonic() + FINISH_ALL_S
        while self._messages or self._progress is not None or self._sending.locked():
            await self._send_next()
            patience.deadline = min(last, time.monotonic() + FINISH_S)

    async def _send_next(self) -> None:
        """Send the message that has waited longest; when there is none, the progress."""
        async with self._sending:
            try:
                if self._messages:
                    method, params = self._messages.popleft()
                    if method == PROGRESS:
                        await self._report(params)
                    else:
                        await self._conversation.notify(method, params)
                elif self._progress is not None:
                    progress, self._progress = self._progress, None
                    self._progress_at = time.monotonic() + PROGRESS_S
                    await self._report(progress)
            except ValueError as error:
                logger.warning("a notification cannot be passed on: %s", error)
            except Exception:
                # What a client does not take must not end the session that other clients share.
                logger.exception("a notification could not be handed to its client")

    async def _report(self, params: JsonObject) -> None:
        # The token is ours; a client has its own. What is no report at all would break a client that reads it strictly.
        report = {key: value for key, value in params.items() if key != "progressToken"}
        if not isinstance(report.get("progress"), int | float):
            report["progress"] = 0.0
        for key, kind in _KINDS.items():
            if key in report and not isinstance(report[key], kind):
                del report[key]
        await self._conversation.report_progress(report)

"""The conversation of a program: what its calls ask, tell and report becomes part of the one request that runs it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

import anyio

from portal._errors import ClientCannot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import ToolCall
    from portal._conversation import Conversation
    from sandbox import RunClock
    from typegen import JsonObject, JsonValue

HEARTBEAT_S: Final = 10.0
"""Progress is sent this often while a program runs: clients count their timeouts from it (TypeScript SDK: 60 s)."""
TELL_S: Final = 0.2
"""The least time between two reports: many calls report at once, and one model reads them."""


class ProgramConversation:
    """What the calls of one program may do with the client that sent it, until the program is answered.

    Its progress is the seconds since it began: it grows whatever its calls report, each of its own.
    """

    def __init__(self, client: Conversation) -> None:
        self.client = client
        self._began_at = time.monotonic()
        self._told_at = -math.inf
        self.is_over = False  # the client has its answer, so that it can be told and asked no more

    def close(self) -> None:
        """Tell and ask nothing from now on: what still runs does so in the background."""
        self.is_over = True

    async def beat(self) -> None:
        """Report now and then that the program goes on; cancel it to end."""
        while True:
            await anyio.sleep(HEARTBEAT_S)
            await self.tell("running")

    async def tell(self, message: str) -> None:
        """Report progress, unless that was done a moment ago."""
        now = time.monotonic()
        if self.is_over or now - self._told_at < TELL_S or not self.client.wants_progress:
            return
        self._told_at = now
        await self.client.report_progress({"progress": round(now - self._began_at, 3), "message": message})


class CallConversation:
    """The conversation of one call of a program. A ``Conversation``."""

    def __init__(self, program: ProgramConversation, call: ToolCall) -> None:
        self._program = program
        self._label = call.entry.identifier
        self._clock: RunClock | None = call.clock

    @property
    def capabilities(self) -> Mapping[str, JsonValue]:
        """What the program's client declared."""
        return self._program.client.capabilities

    @property
    def log_level(self) -> str | None:
        """What the program's client wants to read."""
        return None if self._program.is_over else self._program.client.log_level

    @property
    def wants_progress(self) -> bool:
        """Whether the program's client wants progress."""
        return self._program.client.wants_progress and not self._program.is_over

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        """Ask the program's client, while the program's clock stands still."""
        if self._program.is_over:
            raise ClientCannot("the program runs in the background, and its client has been answered")
        if self._clock is None:
            return await self._program.client.ask(method, params)
        with self._clock.paused():
            return await self._program.client.ask(method, params)

    async def report_progress(self, report: JsonObject) -> None:
        """Tell the program's client how far this call is."""
        progress, total, message = report.get("progress"), report.get("total"), report.get("message")
        share = f"{progress:g}" if isinstance(progress, int | float) else "0"
        if isinstance(total, int | float):
            share += f" of {total:g}"
        await self._program.tell(f"{self._label}: {share}" + (f", {message}" if message else ""))

    async def notify(self, method: str, params: JsonObject) -> None:
        """Tell the program's client."""
        if not self._program.is_over:
            await self._program.client.notify(method, params)

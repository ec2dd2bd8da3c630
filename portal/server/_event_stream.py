"""One response of server-sent events: opened when there is something to say, kept alive, ended once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import anyio

from portal.server._http_messages import EVENTS, PART_BYTES

if TYPE_CHECKING:
    from starlette.types import Send

    from portal.server._http_messages import Headers

HEADERS: Final[Headers] = [
    (b"content-type", EVENTS),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),  # nginx would gather events until its buffer is full
]
KEEP_ALIVE_S: Final = 15.0
"""Proxies cut streams that are silent for 30 to 60 s."""
# A comment without the blank line that would end an event: some clients take an empty event for a message.
KEEP_ALIVE: Final = b":\n"


def event(data: bytes, *, name: bytes = b"message", event_id: bytes | None = None) -> bytes:
    """Return one event; ``data`` is JSON on one line, or a line of text."""
    if event_id is None:
        return b"event: %b\ndata: %b\n\n" % (name, data)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id, name, data)


class EventStream:
    """Events on their way to one client, one after the other. After its end, writing does nothing.

    Writing waits while the client does not read; the connection is cut off when that lasts (see ``_http_protocol``).
    """

    __slots__ = ("_headers", "_is_begun", "_lock", "_send", "is_ended", "is_finished", "quiet_since", "scope")

    def __init__(self, send: Send, headers: Headers | None = None) -> None:
        self._send = send
        self._headers = headers or []
        self._is_begun = False
        self._lock = anyio.Lock(fast_acquire=True)
        self.is_ended = False
        self.quiet_since = time.monotonic()
        self.is_finished = False
        """Whether it was told to finish."""
        self.scope: anyio.CancelScope | None = None
        """What ``finish`` cancels: the wait of a task that only keeps the response open."""

    async def write(self, frames: bytes) -> None:
        """Send whole events, opening the response first where that has not been done."""
        async with self._lock:
            await self._write(frames)

    async def end(self, frames: bytes = b"") -> None:
        """Send the last events and end the response."""
        async with self._lock:
            if self.is_ended:
                return
            if frames:
                await self._write(frames)
            self.is_ended = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def keep_alive(self) -> None:
        """Send a sign of life where nothing else is being sent."""
        if not self._lock.locked():
            await self.write(KEEP_ALIVE)

    def finish(self) -> None:
        """Release the task that keeps the response open; it ends the response."""
        self.is_finished = True
        if self.scope is not None:
            self.scope.cancel()

    async def _write(self, frames: bytes) -> None:
        if self.is_ended:
            return
        if not self._is_begun:
            self._is_begun = True
            headers = [*HEADERS, *self._headers]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        if len(frames) <= PART_BYTES:
            await self._send({"type": "http.response.body", "body": frames, "more_body": True})
        else:
            # An event that is broken off would spoil the ones after it.
            with anyio.CancelScope(shield=True):
                rest = memoryview(frames)
                while rest:
                    await self._send({"type": "http.response.body", "body": rest[:PART_BYTES], "more_body": True})
                    rest = rest[PART_BYTES:]
        self.quiet_since = time.monotonic()

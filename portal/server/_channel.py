"""One resumable stream of a session: what was sent on it, and over which response it goes at the moment.

MCP 2025-11-25, Streamable HTTP, "Resumability and Redelivery". A response can be cut off at any time; a client that
comes back with the id of the last event that it saw gets the others, once, in their order. An event id is
``{channel}-{number}``.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

import anyio

from portal.server._event_stream import event

if TYPE_CHECKING:
    from collections.abc import Callable

    from portal.server._event_stream import EventStream

KEPT_BYTES: Final = 2**18
"""What one channel keeps for clients that come back; the newest event is kept whatever its size."""
KEPT_EVENTS: Final = 256
KEPT_S: Final = 60.0
"""How long a channel that has ended may still be resumed; clients come back within a second or two."""
MAX_TOTAL_BYTES: Final = 2**26
"""What all channels of a process keep together; beyond it what was sent is not kept, nor what cannot be sent now."""
RETRY_MS: Final = 1_000
"""When a client whose stream was cut off should come back."""
MAX_RESPONSES: Final = 4
"""Responses that one channel is open on at once; the oldest makes place for a fifth."""
_PRIMED_SINCE: Final = "2025-11-25"


class KeptBytes:
    """How much the channels of a process keep together."""

    def __init__(self) -> None:
        self.total = 0


class Channel:
    """A stream of a session, over one response or several after each other.

    ``on_lost`` is called when the last response was cut off before the end. Events wait while there is none; those of
    a response that was cut off are sent again when the client says what it saw last.
    """

    __slots__ = (
        "_events",
        "_kept",
        "_last",
        "_lock",
        "_sent",
        "_size",
        "_streams",
        "_version",
        "ended_at",
        "is_closed",
        "key",
        "on_lost",
    )

    def __init__(self, key: int, *, version: str, kept: KeptBytes) -> None:
        self.key = key
        self.ended_at: float | None = None
        self.is_closed = False
        self.on_lost: Callable[[], None] = _nothing
        self._version = version
        self._kept = kept
        self._size = 0
        self._events: deque[tuple[int, bytes]] = deque()
        self._last = 0
        self._sent = 0
        self._streams: list[EventStream] = []
        self._lock = anyio.Lock(fast_acquire=True)

    @property
    def is_attached(self) -> bool:
        """Whether there is a response over which events go."""
        return bool(self._streams)

    @property
    def unsent(self) -> int:
        """How many events wait for a response."""
        return self._last - self._sent

    async def send(self, data: bytes) -> None:
        """Send one message, now or when the client comes back."""
        self._add(data)
        await self._flush()

    async def attach(self, stream: EventStream, *, after: int | None = None) -> None:
        """Send over ``stream`` from now on, first what came ``after`` that number, or has not been sent at all."""
        opening = b"retry: %d\n" % RETRY_MS
        if self._version >= _PRIMED_SINCE:
            # Earlier clients take an event without data for a broken message.
            opening += b"id: %d-%d\ndata:\n\n" % (self.key, self._sent if after is None else after)
        await stream.write(opening)
        if after is not None:
            self._sent = min(after, self._last)
        self._streams.append(stream)
        if len(self._streams) > MAX_RESPONSES:
            self._streams.pop(0).finish()
        await self._flush()
        if self.ended_at is not None:
            stream.finish()

    def detach(self, stream: EventStream) -> None:
        """Send no more over ``stream``: its client is gone, or it has ended."""
        if stream in self._streams:
            self._streams.remove(stream)
            if not self._streams and self.ended_at is None:
                self.on_lost()

    def finish(self) -> None:
        """End every response that it is open on."""
        for stream in tuple(self._streams):
            stream.finish()

    async def end(self, last: bytes) -> None:
        """Send the last message and end the response that it went over."""
        self._add(last)
        self.ended_at = time.monotonic()
        await self._flush()
        self.finish()
        if self.is_attached and self._size > KEPT_BYTES:
            self.forget()

    def close(self) -> None:
        """End every response that it is open on, and keep nothing more: its session has ended."""
        self.is_closed = True
        self.finish()
        self.forget()

    def forget(self) -> None:
        """Keep nothing more for clients that come back."""
        self._events.clear()
        self._sent = self._last
        self._count(-self._size)

    def _add(self, data: bytes) -> None:
        self._last += 1
        frame = event(data, event_id=b"%d-%d" % (self.key, self._last))
        is_full = self.is_closed or self._kept.total + len(frame) > MAX_TOTAL_BYTES
        if is_full and not self.is_attached:
            return
        self._events.append((self._last, frame))
        self._count(len(frame))

    async def _flush(self) -> None:
        async with self._lock:
            try:
                await self._send_waiting()
            finally:
                self._trim()

    async def _send_waiting(self) -> None:
        while self._streams:
            waiting = next((kept for kept in self._events if kept[0] > self._sent), None)
            if waiting is None:
                break
            before, stream = self._sent, self._streams[-1]
            await stream.write(waiting[1])
            # Unless the client went away meanwhile, or came back and said what it saw last.
            if self._sent == before and stream in self._streams:
                self._sent = waiting[0]

    def _trim(self) -> None:
        if self.is_closed:
            self.forget()
        while len(self._events) > 1 and (self._size > KEPT_BYTES or len(self._events) > KEPT_EVENTS):
            self._drop_first()
        while self._events and self._events[0][0] <= self._sent and self._kept.total > MAX_TOTAL_BYTES:
            self._drop_first()

    def _drop_first(self) -> None:
        number, frame = self._events.popleft()
        self._sent = max(self._sent, number)
        self._count(-len(frame))

    def _count(self, size: int) -> None:
        self._size += size
        self._kept.total += size


def _nothing() -> None:
    """Do nothing."""

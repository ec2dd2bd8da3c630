"""Server-sent events, read from bytes as they come (WHATWG HTML, section 9.2.6); no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portal.upstream._failures import TransportFailure, too_large

if TYPE_CHECKING:
    from collections.abc import Callable

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. ``id`` and ``retry_ms`` are None where it has none; an event may consist of nothing else."""

    data: bytes
    type: str = "message"
    id: str | None = None
    retry_ms: int | None = None


class EventReader:
    """Takes bytes and gives the events that are complete. ``limit`` says how long an event may be at the moment."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._pending = bytearray()
        self._searched = 0
        self._is_first = True
        self._after_return = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Take a chunk. Raises ``TransportFailure`` when an event has become too large, or is not UTF-8."""
        if self._is_first and chunk:
            chunk, self._is_first = chunk.removeprefix(_BOM), False
        if self._after_return:  # a line that ended with the last chunk's CR may have its LF here
            chunk, self._after_return = chunk.removeprefix(b"\n"), False
        if b"\r" in chunk:
            self._after_return = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        pending, limit = self._pending, self._limit()
        pending += chunk
        events: list[Event] = []
        start = 0
        while (end := pending.find(b"\n\n", max(start, self._searched))) >= 0:
            if end - start > limit:
                raise too_large(limit)
            event = _read(pending[start:end])
            if event is not None:
                events.append(event)
            start = self._searched = end + 2
        if start:
            del pending[:start]
        self._searched = max(len(pending) - 1, 0)
        if len(pending) > limit:
            raise too_large(limit)
        return events


def _read(block: bytearray) -> Event | None:
    """Read the lines of one event; None for one that says nothing, such as a comment that keeps a stream alive."""
    if block.startswith(b"data: ") and b"\n" not in block:  # the common case
        return Event(bytes(block[6:]))
    data: list[bytes] = []
    kind, event_id, retry_ms = "message", None, None
    for line in bytes(block).split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"data":
                data.append(value)
            case b"event":
                kind = _text(value) or "message"
            case b"id" if b"\0" not in value:
                event_id = _text(value)
            case b"retry" if value.isdigit():
                retry_ms = int(value[:9])
            case _:
                pass
    if not data and event_id is None and retry_ms is None:
        return None
    return Event(b"\n".join(data), kind, event_id, retry_ms)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise TransportFailure("an event that is not UTF-8", kind="not_mcp") from None

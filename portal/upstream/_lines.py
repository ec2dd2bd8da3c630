"""Lines of bytes, read as they come; one that is too long is passed over, and its ends tell whose answer it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from portal.wire import END_BYTES, kind_of_unread

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line that was longer than ``limit_bytes``. ``request_id`` is that of the request which it answers, where an end
    of the line says so; ``is_answer`` is False where it begins as a request or a notification, which answers none."""

    size_bytes: int
    limit_bytes: int
    request_id: int | None
    is_answer: bool = True


class LineReader:
    """Takes bytes and gives the lines that are complete. ``limit`` says how long a line may be at the moment."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._pending = bytearray()
        self._passed = 0
        self._exceeded = 0

    def feed(self, chunk: bytes) -> list[bytes | TooLong]:
        """Take a chunk."""
        *complete, rest = chunk.split(b"\n")
        lines: list[bytes | TooLong] = []
        for piece in complete:
            self._add(piece)
            lines.append(self._taken())
        self._add(rest)
        return lines

    def _add(self, piece: bytes) -> None:
        self._pending += piece
        if self._exceeded or len(self._pending) > self._limit():
            self._exceeded = self._exceeded or self._limit()
            surplus = len(self._pending) - 2 * END_BYTES
            if surplus > 0:
                del self._pending[END_BYTES:-END_BYTES]
                self._passed += surplus

    def _taken(self) -> bytes | TooLong:
        line, self._pending = bytes(self._pending), bytearray()
        passed, self._passed = self._passed, 0
        exceeded, self._exceeded = self._exceeded, 0
        if not exceeded:
            return line
        found = kind_of_unread(line)
        is_answer = found is None or found.is_answer
        request_id = found.request_id if found is not None and is_answer else None
        answered = request_id if isinstance(request_id, int) else None  # our own ids are integers
        return TooLong(passed + len(line), exceeded, answered, is_answer=is_answer)

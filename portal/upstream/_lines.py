"""Lines of bytes, read as they come; one that is too long is passed over, and its ends tell whose answer it was."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_END_BYTES: Final = 256
# JSON-RPC says no order; these are those in which libraries write, an answer's id before the result or after it.
_VERSION: Final = rb'"jsonrpc"\s*:\s*"2\.0"'
_BEGIN: Final = re.compile(
    rb'\s*\{\s*(?:%b\s*,\s*)?(?:"id"\s*:\s*(?:(\d{1,18})|"[^"\\]*")\s*,\s*)?(?:%b\s*,\s*)?"(method|result|error)"\s*:'
    % (_VERSION, _VERSION)
)
_END: Final = re.compile(rb',\s*"id"\s*:\s*(\d{1,18})\s*(?:,\s*%b\s*)?\}\s*\Z' % _VERSION)


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
            surplus = len(self._pending) - 2 * _END_BYTES
            if surplus > 0:
                del self._pending[_END_BYTES:-_END_BYTES]
                self._passed += surplus

    def _taken(self) -> bytes | TooLong:
        line, self._pending = bytes(self._pending), bytearray()
        passed, self._passed = self._passed, 0
        exceeded, self._exceeded = self._exceeded, 0
        if not exceeded:
            return line
        begin = _BEGIN.match(line[:_END_BYTES])
        is_answer = begin is None or begin[2] != b"method"
        request_id = None
        if begin is not None and is_answer:
            found = begin if begin[1] is not None else _END.search(line[-_END_BYTES:])
            request_id = int(found[1]) if found is not None else None
        return TooLong(passed + len(line), exceeded, request_id, is_answer=is_answer)

"""Lines of bytes, read as they come; one that is too long is passed over, and its ends tell whose answer it was."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_END_BYTES: Final = 256
# JSON-RPC says no order; these are the two in which libraries write an answer, its id before the result or after it.
_ID_FIRST: Final = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,18})\s*,')
_ID_LAST: Final = re.compile(rb',\s*"id"\s*:\s*(\d{1,18})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z')


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line that was longer than ``limit_bytes``, of which the id of an answer is known where it stood at an end."""

    size_bytes: int
    limit_bytes: int
    request_id: int | None


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
        found = _ID_FIRST.match(line[:_END_BYTES]) or _ID_LAST.search(line[-_END_BYTES:])
        return TooLong(passed + len(line), exceeded, int(found[1]) if found else None)

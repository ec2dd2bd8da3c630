"""The completed calls of a run: what a corrected program, sent again with ``resume``, need not send again."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from engine._json_text import json_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine._catalog import CatalogTool
    from typegen import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCall:
    """One completed call: the tool's identifier, its arguments in canonical JSON, and the MCP result as JSON."""

    identifier: str
    arguments: bytes
    result: bytes


class Journal:
    """Answers the calls that an earlier run completed, and notes those that this run completes.

    A call is the same when tool and arguments are equal: the nth such call is answered with the nth such result.

    At most ``max_bytes`` of calls are kept for a later run. Reads are left out first, the latest of them before others:
    to make one again costs time, to make a change again may cost more, and an nth read must stay the nth. As many
    bytes of the latest results are kept beside them, to tell what they looked like.
    """

    def __init__(self, earlier: Iterable[KeptCall] = (), *, max_bytes: int) -> None:
        self._earlier: dict[tuple[str, bytes], deque[bytes]] = defaultdict(deque)
        for call in earlier:
            self._earlier[call.identifier, call.arguments].append(call.result)
        self._changes: list[KeptCall] = []
        self._reads: list[KeptCall] = []
        self._room_bytes = max_bytes
        self._keeps_changes = True
        self._keeps_reads = True
        self._latest: deque[tuple[CatalogTool, bytes]] = deque()
        self._latest_room_bytes = max_bytes

    def replay(self, entry: CatalogTool, arguments: JsonObject) -> JsonObject | None:
        """Return the result that the earlier run has for this call, and use it up; None when the call must be made."""
        if not self._earlier:
            return None
        results = self._earlier.get((entry.identifier, _canonical(arguments)))
        if not results:
            return None
        result: JsonObject = orjson.loads(results.popleft())
        return result

    def note(self, entry: CatalogTool, arguments: JsonObject, result: JsonObject) -> None:
        """Keep a call that succeeded, whether it was made or replayed."""
        call = KeptCall(identifier=entry.identifier, arguments=_canonical(arguments), result=_kept(result))
        self._latest.append((entry, call.result))
        self._latest_room_bytes -= len(call.result)
        while self._latest_room_bytes < 0:
            self._latest_room_bytes += len(self._latest.popleft()[1])
        is_kept = self._keeps_reads if entry.is_read_only else self._keeps_changes
        if is_kept:
            (self._reads if entry.is_read_only else self._changes).append(call)
            self._room_bytes -= _size(call)
        while self._room_bytes < 0 and self._reads:
            self._room_bytes += _size(self._reads.pop())
            self._keeps_reads = False
        if self._room_bytes < 0:
            self._changes.clear()
            self._keeps_changes = False

    def results(self) -> Iterator[tuple[CatalogTool, JsonObject]]:
        """Yield the latest results of completed calls, the last one first."""
        for entry, result in reversed(self._latest):
            yield entry, orjson.loads(result)

    def kept_calls(self) -> tuple[KeptCall, ...] | None:
        """Return the calls to keep, None when the changes alone are too large."""
        return (*self._changes, *self._reads) if self._keeps_changes else None


def _canonical(arguments: JsonObject) -> bytes:
    return json_text(arguments, sorts_keys=True)


def _kept(result: JsonObject) -> bytes:
    try:
        return json_text(result)
    except ValueError as error:  # the program could not read it either; that the call completed is what counts
        text = f"the call completed; its result cannot be passed on: {error}"
        return json_text({"content": [{"type": "text", "text": text}]})


def _size(call: KeptCall) -> int:
    return len(call.arguments) + len(call.result)

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
    """

    def __init__(self, earlier: Iterable[KeptCall] = ()) -> None:
        self._earlier: dict[tuple[str, bytes], deque[bytes]] = defaultdict(deque)
        for call in earlier:
            self._earlier[call.identifier, call.arguments].append(call.result)
        self._completed: list[tuple[CatalogTool, bytes, JsonObject]] = []

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
        self._completed.append((entry, _canonical(arguments), result))

    def results(self) -> Iterator[tuple[CatalogTool, JsonObject]]:
        """Yield the results of completed calls, the last one first."""
        for entry, _, result in reversed(self._completed):
            yield entry, result

    def kept_calls(self, max_bytes: int) -> tuple[KeptCall, ...] | None:
        """Return the calls to keep within ``max_bytes``, None when even the changes alone exceed it.

        Reads are left out first: to make one again costs time, to make a change again may cost more.
        """
        changes: list[KeptCall] = []
        reads: list[KeptCall] = []
        for entry, arguments, result in self._completed:
            call = KeptCall(identifier=entry.identifier, arguments=arguments, result=_kept(result))
            (reads if entry.is_read_only else changes).append(call)
        room = max_bytes - sum(map(_size, changes))
        if room < 0:
            return None
        kept_reads: list[KeptCall] = []
        for call in reads:
            room -= _size(call)
            if room < 0:
                break
            kept_reads.append(call)
        return (*changes, *kept_reads)


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

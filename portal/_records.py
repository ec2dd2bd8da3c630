"""One structured record for every call that leaves through the invoker and for every run: a row each, and a log line.

Arguments and results are not in them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from dataclasses import fields as fields_of
from typing import TYPE_CHECKING, Final, Literal

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

    from portal.store import Records
    from typegen import JsonObject

LOGGER: Final = logging.getLogger("portico.records")
LOG_EVERY_S: Final = 0.02
"""Too short for a person to notice, and at 1,000 calls a second the time of twenty lines."""

CallStatus = Literal["ok", "tool_error", "error", "timeout", "unknown", "cancelled", "asked", "denied"]
"""``unknown``: the connection broke, and what the call did is not known, as after a ``timeout``; ``asked``: the
upstream answered with a question; ``denied``: the user's word was needed and not had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One tool call: for whom, where to, how it ended. ``run`` is None for a call that a client made directly.

    ``request_bytes`` and ``response_bytes`` are the arguments and the result as compact JSON.
    """

    user: str
    portal: str
    server: str
    tool: str
    status: CallStatus
    duration_ms: float
    request_bytes: int
    response_bytes: int
    run: str | None = None
    code: int | str | None = None
    time: float = field(default_factory=time.time)

    def as_json(self) -> JsonObject:
        """Return its fields. (``dataclasses.asdict`` copies each value deeply, which is most of a record's cost.)"""
        return {name: getattr(self, name) for name in _CALL_FIELDS}


_CALL_FIELDS: Final = tuple(each.name for each in fields_of(CallRecord))


class Recorder:
    """Notes each record for the store, which has it when ``write_call`` or ``write_run`` returns, and then logs it.

    Nobody waits for the line of the log: the lines of ``LOG_EVERY_S`` are written together, out of the way of the
    answers; ``write_lines`` does that now.
    """

    def __init__(self, stored: Records | None = None) -> None:
        self._stored = stored
        self._unlogged: list[tuple[str, Callable[[], JsonObject]]] = []

    def write_call(self, record: CallRecord) -> None:
        """Write the record of one call."""
        if self._stored is not None:
            self._stored.note_call(record)
        self._log_soon("call", record.as_json)

    def write_run(self, record: JsonObject, *, user: str, portal: str) -> None:
        """Write the record of one run, as the engine describes it."""
        fields: JsonObject = {"time": time.time(), "user": user, "portal": portal, **record}
        if self._stored is not None:
            self._stored.note_run(fields)
        self._log_soon("run", lambda: fields)

    def write_lines(self) -> None:
        """Write the lines that wait."""
        unlogged, self._unlogged = self._unlogged, []
        for kind, as_json in unlogged:
            _log(kind, as_json())

    def _log_soon(self, kind: str, as_json: Callable[[], JsonObject]) -> None:
        if not LOGGER.isEnabledFor(logging.INFO):
            return
        if not self._unlogged:
            asyncio.get_running_loop().call_later(LOG_EVERY_S, self.write_lines)
        self._unlogged.append((kind, as_json))


def _log(kind: str, fields: JsonObject) -> None:
    text = orjson.dumps({"kind": kind, **fields}).decode()
    # In place of LOGGER.info, which looks for the line that called it: that took a third of what a line takes.
    LOGGER.handle(LOGGER.makeRecord(LOGGER.name, logging.INFO, __file__, 0, text, (), None))

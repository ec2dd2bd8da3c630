"""What a run has said and used up to now, and the outcome made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox._errors import ProtocolError
from sandbox._frames import Tag
from sandbox._outcome import LogLine, Outcome, Usage
from sandbox._records import EndRecord, read_call, read_log

if TYPE_CHECKING:
    from sandbox._calls import HostCall
    from sandbox._errors import GuestError
    from sandbox._frames import Report
    from sandbox._limits import Limits

_LOG_OVERHEAD_BYTES = 64  # what a console line's record holds beside the text that the limit counts
_ESCAPED = 6  # a byte of text is at most six of JSON


class Transcript:
    """Collects the reports of one run; the guest keeps its limits itself, and one that does not is out of order."""

    def __init__(self, limits: Limits, source: bytes) -> None:
        self._limits = limits
        self._source = source
        self.is_again = False
        self._forget()

    def restart(self) -> None:
        """Forget everything: the program is started again."""
        self.is_again = True
        self._forget()

    def _forget(self) -> None:
        self.calls = 0
        self.cpu_us = 0
        self.end: EndRecord | None = None
        self._logs: list[LogLine] = []
        self._log_bytes = 0
        self._turns = 0
        self._memory_bytes = 0

    def take(self, report: Report) -> list[HostCall]:
        """Add a report and return the host calls in it. Raises ``ProtocolError`` when it is not as agreed."""
        self.cpu_us = report.cpu_us
        self._memory_bytes = report.memory_bytes or self._memory_bytes  # not known of a turn that trapped
        turn = self._turns + 1
        self._turns += report.is_last
        calls: list[HostCall] = []
        for tag, record in report.records:
            if tag == Tag.LOG:
                self._add_log(record)
            elif tag == Tag.CALL:
                calls.append(self._add_call(record, turn))
            elif tag == Tag.END:
                self._take_end(EndRecord(record, source=self._source))
            else:
                raise ProtocolError("a worker sent a record of an unknown kind")
        return calls

    def outcome(self, error: GuestError | None, *, wall_s: float) -> Outcome:
        """Return what the run came to, with ``error`` as its end."""
        end = self.end
        return Outcome(
            value=end.value if end is not None and error is None else None,
            error=error,
            logs=tuple(self._logs),
            unhandled=end.unhandled if end is not None else (),
            unawaited=end.unawaited if end is not None else (),
            unawaited_count=end.unawaited_count if end is not None else 0,
            dropped_timers=end.dropped_timers if end is not None else 0,
            usage=Usage(
                cpu_s=self.cpu_us / 1e6,
                wall_s=wall_s,
                calls=self.calls,
                turns=self._turns,
                memory_bytes=self._memory_bytes,
            ),
        )

    def _take_end(self, end: EndRecord) -> None:
        if len(end.value or b"") > self._limits.result_bytes:
            raise ProtocolError("an isolate sent a result past its limit")
        self.end = end

    def _add_log(self, record: bytes) -> None:
        self._log_bytes += max(1, len(record) - _LOG_OVERHEAD_BYTES)  # as in the guest, an empty line counts
        if self._log_bytes > self._limits.log_bytes * _ESCAPED:
            raise ProtocolError("an isolate sent more console output than its limit")
        self._logs.append(read_log(record))

    def _add_call(self, record: bytes, turn: int) -> HostCall:
        call = read_call(record, turn=turn)
        self.calls += 1
        if self.calls > self._limits.calls or len(call.args) > self._limits.call_bytes:
            raise ProtocolError("an isolate sent a host call past its limits")
        return call

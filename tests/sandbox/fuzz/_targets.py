"""The host's decoders of what comes out of a guest or a worker, as one function over bytes each.

Driven by coverage with ``make fuzz``, and with the kept inputs by test_corpus.py. A target raises what is a fault.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sandbox import Limits
from sandbox import _frames as frames
from sandbox._errors import ProtocolError
from sandbox._frames import FrameError, FrameReader, Kind, Report
from sandbox._records import EndRecord, read_call, read_log
from sandbox._transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Callable


def read_records(data: bytes) -> None:
    """A record of an isolate, as each of the three kinds."""
    for read in (read_call, read_log, EndRecord):
        with suppress(ProtocolError):
            read(data)


def read_frames(data: bytes) -> None:
    """Bytes of a worker, in two pieces."""
    reader = FrameReader()
    with suppress(FrameError):
        for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
            for kind, _, payload in reader.feed(piece):
                _read_frame(kind, payload)


def read_reports(data: bytes) -> None:
    """The payload of a worker's report, and what a run makes of it."""
    for decode in (frames.decode_turn, frames.decode_failed):
        with suppress(FrameError):
            _follow(decode(data))


def _read_frame(kind: int, payload: bytes) -> None:
    if kind == Kind.TICK:
        frames.decode_tick(payload)
    elif kind == Kind.TURN:
        _follow(frames.decode_turn(payload))
    elif kind == Kind.FAILED:
        _follow(frames.decode_failed(payload))


def _follow(report: Report) -> None:
    transcript = Transcript(Limits(), b"1\n2")
    with suppress(ProtocolError):
        transcript.take(report)
    transcript.outcome(None, wall_s=0.0)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "records": read_records,
    "frames": read_frames,
    "reports": read_reports,
}

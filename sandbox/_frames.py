"""The frames that a portal and a worker exchange over their socket pair. No I/O here.

A frame is a 9-byte header (payload length, kind, run) and a payload. From the portal:

* ``START``   limits, clock, seed, setup and source of a new run
* ``SETTLE``  clock, and a JSON array of answers to host calls of a run
* ``STOP``    forget a run; no answer follows

From the worker; every ``START`` and ``SETTLE`` is answered by a ``FAILED`` or by the last ``TURN`` of its turn:

* ``READY``   once, a JSON object: it is sealed and waits for runs
* ``TURN``    what a run handed over in a turn: host calls, console lines, perhaps its end
* ``FAILED``  a run is over without an end record, and why
* ``TICK``    the turn that a worker is in has lasted long, and goes on

Between a portal and its analyst, each request is answered by the reply of its number:

* ``ANALYSE``   the namespace's name, and a program
* ``ANALYSIS``  a JSON object: what is certain of that program

A turn that a timer began answers no frame, so ``TURN`` and ``FAILED`` say whether they answer one. Where it was short
and has nothing to hand over, it is not told of at all.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ANALYSE = struct.Struct("<I")
_HEADER = struct.Struct("<IBI")
_START = struct.Struct("<QIQ32sI")
_SETTLE = struct.Struct("<QI")
_TICK = struct.Struct("<Q")
_REPORT = struct.Struct("<QQQBBB")
_RECORD = struct.Struct("<BI")

MAX_PAYLOAD_BYTES = 160 * 2**20  # twice the largest text limit and room for the rest; checked before anything is kept
TURN_CHUNK_BYTES = 1 * 2**20  # a turn that hands over more is sent in several frames, so that none grows without bound


class Kind(enum.IntEnum):
    """What a frame says; values below 16 come from the portal."""

    START = 1
    SETTLE = 2
    STOP = 3
    ANALYSE = 4
    READY = 16
    TURN = 17
    FAILED = 18
    TICK = 19
    ANALYSIS = 20


class Tag(enum.IntEnum):
    """What a record of a ``TURN`` is."""

    CALL = 1
    LOG = 2
    END = 3


class Cause(enum.IntEnum):
    """Why a run ended without an end record; ``WORKER`` is no fault of the program, which may be started again."""

    CPU = 1
    MEMORY = 2
    STACK = 3
    UNSETTLED = 4
    TRAP = 5
    PROTOCOL = 6
    WORKER = 7
    STOPPED = 8


class FrameError(ValueError):
    """Raised for bytes that are no frame of this protocol."""


class Start(NamedTuple):
    """The payload of ``START``."""

    cpu_limit_us: int
    memory_bytes: int
    clock_us: int
    seed: bytes
    setup: bytes
    source: bytes


class Report(NamedTuple):
    """The payload of ``TURN``, and of ``FAILED`` with a ``cause``; ``records`` are ``(tag, JSON text)``.

    ``memory_bytes`` is what the run's heap holds, ``grown_bytes`` what its isolate has grown by, and keeps to its end.
    With ``has_timer`` there may be a turn that answers nothing, before any host call is answered.
    """

    cpu_us: int
    memory_bytes: int
    is_last: bool
    is_answer: bool
    records: tuple[tuple[int, bytes], ...] = ()
    cause: Cause | None = None
    grown_bytes: int = 0
    has_timer: bool = False


def encode(kind: Kind, run: int, *payload: bytes) -> bytes:
    """Return one frame with the parts of its payload, each copied once; ``run`` is 0 where no run is meant."""
    return b"".join((_HEADER.pack(sum(map(len, payload)), kind, run), *payload))


def encode_start(run: int, start: Start) -> bytes:
    """Return a ``START`` frame."""
    cpu_limit_us, memory_bytes, clock_us, seed, setup, source = start
    head = _START.pack(cpu_limit_us, memory_bytes, clock_us, seed, len(setup))
    return encode(Kind.START, run, head, setup, source)


def decode_start(payload: bytes) -> Start:
    """Read the payload of a ``START`` frame."""
    cpu_limit_us, memory_bytes, clock_us, seed, setup_bytes = _START.unpack_from(payload)
    source_at = _START.size + setup_bytes
    return Start(
        cpu_limit_us=cpu_limit_us,
        memory_bytes=memory_bytes,
        clock_us=clock_us,
        seed=seed,
        setup=payload[_START.size : source_at],
        source=payload[source_at:],
    )


def encode_settle(run: int, settlements: Sequence[bytes], *, clock_us: int) -> bytes:
    """Return a ``SETTLE`` frame; each settlement is the text of a JSON object."""
    head = _SETTLE.pack(clock_us, len(settlements))
    return encode(Kind.SETTLE, run, head, b"[", b",".join(settlements), b"]")


def decode_settle(payload: bytes) -> tuple[int, int, bytes]:
    """Read the payload of ``SETTLE``: the clock in microseconds, how many settlements, and the text of their array."""
    clock_us, count = _SETTLE.unpack_from(payload)
    return clock_us, count, payload[_SETTLE.size :]


def encode_turn(
    run: int,
    records: Sequence[tuple[Tag, bytes]],
    *,
    cpu_us: int,
    memory_bytes: int,
    is_answer: bool,
    grown_bytes: int = 0,
    has_timer: bool = False,
) -> Iterator[bytes]:
    """Yield the ``TURN`` frames of one turn; all but the last one are as full as ``TURN_CHUNK_BYTES`` says."""
    parts: list[bytes] = []
    size = 0
    for tag, record in records:
        if size + len(record) > TURN_CHUNK_BYTES and parts:
            head = _REPORT.pack(cpu_us, memory_bytes, grown_bytes, False, is_answer, has_timer)
            yield encode(Kind.TURN, run, head, *parts)
            parts, size = [], 0
        parts += (_RECORD.pack(tag, len(record)), record)
        size += len(record)
    head = _REPORT.pack(cpu_us, memory_bytes, grown_bytes, True, is_answer, has_timer)
    yield encode(Kind.TURN, run, head, *parts)


def encode_failed(run: int, cause: Cause, *, cpu_us: int, memory_bytes: int, is_answer: bool) -> bytes:
    """Return a ``FAILED`` frame."""
    return encode(Kind.FAILED, run, _REPORT.pack(cpu_us, memory_bytes, 0, True, is_answer, False) + bytes((cause,)))


def decode_turn(payload: bytes) -> Report:
    """Read the payload of a ``TURN`` frame. Raises ``FrameError`` when it is not one."""
    try:
        cpu_us, memory_bytes, grown_bytes, is_last, is_answer, has_timer = _REPORT.unpack_from(payload)
        records: list[tuple[int, bytes]] = []
        at = _REPORT.size
        while at < len(payload):
            tag, size = _RECORD.unpack_from(payload, at)
            at += _RECORD.size
            if at + size > len(payload):
                raise FrameError("a record goes past its frame")
            records.append((tag, payload[at : at + size]))
            at += size
    except struct.error as error:
        raise FrameError("a turn's frame is too short") from error
    return Report(
        cpu_us=cpu_us,
        memory_bytes=memory_bytes,
        is_last=bool(is_last),
        is_answer=bool(is_answer),
        records=tuple(records),
        grown_bytes=grown_bytes,
        has_timer=bool(has_timer),
    )


def decode_failed(payload: bytes) -> Report:
    """Read the payload of a ``FAILED`` frame. Raises ``FrameError`` when it is not one."""
    if len(payload) != _REPORT.size + 1:
        raise FrameError("a failure's frame has the wrong size")
    cpu_us, memory_bytes, _, _, is_answer, _ = _REPORT.unpack_from(payload)
    try:
        cause = Cause(payload[-1])
    except ValueError as error:
        raise FrameError("a failure has an unknown cause") from error
    return Report(cpu_us=cpu_us, memory_bytes=memory_bytes, is_last=True, is_answer=bool(is_answer), cause=cause)


def encode_tick(run: int, *, cpu_us: int) -> bytes:
    """Return a ``TICK`` frame: the processor time of the run up to now."""
    return encode(Kind.TICK, run, _TICK.pack(cpu_us))


def decode_tick(payload: bytes) -> int:
    """Read the payload of a ``TICK`` frame: processor time in microseconds. Raises ``FrameError``."""
    if len(payload) != _TICK.size:
        raise FrameError("a tick's frame has the wrong size")
    return int(_TICK.unpack(payload)[0])


def encode_analyse(namespace: bytes, source: bytes) -> bytes:
    """Return the payload of ``ANALYSE``: the name of the namespace, and a program."""
    return b"".join((_ANALYSE.pack(len(namespace)), namespace, source))


def decode_analyse(payload: bytes) -> tuple[bytes, bytes]:
    """Read the payload of ``ANALYSE``: namespace and source."""
    (size,) = _ANALYSE.unpack_from(payload)
    return payload[_ANALYSE.size : _ANALYSE.size + size], payload[_ANALYSE.size + size :]


class FrameReader:
    """Cuts a stream of bytes into frames ``(kind, run, payload)``."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> list[tuple[int, int, bytes]]:
        """Take more bytes and return the frames that are complete now. Raises ``FrameError`` at a length too large."""
        kept = self._buffer
        if kept:
            kept += data
            with memoryview(kept) as view:
                frames, end = _cut(view)
            if end:
                del kept[:end]
        else:  # most often whole frames arrive: nothing is kept of them
            frames, end = _cut(data)
            if end < len(data):
                kept += data[end:]
        return frames


def _cut(data: bytes | memoryview) -> tuple[list[tuple[int, int, bytes]], int]:
    """Return the frames that ``data`` begins with, and where the last one ends."""
    frames: list[tuple[int, int, bytes]] = []
    at, have = 0, len(data)
    while have - at >= _HEADER.size:
        size, kind, run = _HEADER.unpack_from(data, at)
        if size > MAX_PAYLOAD_BYTES:
            raise FrameError("a frame is too large")
        begin = at + _HEADER.size
        if begin + size > have:
            break
        at = begin + size
        frames.append((kind, run, bytes(data[begin:at])))
    return frames, at

"""One isolate: a fresh QuickJS in its own linear memory, for one run, advanced turn by turn.

The host's half of the ABI in sandbox/guest/README.md. What comes out of the memory is untrusted: a program that has
found a hole in QuickJS can write anything there, so each address, length and record is checked before it is used.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from wasmtime import TrapCode

from sandbox._errors import ProtocolError
from sandbox._instance import Instance, Trapped
from sandbox._limits import MEMORY_BESIDE_HEAP_BYTES

if TYPE_CHECKING:
    from sandbox._guest import GuestModule

TrapKind: TypeAlias = Literal["interrupt", "memory", "stack", "other"]

_ABI_VERSION = 3
_RECORD_HEAD = struct.Struct("<IB")  # length, kind
_CALL, _LOG, _END = b"CLE"
_WAITING, _ENDED, _INTERRUPTED = 0, 1, 2
_SEED_BYTES = 32

_KINDS: dict[TrapCode, TrapKind] = {TrapCode.INTERRUPT: "interrupt", TrapCode.STACK_OVERFLOW: "stack"}


class _Control(ctypes.LittleEndianStructure):
    """The control block of guest.h, where it lies in linear memory; only looked at between turns."""

    _fields_ = (
        ("abi", ctypes.c_uint32),
        ("interrupt", ctypes.c_uint32),
        ("clock_us", ctypes.c_int64),
        ("seed", ctypes.c_uint8 * _SEED_BYTES),
        ("inbox", ctypes.c_uint32),
        ("inbox_capacity", ctypes.c_uint32),
        ("outbox", ctypes.c_uint32),
        ("outbox_length", ctypes.c_uint32),
        ("wake_at_us", ctypes.c_int64),
        ("memory_used", ctypes.c_uint32),
        ("calls_outstanding", ctypes.c_uint32),
    )
    abi: int
    interrupt: int
    clock_us: int
    inbox: int
    inbox_capacity: int
    outbox: int
    outbox_length: int
    wake_at_us: int
    memory_used: int


_SEED_AT = _Control.seed.offset


class IsolateTrap(Exception):  # noqa: N818 - named for what happened
    """Raised when the guest stopped without an end record; the isolate is dead.

    ``kind`` is ``interrupt`` (the flag or the epoch), ``memory`` (what the host sent does not fit), ``stack`` (native)
    or ``other``; ``logs`` are the console lines of the turn.
    """

    def __init__(self, kind: TrapKind, logs: tuple[bytes, ...] = ()) -> None:
        super().__init__(kind)
        self.kind = kind
        self.logs = logs


class Turn(NamedTuple):
    """What one turn handed over; each record is the JSON text that the guest wrote.

    ``end`` is there when the run is over. Without it, and with no call out and no ``wake_at_us``, it can never go on.
    """

    calls: tuple[bytes, ...]
    logs: tuple[bytes, ...]
    end: bytes | None
    wake_at_us: int | None


class Isolate:
    """One isolate for one run: ``start``, then ``settle`` until a turn has an ``end``.

    ``prepare`` may come first, at any time ahead of the run. Not for two threads at once, but for ``interrupt``.
    """

    def __init__(self, module: GuestModule, *, memory_bytes: int) -> None:
        self._instance = Instance(module, max_memory_bytes=memory_bytes + MEMORY_BESIDE_HEAP_BYTES)
        self._lock = threading.Lock()  # between interrupt() and close(): the flag lies in memory that close() unmaps
        self._is_open = True
        self.memory_used = 0
        self.setup: bytes | None = None  # what it is prepared for
        if module.control_address is None:
            module.control_address = self._instance.call(b"portico_control")
            module.size_at_start = self._instance.size
        self._size_at_start = module.size_at_start
        self._control = self._instance.base + module.control_address
        self._block = _Control.from_address(self._control)

    @property
    def grown_bytes(self) -> int:
        """How much its memory has grown since it was made; it never shrinks."""
        return self._instance.size - self._size_at_start

    def prepare(self, setup: bytes) -> None:
        """Take in what a program is told of its host, without running any of it.

        Raises ``IsolateTrap``, and ``ProtocolError`` when the guest or ``setup`` breaks the ABI.
        """
        self._check_open()
        if self.setup is not None:
            raise ValueError("an isolate is prepared once")
        self.setup = setup
        self._write_inbox(setup)
        try:
            status = self._instance.call(b"portico_prepare", len(setup))
        except Trapped as trap:
            raise IsolateTrap(_KINDS.get(trap.code, "other") if trap.code else "other") from trap
        if status:
            raise ProtocolError("an isolate refused its setup")

    def start(self, setup: bytes, source: bytes, *, clock_us: int, seed: bytes) -> Turn:
        """Run ``source`` until it waits or ends. ``clock_us`` counts from 1970; ``seed`` is 32 bytes.

        Prepares the isolate first, unless that was done with the same ``setup``. Raises as ``prepare`` does.
        """
        self._check_open()
        if len(seed) != _SEED_BYTES:
            raise ValueError("the seed is 32 bytes")
        if self.setup is None:
            self.prepare(setup)
        elif self.setup != setup:
            raise ValueError("the isolate was prepared for another setup")
        ctypes.memmove(self._control + _SEED_AT, seed, _SEED_BYTES)
        self._write_inbox(source)
        return self._turn(b"portico_start", len(source), clock_us=clock_us)

    def settle(self, settlements: bytes, *, clock_us: int) -> Turn:
        """Hand over answers, a JSON array of settlements (``[]`` wakes timers), and run until it waits or ends.

        Raises as ``start`` does.
        """
        self._check_open()
        self._write_inbox(settlements)
        return self._turn(b"portico_settle", len(settlements), clock_us=clock_us)

    def interrupt(self) -> None:
        """Stop the turn that is going on, at its next check of the flag; may be called by any thread."""
        with self._lock:
            if self._is_open:
                self._block.interrupt = 1

    def close(self) -> None:
        """Free the memory. May be called again."""
        with self._lock:
            self._is_open = False
            self._instance.close()

    def _check_open(self) -> None:
        if not self._is_open:
            raise ValueError("the isolate is closed")

    def _write_inbox(self, data: bytes) -> None:
        address = self._block.inbox
        if len(data) >= self._block.inbox_capacity:
            try:
                address = self._instance.call(b"portico_reserve", len(data)) & 0xFFFFFFFF
            except Trapped as trap:
                raise IsolateTrap("other") from trap
            if not address:
                raise IsolateTrap("memory")
        if address + len(data) >= self._instance.size:
            raise ProtocolError("an isolate put its inbox outside its memory")
        ctypes.memmove(self._instance.base + address, data, len(data))

    def _turn(self, name: bytes, length: int, *, clock_us: int) -> Turn:
        control = self._block
        control.clock_us = clock_us
        try:
            status = self._instance.call(name, length)
        except Trapped as trap:
            raise IsolateTrap(_KINDS.get(trap.code, "other") if trap.code else "other", self._logs_so_far()) from trap
        self.memory_used = control.memory_used
        if control.abi != _ABI_VERSION or status not in {_WAITING, _ENDED, _INTERRUPTED}:
            raise ProtocolError("an isolate refused its input or is not what it should be")
        calls, logs, end = self._read_outbox(control.outbox, control.outbox_length)
        if status == _INTERRUPTED:
            raise IsolateTrap("interrupt", logs)
        if (end is not None) != (status == _ENDED):
            raise ProtocolError("an isolate ended without an end record, or wrote one and did not end")
        wake_at_us = control.wake_at_us
        return Turn(calls=calls, logs=logs, end=end, wake_at_us=wake_at_us if wake_at_us >= 0 else None)

    def _read_outbox(self, address: int, length: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...], bytes | None]:
        if not length:
            return (), (), None
        if address + length > self._instance.size:
            raise ProtocolError("an isolate put its outbox outside its memory")
        data = ctypes.string_at(self._instance.base + address, length)
        calls: list[bytes] = []
        logs: list[bytes] = []
        ends: list[bytes] = []
        by_kind = {_CALL: calls, _LOG: logs, _END: ends}
        at = 0
        while at < length:
            if at + _RECORD_HEAD.size > length:
                raise ProtocolError("an isolate wrote half a record")
            size, kind = _RECORD_HEAD.unpack_from(data, at)
            at += _RECORD_HEAD.size
            if at + size > length or kind not in by_kind:
                raise ProtocolError("an isolate wrote a record that is not one")
            by_kind[kind].append(data[at : at + size])
            at += size
        if len(ends) > 1:
            raise ProtocolError("an isolate ended twice")
        return tuple(calls), tuple(logs), ends[0] if ends else None

    def _logs_so_far(self) -> tuple[bytes, ...]:
        try:
            return self._read_outbox(self._block.outbox, self._block.outbox_length)[1]
        except ProtocolError:
            return ()

"""A guest that leaves in its memory whatever a test says, as a program could that has found a hole in QuickJS."""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass

import wasmtime

from sandbox._guest import GuestModule, configure
from sandbox._isolate import Isolate

CONTROL_AT, STATUS_AT, RESERVED_AT = 1024, 2048, 2052
MEMORY_BYTES = 2 * 65_536
_CONTROL = struct.Struct("<II8s32sIIIIqII")  # struct Control of guest.h

# The exports of the ABI in sandbox/guest/README.md; what they return lies in memory.
_TEXT = f"""
(module
  (memory (export "memory") 2 2)
  (func (export "portico_control") (result i32) (i32.const {CONTROL_AT}))
  (func (export "portico_reserve") (param i32) (result i32) (i32.load (i32.const {RESERVED_AT})))
  (func (export "portico_prepare") (param i32) (result i32) (i32.const 0))
  (func (export "portico_start") (param i32) (result i32) (i32.load (i32.const {STATUS_AT})))
  (func (export "portico_settle") (param i32) (result i32) (i32.load (i32.const {STATUS_AT}))))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What the guest leaves: fields of its control block, what its calls return, and bytes of its memory."""

    abi: int = 3
    status: int = 0
    inbox: int = 4_096
    inbox_capacity: int = 65_536
    reserved: int = 0
    outbox: int = 70_000
    outbox_length: int = 0
    wake_at_us: int = -1
    memory: bytes = b""
    memory_at: int = 70_000


def make_module() -> GuestModule:
    """Compile the guest."""
    engine = wasmtime.Engine(configure())
    return GuestModule(engine, wasmtime.Module(engine, _TEXT))


def make_isolate(module: GuestModule, left: Left) -> Isolate:
    """Return an isolate whose next turn leaves ``left``."""
    isolate = Isolate(module, memory_bytes=2**20)
    base = isolate._instance.base
    control = _CONTROL.pack(
        left.abi,
        0,
        bytes(8),
        bytes(32),
        left.inbox,
        left.inbox_capacity,
        left.outbox,
        left.outbox_length,
        left.wake_at_us,
        0,
        0,
    )
    ctypes.memmove(base + CONTROL_AT, control, len(control))
    ctypes.memmove(base + STATUS_AT, struct.pack("<iI", left.status, left.reserved), 8)
    kept = left.memory[: MEMORY_BYTES - left.memory_at]
    ctypes.memmove(base + left.memory_at, kept, len(kept))
    return isolate

"""Make the guest's snapshot: run its initialisation once, and save the linear memory it leaves behind into the module.

An isolate then starts with runtime, context and prelude in place, and the pages of memory that it does not write stay
shared with all others. The format is WebAssembly's own: the memory becomes data segments. Nothing else has to be saved,
because the only mutable global of the module is the stack pointer, which is back at its start between calls.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import wasmtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_MAGIC = b"\0asm\1\0\0\0"
_CUSTOM, _IMPORT, _MEMORY, _GLOBAL, _EXPORT, _START, _DATA, _DATA_COUNT = 0, 2, 5, 6, 7, 8, 11, 12
_I32, _MUTABLE, _I32_CONST, _END = 0x7F, 1, 0x41, 0x0B
_WASM_PAGE = 64 * 1024
# What a short run needs beyond the snapshot. More is grown in steps of a megabyte, at a few microseconds each, and all
# of it counts towards what a worker may map, whether it is written or not.
_ROOM = 128 * 1024
_GRAIN = 4096  # the host's page: memory is shared, copied and counted by it
_BUILD_ONLY = {"_initialize", "portico_init", "portico_prelude", "portico_seal"}
INPUTS_SECTION = "portico.inputs"


class _Section(NamedTuple):
    kind: int
    body: bytes


class GuestBuildError(Exception):
    """The guest could not be built; the text says what to do."""


def make_snapshot(bare: bytes, prelude: Sequence[tuple[str, str]], *, inputs: str) -> bytes:
    """Return ``bare`` initialised with the prelude files ``(name, source)``, marked as made of ``inputs``."""
    sections = list(_sections(bare))
    stack_top = _stack_top(sections)
    memory = _initialise(bare, prelude, stack_top=stack_top)
    made: list[_Section] = []
    for section in sections:
        if section.kind == _IMPORT:
            raise GuestBuildError("the guest imports something: an isolate must not reach its host by a call")
        if section.kind in {_CUSTOM, _START, _DATA_COUNT}:
            continue
        if section.kind == _MEMORY:
            made.append(_Section(_MEMORY, b"\1\0" + _leb(len(memory) // _WASM_PAGE)))
        elif section.kind == _EXPORT:
            made.append(_Section(_EXPORT, _without_build_exports(section.body)))
        elif section.kind != _DATA:
            made.append(section)
    made.append(_Section(_DATA, _data_segments(memory)))
    made.append(_Section(_CUSTOM, _name(INPUTS_SECTION) + inputs.encode()))
    return _MAGIC + b"".join(bytes([kind]) + _leb(len(body)) + body for kind, body in made)


def inputs_of(module: bytes) -> str | None:
    """Return what a module says it was made of, or ``None`` when it says nothing."""
    prefix = _name(INPUTS_SECTION)
    for section in _sections(module):
        if section.kind == _CUSTOM and section.body.startswith(prefix):
            return section.body[len(prefix) :].decode()
    return None


def _initialise(bare: bytes, prelude: Sequence[tuple[str, str]], *, stack_top: int) -> bytearray:
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    exports = wasmtime.Instance(store, wasmtime.Module(engine, bare), []).exports(store)
    memory = exports["memory"]
    if not isinstance(memory, wasmtime.Memory):
        raise GuestBuildError("the guest exports no memory")

    def call(name: str, *arguments: int) -> int | None:
        function: Callable[..., int | None] = exports[name]  # type: ignore[assignment]  # an export may be of any kind
        return function(store, *arguments)

    call("_initialize")
    if call("portico_init") != 0:
        raise GuestBuildError("QuickJS did not start")
    for name, source in prelude:
        text = source.encode()
        address = call("portico_reserve", len(text))
        if not address:
            raise GuestBuildError(f"{name} is too large for the guest's memory")
        memory.write(store, text, address)
        if call("portico_prelude", len(text)) != 0:
            raise GuestBuildError(f"{name} failed: {_last_record(memory, store, call('portico_control') or 0)}")
    end = (call("portico_seal") or 0) + _ROOM
    image = memory.read(store, 0, -(-end // _WASM_PAGE) * _WASM_PAGE)
    image[:stack_top] = bytes(stack_top)  # what the calls above left on their stack
    return image


def _last_record(memory: wasmtime.Memory, store: wasmtime.Store, control: int) -> str:
    fields = memory.read(store, control + 56, control + 64)  # outbox and outbox_length of the control block
    address, length = int.from_bytes(fields[:4], "little"), int.from_bytes(fields[4:], "little")
    record = bytes(memory.read(store, address, address + length)[5:])
    return json.dumps(json.loads(record), indent=1) if record else "no reason given"


def _sections(module: bytes) -> Iterator[_Section]:
    if not module.startswith(_MAGIC):
        raise GuestBuildError("not a WebAssembly module of version 1")
    at = len(_MAGIC)
    while at < len(module):
        kind = module[at]
        size, at = _read_leb(module, at + 1)
        yield _Section(kind, module[at : at + size])
        at += size


def _stack_top(sections: Sequence[_Section]) -> int:
    """Return the initial stack pointer, the only mutable global; below it lies the stack, above it everything else."""
    body = next(section.body for section in sections if section.kind == _GLOBAL)
    count, at = _read_leb(body, 0)
    if count != 1 or body[at : at + 3] != bytes([_I32, _MUTABLE, _I32_CONST]):
        raise GuestBuildError("the guest has globals beside its stack pointer: a snapshot has to save them")
    top, at = _read_leb(body, at + 3, is_signed=True)
    if body[at] != _END:
        raise GuestBuildError("the guest's stack pointer is not a constant")
    return top


def _without_build_exports(body: bytes) -> bytes:
    count, at = _read_leb(body, 0)
    kept: list[bytes] = []
    for _ in range(count):
        begin = at
        size, at = _read_leb(body, at)
        name = body[at : at + size].decode()
        _, at = _read_leb(body, at + size + 1)
        if name not in _BUILD_ONLY:
            kept.append(body[begin:at])
    return _leb(len(kept)) + b"".join(kept)


def _data_segments(memory: bytearray) -> bytes:
    """Cover what is not zero, in runs of whole host pages."""
    segments: list[bytes] = []
    run_start: int | None = None
    zero = bytes(_GRAIN)
    for at in range(0, len(memory) + _GRAIN, _GRAIN):
        is_zero = at >= len(memory) or bytes(memory[at : at + _GRAIN]) == zero
        if run_start is None and not is_zero:
            run_start = at
        elif run_start is not None and is_zero:
            data = bytes(memory[run_start:at])
            segments.append(
                b"\0" + bytes([_I32_CONST]) + _signed_leb(run_start) + bytes([_END]) + _leb(len(data)) + data
            )
            run_start = None
    return _leb(len(segments)) + b"".join(segments)


def _name(text: str) -> bytes:
    return _leb(len(text.encode())) + text.encode()


def _leb(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | 0x80 if value else low)
        if not value:
            return bytes(out)


def _signed_leb(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        is_last = (value == 0 and not low & 0x40) or (value == -1 and bool(low & 0x40))
        out.append(low if is_last else low | 0x80)
        if is_last:
            return bytes(out)


def _read_leb(data: bytes, at: int, *, is_signed: bool = False) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return (value - (1 << shift) if is_signed and byte & 0x40 else value), at

"""One WebAssembly instance, by the shortest way through wasmtime's C API.

wasmtime's Python classes look up types and wrap values on each call: an instance with its exports takes them 60 us and
a call 12, against 20 and 1 here. An isolate lives for a few calls, so that is most of what starting one costs.
The functions are the C API's own, by the names of its documentation; the version is pinned. They are declared anew with
plain addresses, because ctypes takes as long to check a typed pointer as wasmtime to do what it is asked.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from wasmtime import WasmtimeError
from wasmtime import _bindings as c
from wasmtime._ffi import dll
from wasmtime._trap import TrapCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox._guest import GuestModule

_FAR_EPOCH = 1  # the epoch is only ever raised to stop what runs, so one tick is the deadline
_NO_LIMIT = -1
_FUNCTIONS_MOST = 5  # exports that are called

_address, _size, _u64, _i64 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64, ctypes.c_int64


def _declare(name: str, result: object, *arguments: object) -> Callable[..., int | None]:
    """Return a function of the C API. It is called without the GIL."""
    return ctypes.CFUNCTYPE(result, *arguments)((name, dll))  # type: ignore[arg-type] # of ctypes, all of them


_store_new = _declare("wasmtime_store_new", _address, _address, _address, _address)
_store_context = _declare("wasmtime_store_context", _address, _address)
_store_limiter = _declare("wasmtime_store_limiter", None, _address, _i64, _i64, _i64, _i64, _i64)
_store_delete = _declare("wasmtime_store_delete", None, _address)
_set_epoch_deadline = _declare("wasmtime_context_set_epoch_deadline", None, _address, _u64)
_instantiate = _declare("wasmtime_instance_pre_instantiate", _address, _address, _address, _address, _address)
_export_get = _declare(
    "wasmtime_instance_export_get", ctypes.c_bool, _address, _address, ctypes.c_char_p, _size, _address
)
_memory_data = _declare("wasmtime_memory_data", _address, _address, _address)
_memory_data_size = _declare("wasmtime_memory_data_size", _size, _address, _address)
_func_call = _declare("wasmtime_func_call_unchecked", _address, _address, _address, _address, _size, _address)


class _Scratch(ctypes.Structure):
    """What wasmtime reads and writes by address, in one piece of memory for an instance."""

    _fields_ = (
        ("instance", c.wasmtime_instance_t),
        ("memory", c.wasmtime_extern_t),
        ("functions", c.wasmtime_extern_t * _FUNCTIONS_MOST),
        ("value", ctypes.c_int32),  # of a wasmtime_val_raw_t: the argument, then the result
        ("_value_rest", ctypes.c_uint8 * (ctypes.sizeof(c.wasmtime_val_raw_t) - 4)),
        ("trap", _address),
    )
    value: int
    trap: int | None


def _offset(structure: type[ctypes.Structure], field: str) -> int:
    return int(getattr(structure, field).offset)


_MEMORY_AT = _offset(_Scratch, "memory")
_FUNCTIONS_AT = _offset(_Scratch, "functions")
_VALUE_AT = _offset(_Scratch, "value")
_TRAP_AT = _offset(_Scratch, "trap")
_OF = _offset(c.wasmtime_extern_t, "of")  # where what is exported is in its wasmtime_extern_t
_EXTERN_BYTES = ctypes.sizeof(c.wasmtime_extern_t)


class Trapped(Exception):  # noqa: N818 - named for what happened
    """Raised when WebAssembly code trapped; ``code`` is wasmtime's, ``None`` when it gives none."""

    def __init__(self, code: TrapCode | None) -> None:
        super().__init__(code.name if code else "unknown")
        self.code = code


class Instance:
    """A store with one instance of the guest in it. Not for use by two threads at once.

    Its linear memory lies at ``base`` and has ``size`` bytes, as wasmtime told when the last call had returned.
    """

    __slots__ = ("_context", "_functions", "_scratch", "_start", "_store", "base", "size")

    def __init__(self, module: GuestModule, *, max_memory_bytes: int) -> None:
        self._store = _store_new(module.engine_address, None, None)
        self._context = _store_context(self._store)
        self._functions: dict[bytes, int] = {}
        self._scratch = _Scratch()
        self._start = start = ctypes.addressof(self._scratch)
        _store_limiter(self._store, max_memory_bytes, _NO_LIMIT, 1, _NO_LIMIT, 1)
        _set_epoch_deadline(self._context, _FAR_EPOCH)
        error = _instantiate(module.instance_pre_address, self._context, start, start + _TRAP_AT)
        try:
            if error or self._scratch.trap:
                self._raise(error)
            self._find(b"memory", start + _MEMORY_AT)
        except BaseException:
            self.close()
            raise
        self.base = _memory_data(self._context, start + _MEMORY_AT + _OF) or 0  # never moves: memory_may_move is off
        self.size = _memory_data_size(self._context, start + _MEMORY_AT + _OF) or 0

    def call(self, name: bytes, argument: int = 0) -> int:
        """Call an export of at most one ``i32`` that returns one. Raises ``Trapped``.

        The GIL is released while it runs. The epoch deadline starts anew: a tick from before is not this call's.
        """
        function = self._functions.get(name)
        if function is None:
            at = self._start + _FUNCTIONS_AT + len(self._functions) * _EXTERN_BYTES
            if len(self._functions) == _FUNCTIONS_MOST:
                raise ValueError("an instance has room for so many exports only")
            self._find(name, at)
            function = self._functions[name] = at + _OF
        start, scratch = self._start, self._scratch
        _set_epoch_deadline(self._context, _FAR_EPOCH)
        scratch.value = argument
        error = _func_call(self._context, function, start + _VALUE_AT, 1, start + _TRAP_AT)
        self.size = _memory_data_size(self._context, start + _MEMORY_AT + _OF) or 0
        if error or scratch.trap:
            self._raise(error)
        return scratch.value

    def close(self) -> None:
        """Free the memory; the instance is gone. May be called again."""
        store, self._store = self._store, None
        if store is not None:
            _store_delete(store)

    def _find(self, name: bytes, at: int) -> None:
        """Write the export called ``name`` to this address."""
        if not _export_get(self._context, self._start, name, len(name), at):
            raise WasmtimeError(f"the guest has no export {name.decode()}")

    def _raise(self, error: int | None) -> None:
        """Raise what wasmtime says, and free it."""
        if error:
            raise WasmtimeError._from_ptr(ctypes.cast(error, ctypes.POINTER(c.wasmtime_error_t)))  # noqa: SLF001 - as wasmtime's own classes turn it into text
        trap = ctypes.cast(self._scratch.trap or 0, ctypes.POINTER(c.wasm_trap_t))
        self._scratch.trap = None
        code = ctypes.c_uint8()
        has_code = c.wasmtime_trap_code(trap, ctypes.byref(code))
        c.wasm_trap_delete(trap)
        raise Trapped(TrapCode(code.value) if has_code else None)

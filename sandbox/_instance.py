"""One WebAssembly instance, by the shortest way through wasmtime's C API.

wasmtime's Python classes look up types and wrap values on each call: an instance with its exports takes them 60 us and
a call 12, against 25 and 2 here. An isolate lives for a few calls, so that is most of what starting one costs.
The functions are the C API's own, by the names of its documentation; the version is pinned.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from wasmtime import WasmtimeError
from wasmtime import _bindings as c
from wasmtime._trap import TrapCode

if TYPE_CHECKING:
    from sandbox._guest import GuestModule

_FAR_EPOCH = 1  # the epoch is only ever raised to stop what runs, so one tick is the deadline
_NO_LIMIT = -1
_NO_FINALIZER = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))
_TRAP_POINTER = ctypes.POINTER(c.wasm_trap_t)
_ARGUMENTS = c.wasmtime_val_raw_t * 2


class Trapped(Exception):  # noqa: N818 - named for what happened
    """Raised when WebAssembly code trapped; ``code`` is wasmtime's, ``None`` when it gives none."""

    def __init__(self, code: TrapCode | None) -> None:
        super().__init__(code.name if code else "unknown")
        self.code = code


class Instance:
    """A store with one instance of the guest in it. Not for use by two threads at once."""

    __slots__ = ("_context", "_functions", "_instance", "_memory", "_store", "base")

    def __init__(self, module: GuestModule, *, max_memory_bytes: int) -> None:
        store = c.wasmtime_store_new(module.engine.ptr(), None, _NO_FINALIZER)
        self._store: ctypes._Pointer[c.wasmtime_store_t] | None = store
        self._context = c.wasmtime_store_context(store)
        self._functions: dict[bytes, c.wasmtime_func_t] = {}
        c.wasmtime_store_limiter(store, max_memory_bytes, _NO_LIMIT, 1, _NO_LIMIT, 1)
        c.wasmtime_context_set_epoch_deadline(self._context, _FAR_EPOCH)
        self._instance = c.wasmtime_instance_t()
        trap = _TRAP_POINTER()
        error = c.wasmtime_instance_pre_instantiate(
            module.instance_pre.ptr(), self._context, ctypes.byref(self._instance), ctypes.byref(trap)
        )
        try:
            self._check(error, trap)
            self._memory = self._export(b"memory").of.memory
        except BaseException:
            self.close()
            raise
        address = ctypes.cast(c.wasmtime_memory_data(self._context, ctypes.byref(self._memory)), ctypes.c_void_p).value
        self.base = address or 0  # never moves: memory_may_move is off

    def size(self) -> int:
        """Return the bytes of linear memory."""
        return c.wasmtime_memory_data_size(self._context, ctypes.byref(self._memory))

    def call(self, name: bytes, first: int = 0, second: int = 0) -> int:
        """Call an export of up to two ``i32`` that returns one. Raises ``Trapped``.

        The GIL is released while it runs. The epoch deadline starts anew: a tick from before is not this call's.
        """
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = self._export(name).of.func
        c.wasmtime_context_set_epoch_deadline(self._context, _FAR_EPOCH)
        values = _ARGUMENTS()
        values[0].i32 = first
        values[1].i32 = second
        trap = _TRAP_POINTER()
        error = c.wasmtime_func_call_unchecked(
            self._context, ctypes.byref(function), values, len(values), ctypes.byref(trap)
        )
        self._check(error, trap)
        return values[0].i32

    def close(self) -> None:
        """Free the memory; the instance is gone. May be called again."""
        store, self._store = self._store, None
        if store is not None:
            c.wasmtime_store_delete(store)

    def _export(self, name: bytes) -> c.wasmtime_extern_t:
        item = c.wasmtime_extern_t()
        if not c.wasmtime_instance_export_get(
            self._context,
            ctypes.byref(self._instance),
            ctypes.create_string_buffer(name),
            len(name),
            ctypes.byref(item),
        ):
            raise WasmtimeError(f"the guest has no export {name.decode()}")
        return item

    @staticmethod
    def _check(error: ctypes._Pointer[c.wasmtime_error_t], trap: ctypes._Pointer[c.wasm_trap_t]) -> None:
        if error:
            raise WasmtimeError._from_ptr(error)  # noqa: SLF001 - as wasmtime's own classes turn it into text
        if not trap:
            return
        code = ctypes.c_uint8()
        has_code = c.wasmtime_trap_code(trap, ctypes.byref(code))
        c.wasm_trap_delete(trap)
        raise Trapped(TrapCode(code.value) if has_code else None)

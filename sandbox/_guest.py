"""The guest as native code: how it is compiled, and the module that isolates are made of.

Compiling takes seconds and loading the result a millisecond, so it is compiled once a machine and user.
"""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path

import wasmtime
from wasmtime import _bindings as bindings

from sandbox._module_cache import GUEST_PATH, check_private, make_private, path_in

# What the guest's own limits (JS_STACK_BYTES in guest.h, and that for C code in build.py) come to on the native stack
# in the deepest recursions that were tried; past them the program gets a RangeError, past this one a trap. It has to
# fit into the stack of the thread that runs turns: 8 MiB for a main thread, by every system's default.
_MAX_WASM_STACK_BYTES = 6 * 2**20
_ASYNC_STACK_BYTES = (
    2 * _MAX_WASM_STACK_BYTES
)  # not used, but it has to be larger: wasmtime aborts the process otherwise
_UNUSED_FEATURES = (
    "wasm_component_model",
    "wasm_custom_page_sizes",
    "wasm_exceptions",
    "wasm_function_references",
    "wasm_gc",
    "wasm_memory64",
    "wasm_multi_memory",
    "wasm_reference_types",
    "wasm_relaxed_simd",  # before SIMD, which it needs
    "wasm_simd",
    "wasm_stack_switching",
    "wasm_tail_call",
    "wasm_threads",
    "wasm_wide_arithmetic",
    "gc_support",
    "shared_memory",
)


def configure() -> wasmtime.Config:
    """Return the configuration for engines that run the guest; for each change, ``CONFIG_VERSION`` goes up.

    Cranelift, core WebAssembly, and nothing of it that the guest does not use: the advisories of the last years were in
    the other compilers, in SIMD, threads, references and the component model.
    """
    config = wasmtime.Config()
    bindings.wasmtime_config_async_stack_size_set(config.ptr(), _ASYNC_STACK_BYTES)
    bindings.wasmtime_config_wasm_component_model_async_set(config.ptr(), False)  # asks for reference types
    config.max_wasm_stack = _MAX_WASM_STACK_BYTES
    config.strategy = "cranelift"
    config.epoch_interruption = True
    config.memory_may_move = False  # the base address of a memory is looked up once
    for feature in _UNUSED_FEATURES:
        setattr(config, feature, False)
    return config


class GuestModule:
    """The compiled guest in one engine; isolates are made of it. Keep one a process."""

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module) -> None:
        self.engine = engine
        self.instance_pre = wasmtime.Linker(engine).instantiate_pre(module)
        # Of wasmtime's own structures, which live as long as this: an isolate is made by them.
        self.engine_address = ctypes.cast(engine.ptr(), ctypes.c_void_p).value
        self.instance_pre_address = ctypes.cast(self.instance_pre.ptr(), ctypes.c_void_p).value
        self.control_address: int | None = None  # the same in every isolate, as is the next; the first one asks
        self.size_at_start = 0

    @classmethod
    def from_serialized(cls, source: Path | bytes) -> GuestModule:
        """Load what ``precompile`` wrote. It is native code: the source must be one that only this user can write.

        Raises ``wasmtime.WasmtimeError`` when it was made by another version or configuration of wasmtime.
        """
        engine = wasmtime.Engine(configure())
        if isinstance(source, bytes):
            return cls(engine, wasmtime.Module.deserialize(engine, source))
        return cls(engine, wasmtime.Module.deserialize_file(engine, str(source)))

    def increment_epoch(self) -> None:
        """Stop every turn that is going on in this process, at its next loop or call; may be called by any thread."""
        self.engine.increment_epoch()


def precompile(cache_dir: Path) -> Path:
    """Return the compiled guest in ``cache_dir``, compiling it if it is not there yet (some seconds).

    The folder is made private to the user. Raises ``PermissionError`` when it belongs to somebody else or others can
    write it.
    """
    make_private(cache_dir)
    compiled = path_in(cache_dir)
    if compiled.exists():
        check_private(compiled)
        return compiled
    engine = wasmtime.Engine(configure())
    native = wasmtime.Module.from_file(engine, str(GUEST_PATH)).serialize()
    with tempfile.NamedTemporaryFile(dir=cache_dir, prefix=".guest-", delete=False) as file:  # made with mode 0600
        file.write(native)
    Path(file.name).replace(compiled)  # two processes may do this at once: either result is whole
    return compiled


def load_module(cache_dir: Path) -> GuestModule:
    """Return the guest ready to make isolates of; compiles it first if ``cache_dir`` does not hold it yet."""
    return GuestModule.from_serialized(precompile(cache_dir))

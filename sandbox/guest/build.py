"""Build ``sandbox/guest.wasm`` from pinned sources: quickjs-ng, the C shim and the JavaScript prelude of this folder.

    python sandbox/guest/build.py [--force]

Needs ``ziglang`` (the C compiler, from PyPI) and ``wasmtime`` in this Python; hatch_build.py asks for them when the
guest is stale. The same inputs give the same bytes: no path, date or host enters the module. Two results are kept: the
compiled C in ``build/guest``, so that a change of the prelude compiles nothing, and the module with the hash of all its
inputs in a custom section, by which it knows that it is stale.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
GUEST = HERE.parent / "guest.wasm"

QUICKJS_VERSION = "0.17.0.2"  # the PyPI sdist; its quickjs-ng is 0.17.0
QUICKJS_SHA256 = "43d2e48272208721a7aaea8e3f02d4b9318f12ef20cc4f5421b59d9a470706ef"
ZIGLANG = "ziglang==0.17.0"
WASMTIME = "wasmtime==50.0.1"  # the same as in pyproject.toml: the runtime's own version makes the snapshot

_QUICKJS_UNITS = ("libregexp.c", "libunicode.c", "dtoa.c")  # quickjs.c is inside engine.c
# The others depend on these, and not on each other.
_PRELUDE_FIRST = ("primordials.js", "limits.js", "percent.js", "url_record.js", "url_search_params.js")
# Without the encoding of table calls that came with reference types, so that the host can leave that proposal off.
_TARGET = ("-target", "wasm32-wasi", "-mcpu=lime1-call_indirect_overlong")
_COMPILE = (
    *_TARGET, "-O3", "-g0", "-std=gnu11",
    "-DNDEBUG", "-D_GNU_SOURCE", "-DQUICKJS_NG_BUILD", "-D_WASI_EMULATED_SIGNAL",
    "-funsigned-char", "-fwrapv", "-fno-strict-aliasing",  # as quickjs-ng's own build
)  # fmt: skip
_WARN = ("-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror")
# The stack in linear memory: what JavaScript may use of it (guest.h), what C may use on top of that, some to spare.
_LINK = (*_TARGET, "-O3", "-mexec-model=reactor", "-Wl,--strip-all", "-Wl,--gc-sections",
         "-Wl,-z,stack-size=1179648")  # fmt: skip

# Five changes to QuickJS.
#
# The engine measures its stack in linear memory, but recursion also uses the native stack, which it cannot see: 17
# times as much in JSON.stringify, a few times as much in a JavaScript function. One limit for both was either 800
# calls deep or ended in a trap. So C code has a limit of its own, counted from the function that called it. A frame
# above the stack is that of an async function or generator, on the heap, and says nothing; 0 and 1000 are what the
# JSON code and the parser ask for, and the resumption of such a function must not.
#
# A call is placed where its callee is named, not at the last place inside its arguments: for `f(\n  g()\n)` the
# engine told the line of `g`, and with that the wrong line for most calls that go over several. (At a `(`, the token's
# column is still that of the name before it.)
#
# What is in the snapshot is immortal, and immortal things are not counted (engine_seal): to use one would otherwise
# write to it, and a page that is written is one that the kernel copies for this run. With the next change, a run with a
# host call writes 22 pages in place of 53, which was most of what a fresh isolate cost.
#
# The first arena of a size is small. A run starts without any (engine_seal, again: the free places of the snapshot's
# arenas lie all over it), and needs a few blocks each of some twenty sizes.
#
# String.prototype.normalize without memory for its result failed without an error: what a program then caught was a
# value that no program may hold.
_C_STACK_BYTES = 192 * 1024
_OLD_CHECK = "    sp = js_get_stack_pointer() - alloca_size;\n    return unlikely(sp < rt->stack_limit);\n"
_NEW_CHECK = f"""\
    uintptr_t frame = (uintptr_t)rt->current_stack_frame;
    sp = js_get_stack_pointer() - alloca_size;
    if (!frame || (frame > rt->stack_top && (alloca_size == 0 || alloca_size == 1000)))
        frame = rt->stack_top;
    if (frame <= rt->stack_top && frame > sp && frame - sp > {_C_STACK_BYTES})
        return true;
    return unlikely(sp < rt->stack_limit);
"""
_LOOP_START = "        bool has_optional_chain = false;\n\n        if (s->token.val == TOK_QUESTION_MARK_DOT) {\n"
_CALLEE_PLACE = "        int callee_line = s->token.line_num, callee_column = s->token.col_num;\n"
_NOTE_CALLEE = "emit_source_loc_at(s, callee_line, callee_column);\n"
_RESUME = "(ctx->rt, {}))\n        return JS_ThrowStackOverflow(ctx);\n\n    /* the tag does not matter"
_COUNTING = """\
#define REF_COUNT_IMMORTAL 0x40000000 /* no program has memory for so many references */
static inline void js_ref_take(const void *p) {
    if (likely(JS_REF_COUNT(p) < REF_COUNT_IMMORTAL))
        JS_REF_COUNT(p)++;
}
static inline int js_ref_drop(const void *p) {
    return likely(JS_REF_COUNT(p) < REF_COUNT_IMMORTAL) ? --JS_REF_COUNT(p) : REF_COUNT_IMMORTAL;
}
"""
_FIRST_ARENA_BYTES = 1024
_ARENA_BLOCKS = "    n_blocks = (JS_ARENA_SIZE - sizeof(JSArena)) / block_size;\n"
_ARENA_BYTES = f"""\
    bool is_first = list_empty(&rt->arena_state.arena_list[block_size_idx]);
    int arena_bytes = is_first ? {_FIRST_ARENA_BYTES} : JS_ARENA_SIZE;
"""
_NORMALIZED = "    if (out_len < 0)\n        return {};\n    val = JS_NewUTF32String"
_PATCH = (
    (_OLD_CHECK, _NEW_CHECK),
    (_RESUME.format(0), _RESUME.format(1)),
    (_LOOP_START, _CALLEE_PLACE + _LOOP_START),
    ("parse_func_call2:\n                emit_source_loc(s);\n", "parse_func_call2:\n" + _NOTE_CALLEE),
    ("                /* apply function call */\n", _NOTE_CALLEE),
    ("            emit_func_call:\n", "            emit_func_call:\n" + _NOTE_CALLEE),
    ("#define JS_GC_TYPE(p) ", _COUNTING + "#define JS_GC_TYPE(p) "),
    (_ARENA_BLOCKS, _ARENA_BYTES + _ARENA_BLOCKS.replace("JS_ARENA_SIZE", "arena_bytes")),
    (_NORMALIZED.format("JS_EXCEPTION"), _NORMALIZED.format("JS_ThrowOutOfMemory(ctx)")),
)
# Every place that counts: what it looks like, what it becomes, and how often it is there.
_RECOUNT = (
    (r"(?m)^( +)JS_REF_COUNT\(([\w>-]+)\)\+\+;", r"\1js_ref_take(\2);", 19),
    (r"--JS_REF_COUNT\((\w+)\)( [<=>])", r"js_ref_drop(\1)\2", 7),
    (r"(?m)^( +)JS_REF_COUNT\((\w+)\)--;", r"\1js_ref_drop(\2);", 2),
)


def _snapshot() -> ModuleType:
    # By path, because importing the package `sandbox` needs what a build environment does not have.
    spec = importlib.util.spec_from_file_location("_portico_guest_snapshot", HERE / "snapshot.py")
    if spec is None or spec.loader is None:
        raise ImportError("snapshot.py is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _hash(*parts: bytes | str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def _c_sources() -> list[Path]:
    return sorted(HERE.glob("*.c"))


def _compile_inputs() -> str:
    files = [*_c_sources(), *sorted(HERE.glob("*.h"))]
    named = [part for file in files for part in (file.name, file.read_bytes())]
    return _hash(QUICKJS_SHA256, ZIGLANG, *_COMPILE, *_WARN, *_LINK, *_QUICKJS_UNITS, repr((_PATCH, _RECOUNT)), *named)


def _prelude() -> list[tuple[str, str]]:
    names = [
        *_PRELUDE_FIRST,
        *sorted(file.name for file in (HERE / "prelude").glob("*.js") if file.name not in _PRELUDE_FIRST),
    ]
    return [(name, (HERE / "prelude" / name).read_text(encoding="utf-8")) for name in names]


def inputs() -> str:
    """Return the hash of everything that the guest is made of."""
    prelude = [part for name_and_source in _prelude() for part in name_and_source]
    return _hash(_compile_inputs(), WASMTIME, (HERE / "snapshot.py").read_bytes(), *prelude)


def is_stale() -> bool:
    """Whether ``guest.wasm`` is missing or was made of other inputs. Needs nothing installed."""
    # The mark is the last section of the module: its text ends the file.
    return not GUEST.is_file() or not GUEST.read_bytes().endswith(inputs().encode())


def requirements() -> list[str]:
    """Return what a build needs now: nothing when the guest is fresh, no compiler when only the prelude changed."""
    if not is_stale():
        return []
    return [WASMTIME] if _bare_path().is_file() else ["pip", WASMTIME, ZIGLANG]


def build(*, force: bool = False) -> Path:
    """Build the guest unless it is fresh, and return its path."""
    if not force and not is_stale():
        return GUEST
    started = time.monotonic()
    bare = _bare_path()
    bare.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(bare.parent / "lock"):
        if force or not bare.is_file():
            _compile(bare)
    _say("initialising the engine and the prelude")
    module = _snapshot().make_snapshot(bare.read_bytes(), _prelude(), inputs=inputs())
    _replace(GUEST, module)
    sha256 = hashlib.sha256(module).hexdigest()
    _say(f"guest.wasm: {len(module):,} bytes, sha256 {sha256}, in {time.monotonic() - started:.0f} s")
    return GUEST


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Keep a second build waiting: it would remove the sources under the compiler's feet."""
    with lock.open("w") as file:
        if os.name == "posix":
            import fcntl  # noqa: PLC0415 - not on Windows

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _bare_path() -> Path:
    return ROOT / "build" / "guest" / f"bare-{_compile_inputs()[:16]}.wasm"


def _compile(bare: Path) -> None:
    if metadata.version("ziglang") != ZIGLANG.partition("==")[2]:
        raise RuntimeError(f"the guest is compiled with {ZIGLANG}: install exactly that")
    # The folder's name is always the same, because zig remembers what it compiled by path.
    work = bare.parent / "work"
    shutil.rmtree(work, ignore_errors=True)
    (work / "quickjs").mkdir(parents=True)
    cache = str(bare.parent / "zig")
    environ = os.environ | {
        # Zig builds its C library once and keeps it: beside our own results unless the user keeps a cache.
        "ZIG_GLOBAL_CACHE_DIR": os.environ.get("ZIG_GLOBAL_CACHE_DIR", cache),
        "ZIG_LOCAL_CACHE_DIR": cache,
    }
    _unpack_quickjs(_fetch_quickjs(bare.parent), work / "quickjs")
    for file in [*_c_sources(), *HERE.glob("*.h")]:
        shutil.copy(file, work)
    ours = [file.name for file in _c_sources()]
    names = [
        "engine.c",
        *(name for name in ours if name != "engine.c"),
        *(f"quickjs/{name}" for name in _QUICKJS_UNITS),
    ]

    def compile_unit(name: str) -> str:
        compiled = f"{Path(name).stem}.o"
        strictness = _WARN if name in ours and name != "engine.c" else ("-w",)  # engine.c includes quickjs.c
        arguments = (*_COMPILE, *strictness, "-include", "quiet.h", "-Iquickjs", "-c", name, "-o", compiled)
        _zig("cc", *arguments, cwd=work, environ=environ)
        _say(f"compiled {name}")
        return compiled

    _say(f"compiling QuickJS {QUICKJS_VERSION} for WebAssembly (under a minute, and only when its C sources change)")
    first = compile_unit(names[0])  # alone: the compiler sets itself up, and this unit is most of the work
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        objects = [first, *threads.map(compile_unit, names[1:])]
    # In this order, because clock.o has to come before engine.o asks libc for the clock.
    _zig("cc", *_LINK, *sorted(objects), "-o", "bare.wasm", cwd=work, environ=environ)
    _replace(bare, (work / "bare.wasm").read_bytes())
    shutil.rmtree(work)


def _zig(*arguments: str, cwd: Path, environ: dict[str, str]) -> None:
    done = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-m", "ziglang", *arguments], cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"zig {' '.join(arguments)} failed:\n{done.stderr[-4000:]}")


def _fetch_quickjs(folder: Path) -> Path:
    """Return the pinned sdist, from ``folder`` or from the package index that pip is configured to use."""
    for sdist in folder.glob("quickjs*ng-*.tar.gz"):
        if hashlib.sha256(sdist.read_bytes()).hexdigest() == QUICKJS_SHA256:
            return sdist
        sdist.unlink()
    _say(f"fetching the sources of quickjs-ng {QUICKJS_VERSION}")
    pin = folder / "quickjs.txt"
    pin.write_text(f"quickjs-ng=={QUICKJS_VERSION} --hash=sha256:{QUICKJS_SHA256}\n", encoding="utf-8")
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:", "--require-hashes")
    subprocess.run(  # noqa: S603 - our own arguments; pip checks the hash before it unpacks anything
        [sys.executable, "-m", "pip", "download", *options, "-r", str(pin), "-d", str(folder)], check=True
    )
    pin.unlink()
    return next(folder.glob("quickjs*ng-*.tar.gz"))


def _unpack_quickjs(sdist: Path, folder: Path) -> None:
    with tarfile.open(sdist) as archive:
        for member in archive:
            path = Path(member.name)
            content = archive.extractfile(member)
            if content is not None and path.parent.name == "upstream-quickjs" and path.suffix in {".c", ".h"}:
                (folder / path.name).write_bytes(content.read())
    source = folder / "quickjs.c"
    text = source.read_text(encoding="utf-8")
    for pattern, after, times in _RECOUNT:
        text, count = re.subn(pattern, after, text)
        if count != times:
            raise RuntimeError(f"quickjs.c is not the one that this was counted in: {pattern!r}, {count} times")
    for before, after in _PATCH:
        if text.count(before) != 1:
            raise RuntimeError(f"quickjs.c is not the one that this patch was made for: {before!r}")
        text = text.replace(before, after)
    source.write_text(text, encoding="utf-8")


def _replace(path: Path, content: bytes) -> None:
    """Write a file at once: a build that is interrupted leaves no half of it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def _say(text: str) -> None:
    sys.stderr.write(f"guest: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--force", action="store_true", help="build everything, even when nothing changed")
    build(force=parser.parse_args().force)

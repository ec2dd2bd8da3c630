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
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
GUEST = HERE.parent / "guest.wasm"

QUICKJS_VERSION = "0.17.0.2"  # the PyPI sdist; its quickjs-ng is 0.17.0
QUICKJS_SHA256 = "43d2e48272208721a7aaea8e3f02d4b9318f12ef20cc4f5421b59d9a470706ef"
ZIGLANG = "ziglang==0.17.0"
WASMTIME = "wasmtime==50.0.1"  # the same as in pyproject.toml: the runtime's own version makes the snapshot

_QUICKJS_UNITS = ("libregexp.c", "libunicode.c", "dtoa.c")  # quickjs.c is inside engine.c
_PRELUDE_FIRST = ("primordials.js", "limits.js")  # the others depend on these, and not on each other
# Without the encoding of table calls that came with reference types, so that the host can leave that proposal off.
_TARGET = ("-target", "wasm32-wasi", "-mcpu=lime1-call_indirect_overlong")
_COMPILE = (
    *_TARGET, "-O3", "-g0", "-std=gnu11",
    "-DNDEBUG", "-D_GNU_SOURCE", "-DQUICKJS_NG_BUILD", "-D_WASI_EMULATED_SIGNAL",
    "-funsigned-char", "-fwrapv", "-fno-strict-aliasing",  # as quickjs-ng's own build
)  # fmt: skip
_WARN = ("-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror")
# 1 MiB of stack for C: four times the limit that JavaScript keeps, which is measured on this stack.
_LINK = (*_TARGET, "-O3", "-mexec-model=reactor", "-Wl,--strip-all", "-Wl,--gc-sections",
         "-Wl,-z,stack-size=1048576")  # fmt: skip


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
    return _hash(QUICKJS_SHA256, ZIGLANG, *_COMPILE, *_WARN, *_LINK, *_QUICKJS_UNITS, *named)


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
    if force or not bare.is_file():
        _compile(bare)
    _say("initialising the engine and the prelude")
    module = _snapshot().make_snapshot(bare.read_bytes(), _prelude(), inputs=inputs())
    _replace(GUEST, module)
    sha256 = hashlib.sha256(module).hexdigest()
    _say(f"guest.wasm: {len(module):,} bytes, sha256 {sha256}, in {time.monotonic() - started:.0f} s")
    return GUEST


def _bare_path() -> Path:
    return ROOT / "build" / "guest" / f"bare-{_compile_inputs()[:16]}.wasm"


def _compile(bare: Path) -> None:
    if metadata.version("ziglang") != ZIGLANG.partition("==")[2]:
        raise RuntimeError(f"the guest is compiled with {ZIGLANG}: install exactly that")
    bare.parent.mkdir(parents=True, exist_ok=True)
    environ = os.environ | {
        # Zig builds its C library once and keeps it: beside our own results unless the user keeps a cache.
        "ZIG_GLOBAL_CACHE_DIR": os.environ.get("ZIG_GLOBAL_CACHE_DIR", str(bare.parent / "zig")),
        "ZIG_LOCAL_CACHE_DIR": str(bare.parent / "zig"),
    }
    with tempfile.TemporaryDirectory(dir=bare.parent) as folder:
        work = Path(folder)
        _unpack_quickjs(work)
        for file in [*_c_sources(), *HERE.glob("*.h")]:
            shutil.copy(file, work)
        names = ["engine.c", *(file.name for file in _c_sources() if file.name != "engine.c"), *_QUICKJS_UNITS]

        def compile_unit(name: str) -> None:
            is_ours = name not in _QUICKJS_UNITS and name != "engine.c"
            strictness = _WARN if is_ours else ("-w",)
            _zig("cc", *_COMPILE, *strictness, "-include", "quiet.h", "-Iquickjs", "-c", _unit(name), "-o", f"{name}.o",
                 cwd=work, environ=environ)  # fmt: skip
            _say(f"compiled {name}")

        _say(
            f"compiling QuickJS {QUICKJS_VERSION} for WebAssembly (under a minute, and only when its C sources change)"
        )
        compile_unit(names[0])  # first and alone: the compiler sets itself up, and this unit is most of the work
        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            list(threads.map(compile_unit, names[1:]))
        _zig("cc", *_LINK, *(f"{name}.o" for name in sorted(names)), "-o", "bare.wasm", cwd=work, environ=environ)
        _replace(bare, (work / "bare.wasm").read_bytes())


def _unit(name: str) -> str:
    return f"quickjs/{name}" if name in _QUICKJS_UNITS else name


def _zig(*arguments: str, cwd: Path, environ: dict[str, str]) -> None:
    done = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-m", "ziglang", *arguments], cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"zig {' '.join(arguments)} failed:\n{done.stderr[-4000:]}")


def _unpack_quickjs(work: Path) -> None:
    _say(f"fetching the sources of quickjs-ng {QUICKJS_VERSION}")
    pin = work / "quickjs.txt"
    pin.write_text(f"quickjs-ng=={QUICKJS_VERSION} --hash=sha256:{QUICKJS_SHA256}\n", encoding="utf-8")
    subprocess.run(  # noqa: S603 - our own arguments; pip checks the hash before anything is unpacked
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--no-binary", ":all:", "--require-hashes", "-r", str(pin), "-d", str(work)],
        check=True,
    )  # fmt: skip
    sdist = next(work.glob("quickjs*ng-*.tar.gz"))
    if hashlib.sha256(sdist.read_bytes()).hexdigest() != QUICKJS_SHA256:
        raise RuntimeError("the sources of quickjs-ng are not the pinned ones")
    (work / "quickjs").mkdir()
    with tarfile.open(sdist) as archive:
        for member in archive:
            path = Path(member.name)
            if member.isfile() and path.parent.name == "upstream-quickjs" and path.suffix in {".c", ".h"}:
                content = archive.extractfile(member)
                if content is not None:
                    (work / "quickjs" / path.name).write_bytes(content.read())


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

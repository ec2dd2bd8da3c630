"""The private cache of the compiled guest: its folder, and the name of a module in it.

A compiled module is native code that wasmtime runs without looking: it is only ever read from a folder that nobody else
can write. Nothing here loads wasmtime, which takes longer than all the rest of a sandbox's start.
"""

from __future__ import annotations

import hashlib
import os
import stat
from importlib import metadata
from pathlib import Path

GUEST_PATH = Path(__file__).with_name("guest.wasm")
CONFIG_VERSION = 2  # of _guest.configure(): part of the name, because a compiled module fits one configuration only


def path_in(cache_dir: Path) -> Path:
    """Return where the compiled guest is in ``cache_dir``, or would be. Raises as ``guest_digest``."""
    made_by = f"wasmtime-{metadata.version('wasmtime')}-{CONFIG_VERSION}"
    return cache_dir / f"guest-{guest_digest()[:32]}-{made_by}.cwasm"


def find_in(cache_dir: Path) -> Path | None:
    """Return the compiled guest if ``cache_dir`` holds it and is private to this user."""
    try:
        compiled = path_in(cache_dir)
        check_private(cache_dir)
        check_private(compiled)
    except OSError:  # not there, or to be refused: whoever compiles says so
        return None
    return compiled


def guest_digest() -> str:
    """Return the SHA-256 of the guest that this package carries.

    Raises ``FileNotFoundError`` when it was never built: install the package, or run ``python sandbox/guest/build.py``.
    """
    try:
        return hashlib.sha256(GUEST_PATH.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{GUEST_PATH} is missing: run `make venv`, or `python sandbox/guest/build.py` with ziglang installed"
        ) from None


def make_private(folder: Path) -> None:
    """Make the folder, for this user alone. Raises as ``check_private``."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.name == "posix" and folder.stat().st_uid == os.getuid():
        folder.chmod(0o700)
    check_private(folder)


def check_private(path: Path) -> None:
    """Raise ``PermissionError`` when others may have written ``path``, ``FileNotFoundError`` when it is not there."""
    status = path.lstat()
    if os.name == "posix" and (status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        raise PermissionError(f"{path} must belong to this user, and nobody else may write it: it holds native code")

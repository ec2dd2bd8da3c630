"""Compiling the guest in a process of its own: it takes seconds and memory, and the portal never loads wasmtime."""

from __future__ import annotations

import os
import sys
from pathlib import Path

UNUSABLE_FOLDER = 3  # exit status


def main(cache_dir: str) -> None:
    """Compile the guest into ``cache_dir`` unless it is there, and print the path; the entry of the process."""
    from sandbox._guest import precompile  # noqa: PLC0415 - the portal imports this module, for the name above

    try:
        path = precompile(Path(cache_dir))
    except OSError as error:
        sys.stderr.write(str(error))
        sys.exit(UNUSABLE_FOLDER)
    os.write(1, os.fsencode(path))

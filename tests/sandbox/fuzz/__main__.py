"""Fuzz one decoder with atheris, which looks for inputs that reach new code: ``make fuzz TARGET=records SECONDS=60``.

What it finds is printed and written to the folder that it was started with; a line of it in ``corpus/`` keeps it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sandbox", "json"]):
    from tests.sandbox.fuzz._corpus import kept_inputs
    from tests.sandbox.fuzz._targets import TARGETS

MAX_INPUT_BYTES = "4096"


def main() -> None:
    """Fuzz the target that the command line names for so many seconds; exits with 0 when nothing was found."""
    name, seconds = sys.argv[1], sys.argv[2]
    target = TARGETS[name]
    with tempfile.TemporaryDirectory(prefix="portico-fuzz-") as folder:
        for number, kept in enumerate(kept_inputs(name)):
            (Path(folder) / str(number)).write_bytes(kept)
        options = [f"-max_total_time={seconds}", f"-max_len={MAX_INPUT_BYTES}", "-artifact_prefix=./fuzz-"]
        atheris.Setup([sys.argv[0], *options, folder], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

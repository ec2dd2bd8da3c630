"""The inputs that are kept: a line each in a file a target, as hexadecimal digits, with what it once showed."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).with_name("corpus")


def kept_inputs(target: str) -> list[bytes]:
    """Return the inputs of ``corpus/TARGET.txt``; what stands behind a ``#`` says why one is kept."""
    lines = (FOLDER / f"{target}.txt").read_text().splitlines()
    return [bytes.fromhex(line.partition("#")[0]) for line in lines if line.partition("#")[0].strip()]

"""The TypeScript compiler that package-lock.json pins, really run."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_ERROR = re.compile(r"^\S+?\((\d+),\d+\): (error TS\d+: .*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """``tsc --strict`` in a folder of its own."""

    command: tuple[Path, Path]
    folder: Path

    def errors(self, source: str, *, name: str = "case.ts") -> dict[int, str]:
        """Return the first error of each line of ``source``."""
        (self.folder / name).write_text(source, encoding="utf-8")
        flags = ("--strict", "--noEmit", "--target", "es2022", "--types", "", "--pretty", "false")
        done = subprocess.run(
            [*self.command, *flags, name], cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode in {0, 1, 2}, done.stderr
        found: dict[int, str] = {}
        for line, message in _ERROR.findall(done.stdout):
            found.setdefault(int(line), message)
        assert found or done.returncode == 0, done.stdout
        return found


@pytest.fixture(scope="session")
def compiler(node: Path, node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    return Compiler(command=(node, node_modules / "typescript/bin/tsc"), folder=tmp_path_factory.mktemp("tsc"))

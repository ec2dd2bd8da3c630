"""The source distribution holds all that the repository does: whoever has it can build and check what is in it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BUILD_TIMEOUT_S = 120.0
OF_THE_REPOSITORY_ALONE = {".ci/run"}


def test_the_source_distribution_holds_every_file_of_the_repository(root: Path, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)]
    subprocess.run(build, check=True, cwd=root, timeout=BUILD_TIMEOUT_S, capture_output=True)
    (built,) = tmp_path.iterdir()
    with tarfile.open(built) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    listed = subprocess.run(["git", "ls-files"], check=True, cwd=root, capture_output=True, text=True)
    assert {*listed.stdout.splitlines()} - names == OF_THE_REPOSITORY_ALONE
    assert [name for name in names if name.startswith("benchmarks/.cache/")] == []

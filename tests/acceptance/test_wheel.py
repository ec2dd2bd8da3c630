"""The wheel is one for every platform, holds all that runs and nothing else, and runs where nothing is compiled."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

from tests.acceptance._running import clean_environ

if TYPE_CHECKING:
    from pathlib import Path

BUILD_TIMEOUT_S = 300.0
RUN_TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this work tree; the guest is up to date, so no compiler is asked for."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*build, str(folder), str(root)], check=True, timeout=BUILD_TIMEOUT_S)
    (built,) = folder.iterdir()
    return built


def test_the_wheel_is_for_every_platform(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_wheel_holds_the_guest_with_its_sources_and_licences(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())

    assert "sandbox/guest.wasm" in names
    assert any(name.startswith("sandbox/guest/") and name.endswith(".c") for name in names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert [name for name in names if "quickjs" in name.lower() and "licen" in name.lower()] != []


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert tops == {"portico", "portal", "engine", "typegen", "sandbox"}


def test_what_the_wheel_holds_runs_a_program(wheel: Path, tmp_path: Path) -> None:
    ZipFile(wheel).extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "portico", "exec", "[1, 2, 3].map(n => n * n)"],
        check=False,
        cwd=tmp_path,
        env=clean_environ({"PYTHONPATH": str(tmp_path)}),
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "[1,4,9]\n", "")

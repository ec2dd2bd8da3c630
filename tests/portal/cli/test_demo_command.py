"""``portico demo`` from the shell: how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING

import pytest

from tests.acceptance._running import clean_environ
from tests.portal.cli.conftest import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A Git repository with one commit."""
    author = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), *author, "commit", "-q", "--allow-empty", "-m", "First"], check=True)
    return tmp_path


@contextmanager
def showing(repository: Path, until: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demo; the block starts when it has printed a line that starts with ``until``."""
    with subprocess.Popen(
        [sys.executable, "-m", "portico", "demo", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=repository,
        env=clean_environ({"PORTICO_DATA_DIR": str(repository / "data"), "PYTHONUNBUFFERED": "1"}),
        start_new_session=True,
    ) as process:
        watchdog = Timer(TIMEOUT_S, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            assert any(line.startswith(until) for line in process.stdout)
            yield process
        finally:
            process.kill()
            watchdog.cancel()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_showing_ends_it_without_an_error(repository: Path, number: signal.Signals) -> None:
    with showing(repository, "Starting the servers") as process:
        os.killpg(process.pid, number)
        _, err = process.communicate()

    assert (process.returncode, err) == (130, "")


def test_a_signal_after_the_showing_ends_the_serving(repository: Path) -> None:
    with showing(repository, "Serving. Ctrl-C stops it.") as process:
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate()

    assert (process.returncode, err) == (0, "")


def test_without_a_repository_here_the_demo_says_so_and_shows_the_rest(tmp_path: Path) -> None:
    with showing(tmp_path, "Serving.") as process:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()

    assert process.returncode == 0
    assert f"{tmp_path} is no Git repository, so that there are no commits to show" in err

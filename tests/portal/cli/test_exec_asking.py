"""``portico exec`` and the tools that need the user's word: asked for on a terminal, given with ``--allow``."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.portal.cli.conftest import Portico

PROGRAM = "(await codemode.clock_get_current_time({timezone: 'UTC'})).timezone"
TIMEOUT_S = 60.0
INTERRUPT_S = 20.0


class Asked(NamedTuple):
    """A command that waits for the answer to its question."""

    command: subprocess.Popen[str]
    terminal: int
    shown: str


@pytest.fixture
def asking(tmp_path: Path, time_server: str) -> str:
    """A configuration in which one tool of a real server needs the user's word."""
    rules = "portals: [{id: default, servers: [{id: clock, tools: {ask: [get_current_time]}}]}]"
    (tmp_path / "portico.yaml").write_text(f"servers:\n  - {time_server}\n{rules}\n")
    return "portico.yaml"


def test_without_a_terminal_the_answer_says_how_to_allow_the_tool(portico: Portico, asking: str) -> None:
    done = portico("exec", "--config", asking, PROGRAM)

    assert done.code == 1
    assert "clock_get_current_time was not called: it needs the user's word" in done.out
    assert "--allow TOOL" in done.out
    assert 'servers: [{id: clock, tools: {allow: ["get_current_time"]}}]' in done.out


def test_a_tool_that_is_allowed_is_called(portico: Portico, asking: str) -> None:
    done = portico("exec", "--config", asking, "--allow", "clock_get_current_time", PROGRAM)

    assert (done.code, done.out) == (0, "UTC\n")


def test_a_tool_that_there_is_not_cannot_be_allowed(portico: Portico, asking: str) -> None:
    done = portico("exec", "--config", asking, "--allow", "clock_get_time", PROGRAM)

    assert done.code == 2
    assert "--allow clock_get_time: there is no such tool; did you mean clock_get_current_time?" in done.err


@contextmanager
def asked(folder: Path, config: str) -> Iterator[Asked]:
    """Run the program on a terminal until it asks; what was shown until then is in ``shown``."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "portico", "exec", "--config", config, PROGRAM],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=folder,
        text=True,
        start_new_session=True,
    ) as command:
        os.close(theirs)
        shown = ""
        while "[y/N]" not in shown:
            shown += os.read(ours, 4096).decode()
        try:
            yield Asked(command, ours, shown)
        finally:
            command.kill()
    os.close(ours)


@pytest.mark.parametrize(
    ("keys", "code", "expected"),
    [("y\n", 0, "UTC"), ("n\n", 1, "declined by the user"), ("what\nYES\n", 0, "UTC"), ("\x04", 1, "declined")],
)
def test_on_a_terminal_the_user_is_asked_with_the_arguments(
    tmp_path: Path, asking: str, keys: str, code: int, expected: str
) -> None:
    with asked(tmp_path, asking) as (command, terminal, shown):
        os.write(terminal, keys.encode())
        out, _ = command.communicate(timeout=TIMEOUT_S)

    assert command.returncode == code
    assert expected in out
    assert "A program wants to call get_current_time" in shown
    assert '"timezone": "UTC"' in shown


def test_an_interrupt_at_the_question_ends_the_command(tmp_path: Path, asking: str) -> None:
    with asked(tmp_path, asking) as (command, _, _):
        os.killpg(command.pid, signal.SIGINT)
        out, _ = command.communicate(timeout=INTERRUPT_S)

    assert (command.returncode, out) == (130, "")

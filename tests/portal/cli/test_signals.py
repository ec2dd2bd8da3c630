"""What signals do to a portal before it serves, while it serves, and while it closes its servers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.portal.cli.conftest import TIMEOUT_S, line, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Says in a file when it is up and when its input has closed, and then stays, whatever it is told.
STUBBORN_SERVER = """\
import pathlib, signal, sys, time
from mcp.server.mcpserver import MCPServer

signal.signal(signal.SIGTERM, signal.SIG_IGN)
folder = pathlib.Path(sys.argv[1])
(folder / "up").touch()
MCPServer("stubborn").run("stdio")
(folder / "closing").touch()
time.sleep(600)
"""
# Is loaded by the portal while that starts.
SIGNALLING_TOOLS = """\
import os, signal
from portico import Tools

os.kill(os.getpid(), signal.SIGUSR1)
tools = Tools("own")


@tools.tool
def hello() -> str:
    return "hello"
"""


@pytest.fixture
def stubborn(tmp_path: Path) -> Path:
    """A configuration with a server that takes seconds to close."""
    (tmp_path / "stubborn.py").write_text(STUBBORN_SERVER)
    arguments = json.dumps([str(tmp_path / "stubborn.py"), str(tmp_path)])
    config = tmp_path / "portico.yaml"
    config.write_text(
        f"servers: [{{id: stubborn, command: {json.dumps(sys.executable)}, args: {arguments}}}]\ndata_dir: data\n"
    )
    return config


def wait_for(file: Path) -> None:
    ends_at = time.monotonic() + TIMEOUT_S
    while not file.exists():
        assert time.monotonic() < ends_at, f"{file.name} did not come"
        time.sleep(0.02)


def ended_twice(process: subprocess.Popen[Any], folder: Path, name: str) -> int:
    """End a portal that serves a stubborn server, and send the signal ``name`` while it closes; return its code."""
    wait_for(folder / "up")
    process.send_signal(signal.SIGTERM)
    wait_for(folder / "closing")
    process.send_signal(getattr(signal, name))
    return process.wait(TIMEOUT_S)


@contextmanager
def hang_up(action: signal.Handlers) -> Iterator[None]:
    """Have processes that start in the block begin with ``action`` for SIGHUP."""
    former = signal.signal(signal.SIGHUP, action)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, former)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1"])
def test_no_second_signal_ends_a_portal_that_closes_its_servers(name: str, stubborn: Path) -> None:
    with hang_up(signal.SIG_DFL), serving("--json", "--config", str(stubborn)) as process:
        line(process)
        code = ended_twice(process, stubborn.parent, name)

    assert code == 0


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1"])
def test_nor_one_over_stdio(name: str, stubborn: Path) -> None:
    command = [sys.executable, "-m", "portico", "stdio", "--config", str(stubborn)]
    with (
        hang_up(signal.SIG_DFL),
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process,
    ):
        code = ended_twice(process, stubborn.parent, name)

    assert code == 0


def test_the_signal_that_has_servers_listed_does_not_end_a_portal_that_starts(tmp_path: Path) -> None:
    (tmp_path / "signalling.py").write_text(SIGNALLING_TOOLS)
    config = tmp_path / "portico.yaml"
    config.write_text("servers: [{id: own, python: 'signalling:tools'}]\ndata_dir: data\n")

    with serving("--json", "--config", str(config)) as process:
        told = json.loads(line(process))

    assert told["servers"] == ["own"]


def test_a_terminal_that_closes_ends_it_well() -> None:
    with hang_up(signal.SIG_DFL), serving("--json") as process:
        line(process)
        process.send_signal(signal.SIGHUP)
        code = process.wait(TIMEOUT_S)

    assert code == 0


def test_a_portal_that_is_to_outlive_its_terminal_does() -> None:
    """As ``nohup`` starts it."""
    with hang_up(signal.SIG_IGN), serving("--json") as process:
        origin = json.loads(line(process))["origin"]
        process.send_signal(signal.SIGHUP)
        health = httpx.get(f"{origin}/healthz", timeout=TIMEOUT_S)
        process.send_signal(signal.SIGTERM)
        code = process.wait(TIMEOUT_S)

    assert health.is_success
    assert code == 0

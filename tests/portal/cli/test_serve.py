"""``portico serve`` says where it listens once it does, and ends well when it is told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from portal.cli._clients import Target, snippet_for
from tests.portal.cli.conftest import TIMEOUT_S, line, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "0123456789abcdef0123456789abcdef"


def test_it_prints_the_address_of_code_mode() -> None:
    with serving() as process:
        first, second = line(process), line(process)

    assert first == "Portico serves 1 server (tracker) in code mode at"
    assert second.startswith("http://127.0.0.1:")
    assert second.endswith("/mcp?codemode=search_and_execute")


def test_json_says_where_it_listens_in_one_line() -> None:
    with serving("--json") as process:
        told = json.loads(line(process))
        health = httpx.get(f"{told['origin']}/healthz", timeout=TIMEOUT_S)

    assert health.is_success
    assert told["portals"] == {"default": f"{told['origin']}/mcp?codemode=search_and_execute"}
    assert told["servers"] == ["tracker"]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_well(name: str) -> None:
    with serving("--json") as process:
        line(process)
        process.send_signal(getattr(signal, name))
        _, errors = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 0
    assert "Traceback" not in errors


@pytest.mark.parametrize("token", [None, TOKEN], ids=["open", "with a token"])
def test_the_python_program_that_connect_prints_runs_against_it(token: str | None) -> None:
    with serving("--json", token=token) as process:
        url = json.loads(line(process))["portals"]["default"]
        program = snippet_for("python", Target(url=url, needs_token=token is not None)).text
        done = subprocess.run(
            [sys.executable, "-c", program],
            check=False,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env={**os.environ, "PORTICO_TOKEN": token or ""},
        )

    assert done.returncode == 0, done.stderr
    assert '"tracker"' in done.stdout


def test_a_long_list_of_tools_is_warned_about(tmp_path: Path) -> None:
    (tmp_path / "novel.py").write_text(
        f"""
from portico import Tools

tools = Tools("novel")


@tools.tool
def read(page: int) -> str:
    "{"It was a dark and stormy night. " * 2_000}"
    return ""
"""
    )
    (tmp_path / "portico.yaml").write_text("servers:\n  - {id: novel, python: 'novel:tools'}\n")

    with serving("--config", str(tmp_path / "portico.yaml")) as process:
        assert process.stderr is not None
        warning = next(text for text in process.stderr if "WARNING portico.portal" in text)

    assert "portal default: a client that lists its 4 tools spends about 1" in warning
    assert "code mode costs about" in warning


@contextmanager
def idle_connections(origin: str, count: int) -> Iterator[None]:
    """Open connections and say nothing on them until the block ends."""
    address = urlsplit(origin)
    with ExitStack() as connections:
        for _ in range(count):
            connections.enter_context(socket.create_connection((address.hostname or "", address.port or 0)))
        yield


@pytest.mark.skipif(sys.platform != "linux", reason="the bound is set by prlimit")
def test_more_connections_than_a_system_begins_with_are_served() -> None:
    with serving("--json", open_files=(256, 2_048)) as process:
        origin = json.loads(line(process))["origin"]
        with idle_connections(origin, 400):
            health = httpx.get(f"{origin}/healthz", timeout=TIMEOUT_S)

    assert health.is_success


@pytest.mark.skipif(sys.platform != "linux", reason="the bound is set by prlimit")
def test_more_connections_than_there_may_be_end_nothing() -> None:
    with serving("--json", open_files=(100, 100)) as process:
        origin = json.loads(line(process))["origin"]
        with idle_connections(origin, 150):
            time.sleep(2)  # the portal looks at itself meanwhile
        health = httpx.get(f"{origin}/healthz", timeout=TIMEOUT_S)
        is_running = process.poll() is None

    assert is_running
    assert health.is_success

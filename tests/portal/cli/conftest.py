"""The command line as a person uses it: a process of its own, with what it printed and how it ended."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.acceptance._running import clean_environ

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command that has ended; the error output is on one line, so that its wrapping does not matter."""

    code: int
    out: str
    err: str


class Portico(Protocol):
    """Runs ``portico`` with arguments in an empty folder, with no PORTICO_ variable of whoever runs the tests.

    In ``stdin``, "\\udce9" is the byte E9, which is no UTF-8.
    """

    def __call__(self, *arguments: str, environ: Mapping[str, str] | None = None, stdin: str = "") -> Done: ...


class NamedServer(Protocol):
    """Makes a real server over stdio whose tools have these names; returns its keys for an item of ``servers``."""

    def __call__(self, *tools: str) -> str: ...


SERVER_OF_NAMES = """\
import json, sys
import anyio, mcp_types
from mcp.server import Server
from mcp.server.stdio import stdio_server

TOOLS = [mcp_types.Tool(name=name, input_schema={"type": "object"}) for name in json.loads(sys.argv[1])]

async def list_tools(context, params):
    return mcp_types.ListToolsResult(tools=TOOLS)

async def call_tool(context, params):
    return mcp_types.CallToolResult(content=[mcp_types.TextContent(text=params.name)])

async def main():
    server = Server("named", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())

anyio.run(main)
"""


@contextmanager
def serving(
    *arguments: str,
    token: str | None = None,
    open_files: tuple[int, int] | None = None,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> Iterator[subprocess.Popen[str]]:
    """Run ``portico serve`` at any free port until the block ends; ``open_files`` are the soft and the hard bound."""
    bound = [] if open_files is None else ["prlimit", f"--nofile={open_files[0]}:{open_files[1]}"]
    with subprocess.Popen(
        [*bound, sys.executable, "-m", "portico", "serve", "--port", "0", *arguments],
        stdout=stdout,
        stderr=stderr,
        text=True,
        env=clean_environ({"PORTICO_TOKEN": token} if token else {}),
    ) as process:
        watchdog = Timer(TIMEOUT_S, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            process.kill()
            watchdog.cancel()


def line(process: subprocess.Popen[str]) -> str:
    """Return the next line that it prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def portico(tmp_path: Path) -> Portico:
    def run(*arguments: str, environ: Mapping[str, str] | None = None, stdin: str = "") -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "portico", *arguments],
            check=False,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            input=stdin,
            timeout=TIMEOUT_S,
            cwd=tmp_path,
            env=clean_environ(environ),
        )
        return Done(code=done.returncode, out=done.stdout, err=" ".join(done.stderr.split()))

    return run


@pytest.fixture
def time_server() -> str:
    """The real mcp-server-time, two tools over stdio, as an item of ``servers``."""
    command = json.dumps(sys.executable)
    return f"{{id: clock, command: {command}, args: [-m, mcp_server_time, --local-timezone, UTC]}}"


@pytest.fixture
def named_server(tmp_path: Path) -> NamedServer:
    script = tmp_path / "server_of_names.py"
    script.write_text(SERVER_OF_NAMES)

    def keys(*tools: str) -> str:
        arguments = json.dumps([str(script), json.dumps(tools)])
        return f"command: {json.dumps(sys.executable)}, args: {arguments}"

    return keys

"""A portal started as an operator starts it: the `portico` program, a file of configuration, and what it printed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING

import anyio
import yaml
from mcp.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine import JsonValue

PORTICO = Path(sys.executable).parent / "portico"
START_TIMEOUT_S = 60.0  # real servers start behind it, on a machine that may be busy
STOP_TIMEOUT_S = 20.0
POLL_S = 0.05  # how often a portal is asked whether it has tried all of its servers


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningPortal:
    """A `portico serve` that answers at ``url``; ``log`` holds its standard error and ``pid`` is its process."""

    url: str
    log: Path
    pid: int

    @property
    def code_mode_url(self) -> str:
        """The address that an agent connects to for code mode."""
        return f"{self.url}?codemode=search_and_execute"

    def descendants(self) -> Iterator[int]:
        """Yield the processes that the portal started, and theirs: workers, and servers over stdio."""
        pending = [self.pid]
        while pending:
            for task in Path(f"/proc/{pending.pop()}/task").iterdir():
                children = [int(pid) for pid in (task / "children").read_text().split()]
                pending.extend(children)
                yield from children


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def portico(*arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one `portico` command to its end, with no setting of Portico's left over from whoever runs the tests."""
    return subprocess.run(
        [PORTICO, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        stdin=subprocess.DEVNULL,
        env=clean_environ(environ),
    )


def clean_environ(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PORTICO_")} | dict(extra or {})


@contextmanager
def serving(
    configuration: Mapping[str, JsonValue],
    folder: Path,
    *,
    arguments: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Iterator[RunningPortal]:
    """Serve ``configuration`` until the block ends, from the moment on when every upstream is ready or has failed."""
    config, log = folder / "portico.yaml", folder / "portico.log"
    config.write_text(yaml.safe_dump(dict(configuration)))
    command = [str(PORTICO), "serve", "--config", str(config), "--port", "0", "--json", *arguments]
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env=clean_environ(environ),
        ) as process,
    ):
        try:
            origin = announced_origin(process, log)
            anyio.run(until_settled, f"{origin}/mcp")
            yield RunningPortal(url=f"{origin}/mcp", log=log, pid=process.pid)
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def announced_origin(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return the address of the line that `serve --json` prints when it accepts connections."""
    return str(json.loads(first_line(process, log))["origin"])


def first_line(process: subprocess.Popen[bytes], log: Path) -> bytes:
    """Wait for the line that a server prints when it accepts connections; one that takes too long is killed."""
    assert process.stdout is not None
    watchdog = Timer(START_TIMEOUT_S, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
    finally:
        watchdog.cancel()
    assert line, f"the server ended:\n{log.read_text()}"
    return line


async def until_settled(url: str) -> None:
    """Ask the portal for its servers until none of them is still being tried."""
    with anyio.fail_after(START_TIMEOUT_S):
        async with Client(url) as client:
            # Another process gives no event to wait on: it is asked until it has tried every server.
            while ": waiting" in str(await client.call_tool("portal_list_servers", {})):  # noqa: ASYNC110
                await anyio.sleep(POLL_S)

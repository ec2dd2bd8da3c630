"""A portal started as an operator starts it: the `portico` program, a file of configuration, and what it printed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine import JsonValue

PORTICO = Path(sys.executable).parent / "portico"
START_TIMEOUT_S = 60.0  # real servers start behind it, on a machine that may be busy
STOP_TIMEOUT_S = 20.0
POLL_S = 0.05  # another process gives no event to wait on but what it answers


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningPortal:
    """A `portico serve` that answers at ``url``; ``log`` holds all it has printed and ``pid`` is its process."""

    url: str
    log: Path
    pid: int

    @property
    def code_mode_url(self) -> str:
        """The address that an agent connects to for code mode."""
        return f"{self.url}?codemode=search_and_execute"


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
    config, log, port = folder / "portico.yaml", folder / "portico.log", free_port()
    config.write_text(yaml.safe_dump(dict(configuration)))
    command = [str(PORTICO), "serve", "--config", str(config), "--port", str(port), *arguments]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=clean_environ(environ),
        ) as process,
    ):
        try:
            wait_until_ready(f"http://127.0.0.1:{port}/readyz", process, log)
            yield RunningPortal(url=f"http://127.0.0.1:{port}/mcp", log=log, pid=process.pid)
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=STOP_TIMEOUT_S).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(POLL_S)
    raise AssertionError(f"portico serve is not ready (exit code {process.poll()}):\n{log.read_text()}")

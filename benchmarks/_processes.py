"""Processes under measurement: started, found by the URL that they print, and asked of the system what they cost."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Served:
    """A process that answers at ``url``."""

    url: str
    pid: int

    def cpu_s(self) -> float:
        """Return how long it has been on a processor, in all its threads."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def memory_bytes(self) -> int:
        """Return its resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@contextmanager
def serving(*command: str | Path, env: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Run a server until the block ends; its first line is its URL, or JSON with an ``origin``."""
    with subprocess.Popen(  # noqa: S603 - our own commands
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=dict(env) if env else None
    ) as process:
        try:
            line = process.stdout.readline().strip() if process.stdout is not None else ""
            if not line:
                raise RuntimeError(f"{command[-1]} did not start")
            url = f"{json.loads(line)['origin']}/mcp" if line.startswith("{") else line
            yield Served(url, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one measurement found: CPU of the server per request, requests a second, and the median latency."""

    cpu_ms: float
    per_s: float
    median_ms: float
    size: int

    @classmethod
    def median(cls, samples: list[Sample]) -> Sample:
        """Return the median of each figure."""
        return cls(
            cpu_ms=statistics.median(sample.cpu_ms for sample in samples),
            per_s=statistics.median(sample.per_s for sample in samples),
            median_ms=statistics.median(sample.median_ms for sample in samples),
            size=samples[0].size,
        )


class Load:
    """The load generator, in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, HERE / "_load.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def measure(
        self,
        server: Served,
        *,
        era: str,
        params: Mapping[str, Any],
        count: int,
        query: str = "",
        method: str = "tools/call",
        clients: int = 1,
    ) -> Sample:
        """Ask ``count`` times, after a tenth as many requests that are not counted."""
        asked = {"url": server.url + query, "era": era, "clients": clients, "method": method, "params": params}
        self._write(json.dumps({**asked, "warm": max(clients, count // 10), "count": count}))
        self._read()
        before = server.cpu_s()
        self._write("")
        answer = json.loads(self._read())
        spent = server.cpu_s() - before
        latencies = answer["latencies"]
        return Sample(
            cpu_ms=spent / len(latencies) * 1e3,
            per_s=len(latencies) / answer["seconds"],
            median_ms=statistics.median(latencies) * 1e3,
            size=answer["bytes"],
        )

    def answers(self, server: Served, params: Mapping[str, Any]) -> bool:
        """Say whether a call is answered with a result that is no error."""
        self._write(json.dumps({"url": server.url, "try": params}))
        return bool(json.loads(self._read()))

    @contextmanager
    def sessions(self, server: Served, count: int) -> Iterator[None]:
        """Hold sessions open, each with its standing stream."""
        self._write(json.dumps({"url": server.url, "sessions": count}))
        self._read()
        yield
        self._write("")
        self._read()

    def _write(self, line: str) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def _read(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise RuntimeError("the load generator failed")
        return line

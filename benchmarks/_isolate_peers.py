"""The isolates of others: installed by their pinned versions, and measured in processes of their own."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from benchmarks._kernels import KERNELS
from benchmarks._measure import Row
from benchmarks._packages import NODE, environment, npm_packages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HERE = Path(__file__).parent
_TIMEOUT_S = 300.0
_NODE_PACKAGES = ("quickjs-emscripten@0.32.0", "isolated-vm@7.0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A peer: ``faster`` is how many times as long as ours a program in it should take, if that was promised."""

    name: str
    what: str
    count: int
    command: Callable[[], list[str | Path]]
    faster: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A peer that could not be measured, and why."""

    name: str
    reason: str


def _python(requirement: str) -> list[str | Path]:
    name = requirement.partition("==")[0]
    return [environment(f"peer-{name}", requirement), HERE / "_isolate_peer.py", name]


def _node(package: str) -> list[str | Path]:
    return [NODE, HERE / "_isolate_peer.mjs", npm_packages("isolate-peers", *_NODE_PACKAGES), package]


PEERS = (
    Peer(
        name="pydantic-monty 1.4.0",
        what="a session in a worker process that serves one after the other; Python, not JavaScript",
        count=1_000,
        command=partial(_python, "pydantic-monty==1.4.0"),
        faster=3,
    ),
    Peer(
        name="quickjs-emscripten 0.32.0",
        what="a runtime in one WebAssembly memory shared by all, in the process of its host",
        count=1_000,
        command=partial(_node, "quickjs-emscripten"),
        faster=1.5,
    ),
    Peer(
        name="isolated-vm 7.0.1",
        what="a V8 isolate in the process of its host",
        count=1_000,
        command=partial(_node, "isolated-vm"),
        faster=20,
    ),
    Peer(
        name="mini-racer 0.14.1",
        what="a V8 isolate in the process of its host",
        count=1_000,
        command=partial(_python, "mini-racer==0.14.1"),
        faster=20,
    ),
    Peer(
        name="deno 2.9.8",
        what="a process for each program",
        count=200,
        command=partial(_python, "deno==2.9.8"),
        faster=100,
    ),
    Peer(
        name="quickjs-ng 0.17.0.2",
        what="native, in the process of its host: no sandbox",
        count=1_000,
        command=partial(_python, "quickjs-ng==0.17.0.2"),
    ),
)


def measure(peer: Peer) -> Row | Absent:
    """Run a program with one host call in a fresh isolate of ``peer``, as often as its count says."""
    try:
        answer = _ask([*peer.command(), str(peer.count)])
    except (OSError, subprocess.SubprocessError) as error:
        return Absent(name=peer.name, reason=_reason(error))
    samples = tuple(answer["samples_s"])
    return Row(case=f"{peer.name}: {peer.what}", samples_s=samples, cpu_s=answer["cpu_s"] / len(samples))


def measure_kernels() -> dict[str, Mapping[str, list[float]] | Absent]:
    """Run the kernels in native quickjs-ng and in Node; the seconds of each run, by engine and kernel."""
    commands = {"quickjs-ng, native": partial(_python, "quickjs-ng==0.17.0.2"), "Node": partial(_node, "kernels")}
    results: dict[str, Mapping[str, list[float]] | Absent] = {}
    with NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(KERNELS, file)
        file.flush()
        for name, command in commands.items():
            ending = [file.name] if name == "Node" else ["kernels", file.name]
            try:
                results[name] = _ask([*command(), *ending])["kernels_s"]
            except (OSError, subprocess.SubprocessError) as error:
                results[name] = Absent(name=name, reason=_reason(error))
    return results


def _ask(command: list[str | Path]) -> dict[str, Any]:
    done = subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)  # noqa: S603 - as written here
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _reason(error: Exception) -> str:
    lines = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else str(error).splitlines()[0]

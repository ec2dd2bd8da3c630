"""Isolates through the worker processes, driven from a process as a portal is."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio

from benchmarks._isolate_inside import SIZES, payload
from benchmarks._measure import Row, cpu_s, sample
from portico import Capabilities, HostCall, Limits, Outcome, Sandbox, SandboxConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CAPABILITIES = Capabilities(methods="echo")
_LIMITS = Limits(calls=1_000_000)
_ONE_CALL = "await host.echo(1)"
_SETTLE_S = 0.5  # for the second worker to be ready, and the spares to be made
_FIRST_RUN = """\
import anyio
from portico import Capabilities, Limits, Sandbox

async def echo(call):
    return call.args

async def main():
    async with Sandbox() as sandbox:
        outcome = await sandbox.execute(
            "await host.echo(1)", limits=Limits(), capabilities=Capabilities(methods="echo"), on_call=echo
        )
        print((outcome.value or b"").decode(), flush=True)

anyio.run(main, backend_options={"use_uvloop": True})
"""


class Through:
    """A sandbox whose runs are timed."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    @classmethod
    @asynccontextmanager
    async def open(cls, *, workers: int | None = None, runs_per_worker: int = 500) -> AsyncIterator[Through]:
        """Open a sandbox and wait until all its workers are ready."""
        config = SandboxConfig(
            workers=workers, max_workers=workers, runs_per_worker=runs_per_worker, worker_bytes=4 << 30
        )
        async with Sandbox(config) as sandbox:
            await anyio.sleep(_SETTLE_S)
            yield cls(sandbox)

    def pids(self) -> list[int]:
        """Return the processes of the workers."""
        return [worker.pid for worker in self.sandbox.status().workers]

    async def execute(self, source: str, *, limits: Limits = _LIMITS) -> Outcome:
        """Run a program, and stop the benchmark where it fails."""
        outcome = await self.sandbox.execute(source, limits=limits, capabilities=_CAPABILITIES, on_call=_echo)
        if outcome.error is not None:
            raise outcome.error
        return outcome

    async def sample(self, case: str, source: str, count: int) -> Row:
        """Time a program, one run after the other."""
        return await sample(case, partial(self.execute, source), count=count, pids=self.pids)

    async def sample_without_spares(self, case: str, count: int) -> Row:
        """Time a program whose memory limit is never that of the spares, which are closed for it."""
        sizes = itertools.cycle(replace(_LIMITS, memory_bytes=mib << 20) for mib in range(32, 64))
        return await sample(case, lambda: self.execute(_ONE_CALL, limits=next(sizes)), count=count, pids=self.pids)

    async def rate(self, count: int, *, at_once: int) -> tuple[float, float]:
        """Return runs a second with one host call each, ``at_once`` at a time, and processor seconds of one."""
        left = iter(range(count))

        async def drive() -> None:
            for _ in left:
                await self.execute(_ONE_CALL)

        before_s = cpu_s(self.pids())
        started = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for _ in range(at_once):
                tasks.start_soon(drive)
        taken_s = time.perf_counter() - started
        return count / taken_s, (cpu_s(self.pids()) - before_s) / count

    async def round_trips(self, name: str, *, runs: int, calls: int) -> Row:
        """Time host calls one after the other; a sample is the mean of those of a run."""
        value = payload(SIZES[name])
        source = f"let value = {value.decode()}; for (let i = 0; i < {calls}; i++) value = (await host.echo(value))[0]"
        limits = replace(_LIMITS, source_bytes=2 * len(value) + 1_000)
        row = await sample(
            f"host call of {name}, through the worker",
            lambda: self.execute(source, limits=limits),
            count=runs,
            pids=self.pids,
        )
        each_s = tuple(sample_s / calls for sample_s in row.samples_s)
        return Row(case=row.case, samples_s=each_s, cpu_s=(row.cpu_s or 0) / calls)

    async def waiting_pss_bytes(self, count: int) -> int:
        """Return what each of ``count`` programs that wait on a host call adds to the memory of its worker."""
        (pid,) = self.pids()
        before = used = _pss_bytes(pid)
        waiting = 0
        all_wait, go_on = anyio.Event(), anyio.Event()

        async def wait(call: HostCall) -> bytes:
            nonlocal waiting
            waiting += 1
            if waiting == count:
                all_wait.set()
            await go_on.wait()
            return call.args

        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(
                    partial(self.sandbox.execute, _ONE_CALL, limits=_LIMITS, capabilities=_CAPABILITIES, on_call=wait)
                )
            with anyio.fail_after(60):
                await all_wait.wait()
            used = _pss_bytes(pid)
            go_on.set()
        return (used - before) // count


async def _echo(call: HostCall) -> bytes:
    """Answer a host call with its own arguments."""
    return call.args


def _pss_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def first_runs(count: int) -> Row:
    """Time from the start of a Python process to the end of its first run, the guest compiled before."""
    command = [sys.executable, "-c", _FIRST_RUN]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - as written above; compiles the guest
    samples = []
    for _ in range(count):
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 - as written above
            if process.stdout is None or process.stdout.readline().strip() != b"[1]":
                raise RuntimeError("the first run of a process failed")
            samples.append(time.perf_counter() - started)
    return Row(case="first run in a new process", samples_s=tuple(samples))


def serve_starts(count: int) -> Row:
    """Time from the start of ``portico serve`` until it says that it accepts connections."""
    command = [sys.executable, "-m", "portico", "serve", "--port", "0", "--json"]
    samples = []
    for _ in range(count):
        with TemporaryDirectory() as folder:
            environ = {**os.environ, "PORTICO_DATA_DIR": folder}  # its store; the compiled guest is in another folder
            started = time.perf_counter()
            with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - as written here
                line = process.stdout.readline() if process.stdout is not None else b""
                samples.append(time.perf_counter() - started)
                process.terminate()
            if not line.startswith(b"{"):
                raise RuntimeError("`portico serve` did not start")
    return Row(case="`portico serve` accepts", samples_s=tuple(samples))

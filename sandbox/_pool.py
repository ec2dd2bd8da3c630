"""The sandbox: a pool of sealed workers, and runs on their way through them."""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from collections import deque
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

import anyio
import platformdirs

from sandbox._analysis import Analyst
from sandbox._clock import RunClock
from sandbox._config import SandboxConfig
from sandbox._errors import (
    GuestError,
    HostError,
    IsolationUnavailable,
    SandboxClosed,
    SourceTooLarge,
    WallLimitExceeded,
    WorkerLost,
)
from sandbox._process import WorkerProcess, compile_guest
from sandbox._run import Program, Run
from sandbox._seal import CONFINING_LAYERS
from sandbox._status import SandboxStatus, WorkerStatus
from sandbox._transcript import Transcript

if TYPE_CHECKING:
    from types import TracebackType

    from anyio.abc import TaskGroup

    from sandbox._analysis import ProgramFacts
    from sandbox._calls import HostCallHandler
    from sandbox._capabilities import Capabilities
    from sandbox._limits import Limits
    from sandbox._outcome import Outcome
    from sandbox._seal import IsolationLayer

_log = logging.getLogger("sandbox")

_MIN_WORKERS = 2  # one may be inside a long turn
_GROWTH = 3  # workers that may come on top, for each, while all are inside long turns
_IDLE_S = 30.0  # how long such a worker waits for another use
_RETRY_FIRST_S, _RETRY_MOST_S = 0.1, 5.0
_SEED_BYTES = 32
_MOST_RUN_IDS = 2**31  # they are told apart within one worker, where so many are never open


class Sandbox:
    """A pool of worker processes that run programs; open it with ``async with``.

    A new run goes to a worker that waits for a turn to do, the one with the fewest runs; while there is none it waits,
    and its clock runs.
    """

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self._config = config or SandboxConfig()
        self._base = self._config.workers or max(_MIN_WORKERS, os.cpu_count() or 1)
        self._most = max(self._base, self._config.max_workers or self._base * (1 + _GROWTH))
        self._workers: list[WorkerProcess] = []
        self._slots = 0
        self._waiting: deque[_Waiter] = deque()
        self._active_runs = 0
        self._next_run = 0
        self._layers: tuple[IsolationLayer, ...] = ()
        self._module_path = Path()
        self._is_module_kept = True
        self._analyst = Analyst()
        self._stack: AsyncExitStack | None = None
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        """Compile the guest if it is not cached, and wait for the first worker.

        Raises ``WorkerLost`` when no worker can be started, ``IsolationUnavailable`` as the configuration asks.
        """
        if self._stack is not None:
            raise SandboxClosed("a sandbox opens once: make another")
        self._stack = AsyncExitStack()
        async with self._stack:
            self._module_path = await self._prepare_module(self._stack)
            first = await self._start_worker()
            self._workers.append(first)
            self._stack.push_async_callback(self._analyst.aclose)
            self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
            for worker in (first, *[None] * (self._base - 1)):
                self._slots += 1
                self._tasks.start_soon(self._keep_worker, worker)
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop every run, which then raises ``SandboxClosed``, and end the workers."""
        tasks, self._tasks = self._tasks, None
        if tasks is None or self._stack is None:
            return
        for worker in list(self._workers):
            worker.lose_runs(SandboxClosed("the sandbox was closed during the run"))
        while self._waiting:
            self._waiting.popleft().event.set()
        tasks.cancel_scope.cancel()
        await self._stack.aclose()  # the body's own error goes on as it is, not in a group of the tasks'

    async def execute(
        self,
        source: str,
        *,
        limits: Limits,
        capabilities: Capabilities,
        on_call: HostCallHandler,
        clock: RunClock | None = None,
        seed: bytes | None = None,
    ) -> Outcome:
        """Run one program to its end, in a fresh isolate, and say what it came to.

        ``on_call`` answers its host calls, ``limits.concurrent_calls`` at a time; what is still going on when the run
        ends is cancelled. ``seed`` (32 bytes) fixes its random numbers. When a worker dies, a run that had made no host
        call is started once more. A failure of the program is in the outcome; raises ``HostError`` for one of ours.
        """
        if seed is not None and len(seed) != _SEED_BYTES:
            raise ValueError(f"a seed has {_SEED_BYTES} bytes, not {len(seed)}")
        program = Program(
            source=source.encode("utf-8", "replace"),
            limits=limits,
            capabilities=capabilities,
            on_call=on_call,
            seed=seed or secrets.token_bytes(_SEED_BYTES),
        )
        self._check_open()
        clock = clock or RunClock()
        transcript = Transcript(limits, program.source)
        error = _refusal(program)
        self._active_runs += 1
        try:
            with anyio.CancelScope() as scope:
                clock.start(scope, limit_s=limits.wall_s)
                if error is None:
                    error = await self._run(program, transcript)
            if scope.cancelled_caught:
                error = WallLimitExceeded(
                    f"the program took longer than {limits.wall_s:g} s",
                    limit="wall_s",
                    max=limits.wall_s,
                    used=clock.elapsed_s,
                )
        finally:
            self._active_runs -= 1
            wall_s = clock.finish()
        return transcript.outcome(error, wall_s=wall_s)

    async def analyse(self, source: str, *, namespace: str) -> ProgramFacts:
        """Say what is certain of a program without running it: calls of ``namespace``, TypeScript to erase.

        A program that is too long, or that the parser cannot read in time, has no facts. Never raises for one.
        """
        self._check_open()
        return await self._analyst.analyse(source, namespace)

    def status(self) -> SandboxStatus:
        """Report the workers, the runs and the isolation layers at this moment."""
        workers = tuple(
            WorkerStatus(pid=worker.pid, runs=worker.runs, is_in_long_turn=worker.is_in_long_turn)
            for worker in self._workers
        )
        return SandboxStatus(
            workers=workers,
            active_runs=self._active_runs,
            waiting_runs=len(self._waiting),
            layers=self._layers,
            module_path=self._module_path,
            is_module_kept=self._is_module_kept,
            analyst_pid=self._analyst.pid,
        )

    async def _run(self, program: Program, transcript: Transcript) -> GuestError | None:
        try:
            return await self._attempt(program, transcript)
        except WorkerLost as lost:
            if lost.calls:
                raise
            _log.warning("a run that had made no host call is started again: %s", lost)
            transcript.restart()
            return await self._attempt(program, transcript)

    async def _attempt(self, program: Program, transcript: Transcript) -> GuestError | None:
        worker = await self._reserve_worker()
        self._next_run = self._next_run % _MOST_RUN_IDS + 1
        return await Run(program, worker, self._next_run, transcript).drive()

    async def _reserve_worker(self) -> WorkerProcess:
        """Wait for a worker that has no turn to do. It is kept free until its ``begin``."""
        waiter = _Waiter()
        self._waiting.append(waiter)
        self._hand_on()
        try:
            await waiter.event.wait()
        except BaseException:
            if waiter.worker is not None:
                waiter.worker.is_reserved = False
                self._hand_on()
            else:
                self._waiting.remove(waiter)
            raise
        if waiter.worker is None:
            raise SandboxClosed("the sandbox was closed before the run had begun")
        return waiter.worker

    def _hand_on(self) -> None:
        """Give free workers to the runs that wait; the worker with the fewest runs first."""
        while self._waiting:
            free = [worker for worker in self._workers if worker.is_free and worker.runs < self._config.runs_per_worker]
            if not free:
                self._grow()
                return
            worker = min(free, key=lambda each: each.runs)
            worker.is_reserved = True
            waiter = self._waiting.popleft()
            waiter.worker = worker
            waiter.event.set()

    def _grow(self) -> None:
        """Add a worker when every one there is has been inside its turn for long."""
        if self._tasks is None or self._slots >= self._most or len(self._workers) < self._slots:
            return
        if all(worker.is_in_long_turn for worker in self._workers):
            self._slots += 1
            self._tasks.start_soon(self._keep_extra_worker)

    async def _keep_worker(self, worker: WorkerProcess | None) -> None:
        """Own one worker after the other: when one is lost the next is started."""
        retry_s = _RETRY_FIRST_S
        while True:
            if worker is None:
                try:
                    worker = await self._start_worker()
                except HostError as error:
                    _log.error("a worker did not start, the next attempt is in %.1f s: %s", retry_s, error)
                    await anyio.sleep(retry_s)
                    retry_s = min(retry_s * 2, _RETRY_MOST_S)
                    continue
            retry_s = _RETRY_FIRST_S
            await self._serve_worker(worker)
            worker = None

    async def _keep_extra_worker(self) -> None:
        try:
            worker = await self._start_worker()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_retire_when_idle, worker)
                await self._serve_worker(worker)
                tasks.cancel_scope.cancel()
        except HostError as error:
            _log.error("another worker did not start: %s", error)
        finally:
            self._slots -= 1

    async def _start_worker(self) -> WorkerProcess:
        worker = await WorkerProcess.start(
            module_path=self._module_path, data_bytes=self._config.worker_bytes, on_change=self._hand_on
        )
        self._layers = worker.layers
        active = {layer.name for layer in worker.layers if layer.is_active}
        if self._config.require_isolation and not active & CONFINING_LAYERS:
            await worker.aclose()
            raise IsolationUnavailable(
                "this kernel offers neither Landlock nor seccomp to the workers: "
                + "; ".join(f"{layer.name}: {layer.detail}" for layer in worker.layers if not layer.is_active)
            )
        return worker

    async def _serve_worker(self, worker: WorkerProcess) -> None:
        if worker not in self._workers:  # the first one is there from the start
            self._workers.append(worker)
        self._hand_on()
        try:
            await worker.serve()
        finally:
            self._workers.remove(worker)
            worker.lose_runs(WorkerLost("the worker process of the run died"))
            await worker.aclose()

    async def _prepare_module(self, stack: AsyncExitStack) -> Path:
        """Return the compiled guest's path: in the cache, or in a folder for this once where there can be no cache."""
        configured = self._config.cache_dir
        try:
            return await compile_guest(configured or platformdirs.user_cache_path("portico"))
        except OSError:
            if configured is not None:
                raise
        self._is_module_kept = False
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="portico-"))
        return await compile_guest(Path(folder))

    def _check_open(self) -> None:
        if self._tasks is None:
            raise SandboxClosed("the sandbox is not open: use it inside `async with`")


class _Waiter:
    """A run without a worker."""

    __slots__ = ("event", "worker")

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.worker: WorkerProcess | None = None


async def _retire_when_idle(worker: WorkerProcess) -> None:
    was_idle = False
    while True:
        await anyio.sleep(_IDLE_S / 2)
        is_idle = worker.is_free and not worker.runs
        if is_idle and was_idle:
            worker.retire()
            return
        was_idle = is_idle


def _refusal(program: Program) -> GuestError | None:
    """Return the error of a program that no worker needs to see."""
    size, most = len(program.source), program.limits.source_bytes
    if size <= most:
        return None
    return SourceTooLarge(
        f"the program has {size} bytes, and at most {most} are accepted", limit="source_bytes", max=most, used=size
    )

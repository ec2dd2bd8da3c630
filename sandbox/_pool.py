"""The sandbox: programs in, outcomes out, over a pool of sealed workers."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import anyio
import platformdirs

from sandbox._admission import NOBODY, Admission, Seat
from sandbox._analysis import Analyst
from sandbox._clock import RunClock
from sandbox._config import SandboxConfig
from sandbox._errors import (
    GuestError,
    HostError,
    Overloaded,
    RunCancelled,
    SandboxClosed,
    SourceTooLarge,
    WallLimitExceeded,
    WorkerLost,
)
from sandbox._forks import ForkedWorkers
from sandbox._process import ExecutedWorkers
from sandbox._rounds import Rounds
from sandbox._run import Program, Run
from sandbox._spawn import compile_guest
from sandbox._status import SandboxStatus
from sandbox._transcript import Transcript
from sandbox._workers import Workers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from sandbox._analysis import ProgramFacts
    from sandbox._calls import HostCallHandler
    from sandbox._capabilities import Capabilities
    from sandbox._config import Isolation
    from sandbox._limits import Limits
    from sandbox._outcome import Outcome
    from sandbox._workers import WorkerSource

_log = logging.getLogger("sandbox")

_SEED_BYTES = 32
# What a waiting run costs that has not grown: 135 KiB were measured, and 3.7 MiB where it has a process.
_RUN_BYTES: Final[Mapping[Isolation, int]] = {"shared": 2**18, "user": 2**18, "run": 2**22}


class Sandbox:
    """A pool of worker processes that run programs; open it with ``async with``.

    ``source`` starts the workers in another way than ``SandboxConfig.isolation`` asks for.
    """

    def __init__(self, config: SandboxConfig | None = None, *, source: WorkerSource | None = None) -> None:
        self._config = config or SandboxConfig()
        self._source = source
        self._admission = Admission(
            self._config.bounds,
            long_turns=max(2, self._config.most_workers // 4),
            run_bytes=_RUN_BYTES[self._config.isolation],
        )
        self._workers = Workers(self._config, self._admission)
        self._rounds = Rounds()
        self._active_runs = 0
        self._refused_runs = 0
        self._module_path = Path()
        self._is_module_kept = True
        self._analyst = Analyst()
        self._stack: AsyncExitStack | None = None
        self._is_open = False

    async def __aenter__(self) -> Self:
        """Compile the guest if it is not cached, and wait for the first worker.

        Raises ``WorkerLost`` when no worker can be started, ``IsolationUnavailable`` as the configuration asks.
        """
        if self._stack is not None:
            raise SandboxClosed("a sandbox opens once: make another")
        self._stack = AsyncExitStack()
        async with self._stack:
            self._module_path = await self._prepare_module(self._stack)
            self._stack.push_async_callback(self._analyst.aclose)
            await self._workers.open(self._source or self._make_source(self._stack))
            tasks = await self._stack.enter_async_context(anyio.create_task_group())
            self._stack.callback(tasks.cancel_scope.cancel)
            self._workers.serve(tasks)
            self._stack = self._stack.pop_all()
        self._is_open = True
        _log.info("programs run with %s isolation, in workers with %s", self._config.isolation, self._layers_text())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop every run, which then raises ``SandboxClosed``, and end the workers."""
        if self._is_open and self._stack is not None:
            self._is_open = False
            self._workers.close()
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
        owner: str = NOBODY,
    ) -> Outcome:
        """Run one program to its end, in a fresh isolate, and say what it came to.

        ``on_call`` answers its host calls, ``limits.concurrent_calls`` at a time; what is still going on when the run
        ends is cancelled. ``seed`` (32 bytes) fixes its random numbers. ``owner`` is the user whose run it is: bounds
        and isolation between users go by it; runs of nobody in particular are bounded together with all others only.
        When a worker dies, a run that had made no host call is started once more. A failure of the program is in the
        outcome; raises ``Overloaded`` when it has not begun and should be sent again later, ``RunCancelled`` when
        ``clock`` was cancelled, and ``HostError`` for failures of ours.
        """
        if seed is not None and len(seed) != _SEED_BYTES:
            raise ValueError(f"a seed has {_SEED_BYTES} bytes, not {len(seed)}")
        program = Program(
            source=source.encode("utf-8", "replace"),
            limits=limits,
            capabilities=capabilities,
            on_call=on_call,
            seed=seed or os.urandom(_SEED_BYTES),
        )
        self._check_open()
        transcript = Transcript(limits, program.source)
        if len(program.source) > limits.source_bytes:
            return transcript.outcome(_too_large(program), wall_s=0.0)
        share = self._admission.share(owner)
        clock = clock or RunClock()
        seat = Seat(share, memory_bytes=limits.memory_bytes, stop=clock.end_run)
        on_report = partial(self._admission.report, seat)
        begin = partial(Run, program, transcript=transcript, rounds=self._rounds, stop=seat.stop, on_report=on_report)
        run: Run | None = None
        error: GuestError | None = None
        self._active_runs += 1
        try:
            self._admission.check(share)
            began = time.monotonic()
            place = self._workers.reserve_now(seat)
            run = begin(place) if place is not None else None
            # Where there was room the program runs by now: what follows takes none of its time.
            scope = anyio.CancelScope()
            clock.start(scope, limit_s=limits.wall_s, counted_s=time.monotonic() - began)
            with scope:
                while error is None and transcript.end is None:
                    run = run or begin(await self._workers.reserve(seat))
                    try:
                        error = await run.drive()
                    except WorkerLost as lost:
                        _start_again(transcript, lost)
                    finally:
                        self._leave(run)
                        run = None
            if scope.cancelled_caught:
                error = _stopped(seat, clock, limits)
        except Overloaded:
            self._refused_runs += 1
            raise
        finally:
            if run is not None:
                self._leave(run)
            self._active_runs -= 1
            self._admission.end(seat)
            wall_s = clock.finish()
        return transcript.outcome(error, wall_s=wall_s)

    async def analyse(self, source: str, *, namespace: str, owner: str = NOBODY) -> ProgramFacts:
        """Say what is certain of a program without running it: calls of ``namespace``, TypeScript to erase.

        A program that is too long, or that the parser cannot read in time, has no facts. The time that reading takes
        counts as its user's; raises ``Overloaded`` where a run of it would not begin either.
        """
        known = self._analyst.known(source, namespace)
        if known is not None:  # nothing has to be read; the run itself is told whether there is room
            return known
        self._check_open()
        share = self._admission.share(owner)
        try:
            self._admission.check(share, unread=self._analyst.waiting(owner))
        except Overloaded:
            self._refused_runs += 1
            raise
        return await self._analyst.analyse(
            source, namespace, owner=owner, on_use=lambda took_s: self._admission.spend(share, took_s)
        )

    def status(self) -> SandboxStatus:
        """Report the workers, the runs and the isolation layers at this moment."""
        return SandboxStatus(
            isolation=self._config.isolation,
            workers=self._workers.status(),
            lost_workers=self._workers.lost,
            active_runs=self._active_runs,
            waiting_runs=self._admission.waiting,
            refused_runs=self._refused_runs,
            layers=self._workers.layers,
            module_path=self._module_path,
            is_module_kept=self._is_module_kept,
            analyst_pid=self._analyst.pid,
        )

    def _leave(self, run: Run) -> None:
        run.leave()
        self._workers.release(run.place)

    def _make_source(self, stack: AsyncExitStack) -> ExecutedWorkers | ForkedWorkers:
        if self._config.isolation != "run":
            return ExecutedWorkers(module_path=self._module_path, data_bytes=self._config.worker_bytes)
        forks = ForkedWorkers(module_path=self._module_path, data_bytes=self._config.worker_bytes)
        stack.push_async_callback(forks.aclose)
        return forks

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
        if not self._is_open:
            raise SandboxClosed("the sandbox is not open: use it inside `async with`")

    def _layers_text(self) -> str:
        active = ", ".join(layer.name for layer in self._workers.layers if layer.is_active) or "no layer"
        missing = ", ".join(layer.name for layer in self._workers.layers if not layer.is_active)
        return f"{active}, without {missing}" if missing else active


def _too_large(program: Program) -> GuestError:
    """Return the error of a program that no worker needs to see."""
    size, most = len(program.source), program.limits.source_bytes
    return SourceTooLarge(
        f"the program has {size} bytes, and at most {most} are accepted", limit="source_bytes", max=most, used=size
    )


def _stopped(seat: Seat, clock: RunClock, limits: Limits) -> GuestError:
    """Return why a run was stopped; raise where that is no failure of the program."""
    if clock.is_cancelled:
        raise RunCancelled("the run was cancelled by its clock")
    if isinstance(seat.stopped_by, HostError):
        raise seat.stopped_by
    text = f"the program took longer than {limits.wall_s:g} s"
    return seat.stopped_by or WallLimitExceeded(text, limit="wall_s", max=limits.wall_s, used=clock.elapsed_s)


def _start_again(transcript: Transcript, lost: WorkerLost) -> None:
    """Have a run begin anew whose worker died; raise ``lost`` when it has made host calls, or was begun anew before."""
    if lost.calls or transcript.is_again:
        raise lost
    _log.warning("a run that had made no host call is started again: %s", lost)
    transcript.restart()

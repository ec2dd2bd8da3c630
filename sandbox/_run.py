"""One run on the portal's side: it follows the reports of a worker and answers the host calls in them."""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from sandbox import _frames as frames
from sandbox._calls import HostCall, HostCallHandler, Rejection
from sandbox._capabilities import encode_setup
from sandbox._causes import error_of
from sandbox._errors import GuestError, HostError, ProtocolError, WorkerLost
from sandbox._limits import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from sandbox._capabilities import Capabilities
    from sandbox._limits import Limits
    from sandbox._process import WorkerProcess
    from sandbox._transcript import Transcript

_SETTLE_BYTES = 32 * 2**20  # settlements that are ready at once leave in frames of about this size


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a run runs, and with what."""

    source: bytes
    limits: Limits
    capabilities: Capabilities
    on_call: HostCallHandler
    seed: bytes


class Run:
    """One attempt to run a program in one worker."""

    def __init__(self, program: Program, worker: WorkerProcess, run_id: int, transcript: Transcript) -> None:
        self._program = program
        self._transcript = transcript
        self._worker = worker
        self._id = run_id
        self._inbox: deque[frames.Report | HostError] = deque()
        self._inbox_filled: anyio.Event | None = None
        self._waiting: deque[HostCall] = deque()
        self._open_calls: set[int] = set()
        self._serving = 0
        self._settlements: list[bytes] = []
        self._owes_answer = False
        self._is_over = False

    @property
    def waits_for_turn(self) -> bool:
        """Whether it can go on only by a turn of its worker: for an answer, or for a timer."""
        return self._owes_answer or not self._open_calls

    def deliver(self, report: frames.Report) -> None:
        """Take what a turn handed over."""
        self._put(report)

    def lose(self, error: HostError) -> None:
        """Learn that nothing more will come."""
        self._put(error)

    async def drive(self) -> GuestError | None:
        """Follow the run to its end; return the error that it ended with, if any.

        Raises ``HostError`` when the sandbox failed, and whatever else than ``Rejection`` a handler raised.
        """
        program = self._program
        start = frames.Start(
            cpu_limit_us=round(program.limits.cpu_s * 1e6),
            memory_bytes=program.limits.memory_bytes,
            clock_us=_now_us(),
            seed=program.seed,
            setup=encode_setup(program.capabilities, program.limits),
            source=program.source,
        )
        self._owes_answer = True
        self._worker.begin(self._id, self, frames.encode_start(self._id, start))
        ending: GuestError | HostError | None = None
        try:
            async with anyio.create_task_group() as tasks:
                ending = await self._follow(tasks)
                if self._serving:
                    tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:  # a handler's own error, as it raised it
                raise group.exceptions[0] from None
            raise
        finally:
            self._worker.forget(self._id, is_over=self._is_over)
        if isinstance(ending, HostError):
            raise ending
        return ending

    def _put(self, item: frames.Report | HostError) -> None:
        self._inbox.append(item)
        if self._inbox_filled is not None:
            self._inbox_filled.set()

    async def _follow(self, tasks: TaskGroup) -> GuestError | HostError | None:
        while True:
            while not self._inbox:
                self._inbox_filled = anyio.Event()
                await self._inbox_filled.wait()
            item = self._inbox.popleft()
            if isinstance(item, HostError):
                self._is_over = True
                return WorkerLost(str(item), calls=self._transcript.calls) if isinstance(item, WorkerLost) else item
            try:
                self._add_calls(self._transcript.take(item))
            except ProtocolError as error:
                return error
            if item.is_last and self._transcript.end is not None:
                self._is_over = True
                return self._transcript.end.error
            if item.cause is not None:
                self._is_over = True
                return error_of(item.cause, self._program.limits, self._transcript)
            self._serve_waiting(tasks)
            if item.is_last and item.is_answer:
                self._owes_answer = False
                self._settle()

    def _add_calls(self, calls: list[HostCall]) -> None:
        for call in calls:
            if call.id in self._open_calls:
                raise ProtocolError("an isolate used the id of a host call that is still open")
            self._open_calls.add(call.id)
        self._waiting.extend(calls)

    def _serve_waiting(self, tasks: TaskGroup) -> None:
        wanted = min(len(self._waiting), self._program.limits.concurrent_calls - self._serving)
        for _ in range(wanted):
            self._serving += 1
            tasks.start_soon(self._serve_calls)

    async def _serve_calls(self) -> None:
        """Answer waiting calls, one after the other, until none is left."""
        while self._waiting:
            call = self._waiting.popleft()
            settlement = await self._answer(call)
            self._open_calls.discard(call.id)
            self._settlements.append(settlement)
            self._settle()
        self._serving -= 1

    async def _answer(self, call: HostCall) -> bytes:
        most = min(self._program.limits.memory_bytes, MAX_TEXT_BYTES)
        try:
            value = await self._program.on_call(call)
        except Rejection as rejection:
            return _rejected(call, rejection)
        if len(value) > most:
            return _rejected(
                call, Rejection(f"the answer has {len(value)} bytes, and at most {most} fit", name="RangeError")
            )
        return b'{"id":%d,"ok":true,"value":%b}' % (call.id, value)

    def _settle(self) -> None:
        """Send the answers that are ready, unless a turn is going on: then they leave together when it ends."""
        if self._owes_answer or not self._settlements:
            return
        size = count = 0
        for settlement in self._settlements:
            if count and size + len(settlement) > _SETTLE_BYTES:
                break
            size += len(settlement)
            count += 1
        batch, self._settlements = self._settlements[:count], self._settlements[count:]
        self._owes_answer = True
        self._worker.ask(frames.encode_settle(self._id, batch, clock_us=_now_us()))


def _rejected(call: HostCall, rejection: Rejection) -> bytes:
    error = {**rejection.fields, "name": rejection.name, "message": rejection.message}
    return b'{"id":%d,"ok":false,"error":%b}' % (call.id, json.dumps(error, separators=(",", ":")).encode())


def _now_us() -> int:
    return time.time_ns() // 1_000

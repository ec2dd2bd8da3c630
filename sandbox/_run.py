"""One run on the portal's side: it follows the reports of a worker and answers the host calls in them."""

from __future__ import annotations

import asyncio
import contextvars
import json
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import anyio

from sandbox import _frames as frames
from sandbox._calls import HostCall, HostCallHandler, Rejection
from sandbox._capabilities import encode_setup
from sandbox._causes import error_of
from sandbox._errors import GuestError, HostError, MemoryLimitExceeded, ProtocolError, WorkerLost
from sandbox._limits import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from sandbox._capabilities import Capabilities
    from sandbox._limits import Limits
    from sandbox._rounds import Rounds
    from sandbox._transcript import Transcript
    from sandbox._workers import Place

_SETTLE_BYTES = 32 * 2**20  # settlements that are ready at once leave in frames of about this size


class Program(NamedTuple):
    """What a run runs, and with what."""

    source: bytes
    limits: Limits
    capabilities: Capabilities
    on_call: HostCallHandler
    seed: bytes


class Run:
    """One attempt to run a program at one place, where it begins at once; ``leave`` it afterwards.

    ``stop`` cancels whoever called ``drive`` and has the error raised or returned there: for an end that comes while a
    handler works, without the cost of a scope of its own for each run. ``on_report`` gets each report and the number of
    host calls in it: where the run goes on, a moment after it does.
    """

    def __init__(
        self,
        program: Program,
        place: Place,
        *,
        transcript: Transcript,
        rounds: Rounds,
        stop: Callable[[GuestError | HostError], None],
        on_report: Callable[[frames.Report, int], None],
    ) -> None:
        self.place = place
        self._stop = stop
        self._on_report = on_report
        self._program = program
        self._transcript = transcript
        self._rounds = rounds
        self._waiting: deque[HostCall] = deque()
        self._open_calls: dict[int, int] = {}  # the bytes of their arguments
        self._serving = 0
        self._settlements: list[bytes] = []
        self._owes_answer = False
        self._ending: GuestError | HostError | None = None
        self._is_ended = False
        self._is_over = False  # in the worker too
        self._alarm: asyncio.Future[None] | None = None  # while `drive` waits for something to do
        self._has_timer = False  # so that the program may go on before a host call is answered
        self._tasks: TaskGroup | None = None
        self._context: contextvars.Context | None = None  # of the caller: that of a report is the worker's
        self._begin()

    @property
    def waits_for_turn(self) -> bool:
        """Whether it can go on only by a turn of its worker: for an answer, or for a timer."""
        return self._owes_answer or not self._open_calls

    def deliver(self, report: frames.Report) -> None:
        """Take what a turn handed over."""
        if self._is_ended:
            return
        calls_before = self._transcript.calls
        goes_on = self._act_on(report)
        calls = self._transcript.calls - calls_before
        if goes_on:
            asyncio.get_running_loop().call_soon(self._on_report, report, calls)
        else:  # whoever waits for it may begin another, which has to find this one counted
            self._on_report(report, calls)

    def _act_on(self, report: frames.Report) -> bool:
        """Do what a report asks for; return whether the run goes on."""
        try:
            calls = self._transcript.take(report)
            if calls:
                self._add_calls(calls)
        except (ProtocolError, MemoryLimitExceeded) as error:
            self._end(error, is_over=False)
            return False
        self._has_timer = report.has_timer
        if report.is_last and self._transcript.end is not None:
            self._end(self._transcript.end.error)
            return False
        if report.cause is not None:
            self._end(error_of(report.cause, self._program.limits, self._transcript))
            return False
        self._go_on(is_answer=report.is_last and report.is_answer)
        return True

    def lose(self, error: HostError) -> None:
        """Learn that nothing more will come."""
        if not self._is_ended:
            self._end(WorkerLost(str(error), calls=self._transcript.calls) if isinstance(error, WorkerLost) else error)

    async def drive(self) -> GuestError | None:
        """Follow the run to its end; return the error that it ended with, if any.

        Raises ``HostError`` when the sandbox failed, and whatever else than ``Rejection`` a handler raised.
        """
        try:
            await self._until_there_is_something_to_do()
            while self._waits_for_one_call:  # as most programs do: a task group would take 12 us of a short run
                self._serving += 1
                await self._serve_calls()
                await self._until_there_is_something_to_do()
            if not self._is_ended:
                async with anyio.create_task_group() as self._tasks:
                    self._context = contextvars.copy_context()
                    await self._serve_until_the_end()
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:  # a handler's own error, as it raised it
                raise group.exceptions[0] from None
            raise
        if isinstance(self._ending, HostError):
            raise self._ending
        return self._ending

    def leave(self) -> None:
        """Take no more reports, and have the worker stop the run unless it is over there."""
        self.place.worker.forget(self.place.run, is_over=self._is_over)

    def _begin(self) -> None:
        program = self._program
        start = frames.Start(
            cpu_limit_us=round(program.limits.cpu_s * 1e6),
            memory_bytes=program.limits.memory_bytes,
            clock_us=time.time_ns() // 1_000,
            seed=program.seed,
            setup=encode_setup(program.capabilities, program.limits),
            source=program.source,
        )
        self._owes_answer = True
        self.place.worker.begin(self.place.run, self, frames.encode_start(self.place.run, start))

    def _end(self, ending: GuestError | HostError | None, *, is_over: bool = True) -> None:
        """Have ``drive`` return; handlers that are still going on are cancelled."""
        self._ending = ending
        self._is_ended = True
        self._is_over = is_over
        if self._serving and self._tasks is not None:
            self._tasks.cancel_scope.cancel()
        elif self._serving:
            self._stop(ending or ProtocolError("a worker ended a program that waited for an answer"))
        self._wake()

    def _go_on(self, *, is_answer: bool) -> None:
        if is_answer:
            self._owes_answer = False
            if self._settlements:
                self._settle()
        if self._may_serve:
            if self._alarm is not None:
                self._wake()
            else:  # it is serving a call: what has come by a timer's turn must not wait behind that one
                self._serve_beside(leaving=0)

    def _wake(self) -> None:
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)

    async def _until_there_is_something_to_do(self) -> None:
        while not self._is_ended and not self._may_serve:
            # asyncio's own: an anyio.Event and its wait cost 4 us more, of the 100 us that the portal spends on a run.
            self._alarm = asyncio.get_running_loop().create_future()
            try:
                await self._alarm
            finally:
                self._alarm = None

    @property
    def _may_serve(self) -> bool:
        return bool(self._waiting) and self._serving < self._program.limits.concurrent_calls

    @property
    def _waits_for_one_call(self) -> bool:
        """Whether the program can do nothing before the one call that it has made is answered."""
        is_still = not (self._is_ended or self._owes_answer or self._has_timer)
        return is_still and len(self._waiting) == len(self._open_calls) == 1

    async def _serve_until_the_end(self) -> None:
        """Answer one call at a time here, and others that come meanwhile in tasks beside."""
        while True:
            await self._until_there_is_something_to_do()
            if self._is_ended:
                return
            self._serving += 1
            self._serve_beside(leaving=1)
            await self._serve_calls()

    def _serve_beside(self, *, leaving: int) -> None:
        """Start as many more servers as there are calls, but for those that are left to others."""
        wanted = min(len(self._waiting) - leaving, self._program.limits.concurrent_calls - self._serving)
        for _ in range(wanted):
            if self._tasks is not None and self._context is not None:
                self._serving += 1
                self._context.run(self._tasks.start_soon, self._serve_calls)

    def _add_calls(self, calls: list[HostCall]) -> None:
        for call in calls:
            if call.id in self._open_calls:
                raise ProtocolError("an isolate used the id of a host call that is still open")
            self._open_calls[call.id] = len(call.args)
        self._waiting.extend(calls)
        most = self._program.limits.memory_bytes
        if len(self._open_calls) > 1 and (used := sum(self._open_calls.values())) > most:
            text = f"the arguments of calls without an answer yet have more than {most} bytes; await some of them first"
            raise MemoryLimitExceeded(text, limit="memory_bytes", max=most, used=used)

    async def _serve_calls(self) -> None:
        """Answer waiting calls, one after the other, until none is left."""
        most = min(self._program.limits.memory_bytes, MAX_TEXT_BYTES)
        while self._waiting:
            call = self._waiting.popleft()
            if self._tasks is not None:  # one that comes alone is followed by a turn of the worker anyway
                await self._rounds.take_place()
            try:
                value = await self._program.on_call(call)
                if len(value) > most:
                    text = f"the answer has {len(value)} bytes, and at most {most} fit"
                    raise Rejection(text, name="RangeError")  # noqa: TRY301 -- as a handler would
            except Rejection as rejection:
                settlement = _rejected(call, rejection)
            else:
                settlement = b'{"id":%d,"ok":true,"value":%b}' % (call.id, value)
            del self._open_calls[call.id]
            self._settlements.append(settlement)
            self._settle()
        self._serving -= 1

    def _settle(self) -> None:
        """Send the answers that are ready, unless a turn is going on: then they leave together when it ends."""
        if self._owes_answer or self._is_ended or not self._settlements:
            return
        size = count = 0
        for settlement in self._settlements:
            if count and size + len(settlement) > _SETTLE_BYTES:
                break
            size += len(settlement)
            count += 1
        batch, self._settlements = self._settlements[:count], self._settlements[count:]
        self._owes_answer = True
        self.place.worker.ask(frames.encode_settle(self.place.run, batch, clock_us=time.time_ns() // 1_000))


def _rejected(call: HostCall, rejection: Rejection) -> bytes:
    error = {**rejection.fields, "name": rejection.name, "message": rejection.message}
    return b'{"id":%d,"ok":false,"error":%b}' % (call.id, json.dumps(error, separators=(",", ":")).encode())

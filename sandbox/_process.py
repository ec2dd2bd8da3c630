"""A worker process as the portal sees it: started, talked to, watched, ended."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol, Self

import anyio

from sandbox import _frames as frames
from sandbox._child import wants_processor
from sandbox._errors import WorkerLost
from sandbox._frames import FrameError, FrameReader, Kind
from sandbox._spawn import end_process, read_ready, spawn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandbox._child import ChildProcess
    from sandbox._errors import HostError
    from sandbox._seal import IsolationLayer

_log = logging.getLogger("sandbox")

_READ_BYTES = 256 * 2**10
_LOOK_EVERY_S = 0.4
_HANGING_LOOKS = 2  # at the first, the frame that it has not answered may just have been sent
_SILENT_LOOKS = (
    12  # a worker inside a turn sends a tick every 50 ms; counted in looks, so that a suspend does not count
)
_MOVING_S = 0.030  # a worker that has ended a turn so lately is taken to end the next soon; a tick says otherwise
_GOODBYE_S = 1.0


class RunSink(Protocol):
    """What a worker's frames are handed to."""

    @property
    def waits_for_turn(self) -> bool:
        """Whether it can go on only by a turn of its worker."""
        ...

    def deliver(self, report: frames.Report) -> None:
        """Take what a turn handed over."""

    def lose(self, error: HostError) -> None:
        """Learn that nothing more will come."""


class WorkerProcess:
    """One worker process; ``serve`` must be running for anything to arrive."""

    def __init__(
        self,
        process: ChildProcess,
        connection: socket.socket,
        layers: tuple[IsolationLayer, ...],
        on_change: Callable[[], None],
    ) -> None:
        self.layers = layers
        self.long_run: int | None = None  # the run that has been inside one turn for long
        self.is_lost = False
        self.is_retired = False
        self.is_reserved = False  # for a run that is about to begin
        self._process = process
        self._socket = connection
        self._on_change = on_change
        self._runs: dict[int, RunSink] = {}
        self._unanswered = 0
        self._answered_at = 0.0
        self._was_heard = True
        self._frames = FrameReader()
        self._bytes = memoryview(bytearray(_READ_BYTES))  # kept: to ask the kernel for as many each time costs 10 us
        self._ended = anyio.Event()
        self._outbox: deque[bytes] = deque()
        self._outbox_filled = anyio.Event()

    @classmethod
    async def start(cls, *, module_path: Path, data_bytes: int, on_change: Callable[[], None]) -> Self:
        """Start a worker and wait until it is sealed and ready. Raises ``WorkerLost`` when it does not get there."""
        process, ours = await spawn("_worker:main", str(module_path), str(data_bytes))
        try:
            layers = (await read_ready(ours)).layers
        except BaseException:
            await end_process(process, ours, wait_s=0)
            raise
        return cls(process, ours, layers, on_change)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def runs(self) -> int:
        """How many runs it holds."""
        return len(self._runs)

    @property
    def is_in_long_turn(self) -> bool:
        """Whether it has been inside one turn for long."""
        return self.long_run is not None

    @property
    def is_free(self) -> bool:
        """Whether it waits for a turn to do."""
        return not (self._unanswered or self.is_reserved or self.long_run is not None or self.is_lost)

    @property
    def is_moving(self) -> bool:
        """Whether what is sent to it is soon begun: it does one short turn after the other."""
        is_open = not (self.is_reserved or self.long_run is not None or self.is_lost)
        return is_open and time.monotonic() - self._answered_at < _MOVING_S

    def owes_turn(self, run: int) -> bool:
        """Whether a run that it holds waits for a turn of its own."""
        sink = self._runs.get(run)
        return sink is not None and sink.waits_for_turn

    def begin(self, run: int, sink: RunSink, frame: bytes) -> None:
        """Send the ``START`` frame of a run; its reports go to ``sink`` from now on."""
        self.is_reserved = False
        if self.is_lost:
            sink.lose(WorkerLost("the worker process died before the run began"))
            return
        self._runs[run] = sink
        self.ask(frame)

    def ask(self, frame: bytes) -> None:
        """Send a frame that a turn will answer."""
        if not self._unanswered:
            self._was_heard = True
        self._unanswered += 1
        self._send(frame)

    def forget(self, run: int, *, is_over: bool) -> None:
        """Hand over no more reports of a run, and stop it unless it is over."""
        if self._runs.pop(run, None) is not None and not is_over and not self.is_lost:
            self._send(frames.encode(Kind.STOP, run))

    async def serve(self) -> None:
        """Read frames until the process ends or breaks the protocol; then every run that it held is lost."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write)
                tasks.start_soon(self._listen_for_life)
                await self._read()
                tasks.cancel_scope.cancel()
        finally:
            self.is_lost = True

    def lose_runs(self, error: HostError) -> None:
        """Tell every run of this worker that nothing more will come."""
        self.is_lost = True
        sinks = list(self._runs.values())
        self._runs.clear()
        for sink in sinks:
            sink.lose(error)

    def retire(self) -> None:
        """Ask the process to end; ``serve`` returns when it has."""
        if not self.is_lost:
            self.is_lost = self.is_retired = True
            self._socket.shutdown(socket.SHUT_RDWR)

    async def aclose(self) -> None:
        """Close the socket, which ends the process, and see that it is gone."""
        self.is_lost = True
        await end_process(self._process, self._socket, wait_s=_GOODBYE_S)

    def _send(self, frame: bytes) -> None:
        sent = 0
        if not self._outbox:
            try:
                sent = self._socket.send(frame)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # it has died: the reader notices
        if sent < len(frame):
            self._outbox.append(frame[sent:])
            self._outbox_filled.set()

    async def _write(self) -> None:
        while True:
            await self._outbox_filled.wait()
            while self._outbox:
                await anyio.wait_writable(self._socket)
                frame = self._outbox[0]
                try:
                    sent = self._socket.send(frame)
                except BlockingIOError:
                    continue
                except OSError:
                    return
                if sent < len(frame):
                    self._outbox[0] = frame[sent:]
                else:
                    self._outbox.popleft()
            self._outbox_filled = anyio.Event()

    async def _read(self) -> None:
        """Read until the socket ends; then the process is gone, or has broken the protocol."""
        # A callback of asyncio's own, where anyio's wait_readable would register anew for each frame and wake a task:
        # a run with one host call took 520 us with it and 600 us without, of which the portal's processor 200 and 255.
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._take_what_came)
        try:
            await self._ended.wait()
        finally:
            loop.remove_reader(self._socket)

    def _take_what_came(self) -> None:
        try:
            size = self._socket.recv_into(self._bytes)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        self._was_heard = True
        is_good = False
        try:
            for kind, run, payload in self._frames.feed(self._bytes[:size]):
                self._take(kind, run, payload)
            is_good = size > 0
        except FrameError as error:
            _log.error("worker %d broke the protocol: %s", self.pid, error)
        finally:
            if not is_good:  # also after an error of ours: the frames behind it are lost, so all its runs have to end
                self._ended.set()

    def _take(self, kind: int, run: int, payload: bytes) -> None:
        if kind == Kind.TICK:
            frames.decode_tick(payload)
            self.long_run = run
            self._on_change()
            return
        if kind == Kind.TURN:
            report = frames.decode_turn(payload)
        elif kind == Kind.FAILED:
            report = frames.decode_failed(payload)
        else:
            raise FrameError(f"unexpected kind {kind}")
        is_news = False
        if report.is_last:
            is_news = self.long_run is not None
            self.long_run = None
            self._answered_at = time.monotonic()
            if report.is_answer:
                self._unanswered = max(0, self._unanswered - 1)
                is_news = is_news or not self._unanswered
        sink = self._runs.get(run)
        if sink is not None:
            sink.deliver(report)
        if is_news:  # told when the run that goes on by the report has done so: it may do that at once
            asyncio.get_running_loop().call_soon(self._on_change)

    async def _listen_for_life(self) -> None:
        """Kill a worker that owes an answer and from which nothing comes.

        One that does not even want the processor hangs; one that does may be waiting for it on a busy machine.
        """
        silent = hanging = 0
        while silent < _SILENT_LOOKS and hanging < _HANGING_LOOKS:
            await anyio.sleep(_LOOK_EVERY_S)
            silent = 0 if self._was_heard or not self._unanswered else silent + 1
            hanging = hanging + 1 if silent and not wants_processor(self.pid) else 0
            self._was_heard = False
        _log.error("worker %d does not answer and is killed", self.pid)
        self._process.kill()


class ExecutedWorkers:
    """Starts each worker as a program of its own."""

    def __init__(self, *, module_path: Path, data_bytes: int) -> None:
        self._module_path = module_path
        self._data_bytes = data_bytes

    async def start(self, on_change: Callable[[], None]) -> WorkerProcess:
        """Start one and wait until it is sealed and ready. Raises ``WorkerLost`` when it does not get there."""
        return await WorkerProcess.start(
            module_path=self._module_path, data_bytes=self._data_bytes, on_change=on_change
        )

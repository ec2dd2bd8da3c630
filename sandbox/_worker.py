"""A worker process: many runs, each in its own isolate, one turn at a time.

Started by ``bootstrap`` with one socket and nothing else; loads the guest, seals itself, says ``READY`` and then serves
frames until the portal closes the socket. It imports nothing of this package that needs more than wasmtime, prints
nothing, and after the seal can import nothing at all.
"""

from __future__ import annotations

import gc
import heapq
import json
import os
import socket
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wasmtime import WasmtimeError

import sandbox._frames as frames
from sandbox._capabilities import Capabilities, encode_setup
from sandbox._errors import ProtocolError
from sandbox._frames import Cause, Kind, Tag
from sandbox._guest import GuestModule
from sandbox._isolate import IsolateTrap
from sandbox._limits import DEFAULT_MEMORY_BYTES, Limits
from sandbox._link import Link
from sandbox._seal import seal_after_threads, seal_before_threads
from sandbox._spare import Pages, ReadyIsolate, Spare
from sandbox._watchdog import TICK_EVERY_S, Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox._isolate import Isolate, Turn

# What spares need is done piece by piece while no frame is there: a piece takes less time than the portal to answer a
# host call, or to send the next run. With a timer due sooner than this, that comes first.
_PIECE_S = 0.001
# A program as agents write them, and an answer of some length: what they touch is mapped ahead of the programs to come.
_REHEARSED_PROGRAM = b"""\
const found = await host.rehearse({query: "open", limit: 5});
console.log(`${found.items.length} found`);
return found.items.filter((item) => item.id > 3).map(({id, name}) => ({id, name}));
"""
_REHEARSED_ITEMS = [{"id": number, "name": f"item {number}", "text": "rehearsal " * 6} for number in range(5)]
_REHEARSED_ANSWER = json.dumps([{"id": 1, "ok": True, "value": {"items": _REHEARSED_ITEMS}}]).encode()
# An interrupt that the watchdog did not mean for this turn was meant for the one before: no fault of the program.
_CAUSE_OF_TRAP = {"interrupt": Cause.WORKER, "memory": Cause.MEMORY, "stack": Cause.STACK}


def main(descriptor: str, module_path: str, data_bytes: str) -> None:
    """Serve runs on the socket ``descriptor`` until its other end closes; the entry of the process."""
    connection = socket.socket(fileno=int(descriptor))
    connection.settimeout(None)
    link = Link(connection)
    worker: Worker | None = None
    try:
        worker, ready = _prepare(link, Path(module_path), int(data_bytes))
    except Exception as error:  # noqa: BLE001 - the edge of the process: nobody else can say why it did not start
        ready = {"error": f"{type(error).__name__}: {error}"}
    try:
        link.send(frames.encode(Kind.READY, 0, json.dumps(ready).encode()))
        if worker is not None:
            worker.serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    os._exit(0)  # no clean-up is worth a system call that the seal may refuse


def _prepare(link: Link, module_path: Path, data_bytes: int) -> tuple[Worker, dict[str, object]]:
    module = GuestModule.from_serialized(module_path)
    layers = seal_before_threads(data_bytes=data_bytes)
    watchdog = Watchdog(link, raise_epoch=module.increment_epoch)
    watchdog.start()
    layers += seal_after_threads()
    spare = Spare(module, rehearse(module), memory_bytes=DEFAULT_MEMORY_BYTES)
    gc.collect()
    gc.freeze()  # nothing made so far will ever be garbage
    return Worker(link, watchdog, spare), {"layers": [asdict(layer) for layer in layers]}


def rehearse(module: GuestModule) -> Pages:
    """Run one program behind the seal and return the memory pages that it found and wrote.

    What the seal would refuse, or what is slow the first time, shows before ``READY``.
    """
    limits = Limits()
    isolate = ReadyIsolate(module, memory_bytes=limits.memory_bytes)

    def run() -> None:
        setup = encode_setup(Capabilities(), limits)
        isolate.start(setup, _REHEARSED_PROGRAM, clock_us=0, seed=bytes(32))
        turn = isolate.settle(_REHEARSED_ANSWER, clock_us=0)
        if turn.end is None:
            raise ProtocolError("the rehearsal of a run did not end")

    filled = isolate.filled_pages()
    pages = Pages(written=isolate.written_pages(run), filled=filled)
    isolate.close()
    return pages


class _Run:
    """One run in this worker."""

    __slots__ = ("calls_out", "clock_ahead_us", "cpu_limit_us", "cpu_us", "id", "isolate", "told_bytes", "wake_at_us")

    def __init__(self, run: int, isolate: Isolate, *, cpu_limit_us: int, clock_us: int) -> None:
        self.id = run
        self.isolate = isolate
        self.cpu_limit_us = cpu_limit_us
        self.cpu_us = 0
        self.calls_out = 0
        self.told_bytes = 0  # by how much its memory has grown, as the portal knows it
        self.clock_ahead_us = clock_us - _monotonic_us()
        self.wake_at_us: int | None = None  # on this worker's monotonic clock

    def clock_us(self) -> int:
        """The run's clock now."""
        return _monotonic_us() + self.clock_ahead_us


class Worker:
    """Serves the frames of one portal."""

    def __init__(self, link: Link, watchdog: Watchdog, spare: Spare) -> None:
        self._link = link
        self._watchdog = watchdog
        self._spare = spare
        self._runs: dict[int, _Run] = {}
        self._timers: list[tuple[int, int]] = []  # (wake_at_us, run); entries may be out of date

    def serve(self) -> None:
        """Serve until the portal closes the socket. Raises ``EOFError`` or ``OSError`` then."""
        while True:
            wait_s = self._until_next_timer_s()
            has_chore = self._spare.has_chore and (wait_s is None or wait_s > _PIECE_S)
            frame = self._link.next_frame(0 if has_chore else wait_s)
            if frame is not None:
                self._handle(*frame)
            elif has_chore:
                self._do_chore()
            if wait_s is not None:
                self._wake_due_runs()

    def _do_chore(self) -> None:
        try:
            self._spare.do_chore()
        except (WasmtimeError, MemoryError, IsolateTrap, ProtocolError):  # no memory, say: the run that needs one tells
            self._spare.forget()

    def _handle(self, kind: int, run_id: int, payload: bytes) -> None:
        if kind == Kind.START:
            self._start(run_id, frames.decode_start(payload))
        elif kind == Kind.SETTLE:
            self._settle(run_id, *frames.decode_settle(payload))
        elif kind == Kind.STOP:
            self._discard(run_id)
            self._link.stopped.discard(run_id)

    def _start(self, run_id: int, start: frames.Start) -> None:
        began_ns = self._watchdog.cpu_ns()
        try:
            isolate = self._spare.take(start.memory_bytes, start.setup)
        except (WasmtimeError, MemoryError):
            self._fail(run_id, Cause.WORKER, cpu_us=0, memory_bytes=0, is_answer=True)
            return
        run = _Run(run_id, isolate, cpu_limit_us=start.cpu_limit_us, clock_us=start.clock_us)
        self._runs[run_id] = run
        self._advance(
            run,
            lambda: isolate.start(start.setup, start.source, clock_us=start.clock_us, seed=start.seed),
            is_answer=True,
            began_ns=began_ns,
        )

    def _settle(self, run_id: int, clock_us: int, count: int, settlements: bytes) -> None:
        run = self._runs.get(run_id)
        if run is None:  # it ended while the frame was on its way; still, every such frame is answered
            self._fail(run_id, Cause.STOPPED, cpu_us=0, memory_bytes=0, is_answer=True)
            return
        run.clock_ahead_us = max(run.clock_ahead_us, clock_us - _monotonic_us())  # a clock never goes back
        run.calls_out -= count
        self._advance(run, lambda: run.isolate.settle(settlements, clock_us=run.clock_us()), is_answer=True)

    def _wake_due_runs(self) -> None:
        while self._until_next_timer_s() == 0:
            run = self._runs.get(heapq.heappop(self._timers)[1])
            if run is not None:
                self._advance(run, partial(_wake, run), is_answer=False)

    def _until_next_timer_s(self) -> float | None:
        while self._timers:
            wake_at_us, run_id = self._timers[0]
            run = self._runs.get(run_id)
            if run is not None and run.wake_at_us == wake_at_us:
                return max(0, wake_at_us - _monotonic_us()) / 1e6
            heapq.heappop(self._timers)  # the run is over, or waits for another moment by now
        return None

    def _advance(self, run: _Run, step: Callable[[], Turn], *, is_answer: bool, began_ns: int | None = None) -> None:
        """Run one turn, under watch, and report it; ``began_ns`` where it began before, with making the isolate."""
        if run.id in self._link.stopped:
            self._end_without_record(run, Cause.STOPPED, is_answer=is_answer)
            return
        began = time.monotonic()
        if began_ns is None:
            began_ns = self._watchdog.cpu_ns()
        self._watchdog.enter(
            run.id, run.isolate, began_ns=began_ns, cpu_used_us=run.cpu_us, cpu_limit_us=run.cpu_limit_us
        )
        cause: Cause | None = None
        logs: tuple[bytes, ...] = ()
        turn: Turn | None = None
        try:
            turn = step()
        except IsolateTrap as trap:
            cause, logs = _CAUSE_OF_TRAP.get(trap.kind, Cause.TRAP), trap.logs
        except ProtocolError:
            cause = Cause.PROTOCOL
        except MemoryError:
            cause = Cause.WORKER
        interrupted = self._watchdog.leave()
        run.cpu_us += (self._watchdog.cpu_ns() - began_ns) // 1_000
        if turn is not None and (turn.end is not None or interrupted is None):
            self._report(run, turn, is_answer=is_answer, is_long=time.monotonic() - began >= TICK_EVERY_S)
            return
        if turn is not None:  # interrupted as it came to its end: the flag would stop its next turn
            logs = turn.logs
        if logs:
            self._send_turn(run, [(Tag.LOG, record) for record in logs], is_answer=False)
        self._end_without_record(run, interrupted or cause or Cause.TRAP, is_answer=is_answer)

    def _report(self, run: _Run, turn: Turn, *, is_answer: bool, is_long: bool) -> None:
        """Hand over a turn. One that a timer began and that hands over nothing goes unsaid, as there may be many.

        Unless the portal may have heard of it by a tick, or has to know what it holds.
        """
        run.calls_out += len(turn.calls)
        run.wake_at_us = None if turn.wake_at_us is None else turn.wake_at_us - run.clock_ahead_us
        records = [(Tag.LOG, record) for record in turn.logs] + [(Tag.CALL, record) for record in turn.calls]
        if turn.end is not None:
            self._send_turn(run, [*records, (Tag.END, turn.end)], is_answer=is_answer)
            self._discard(run.id)
            return
        is_stuck = not run.calls_out and run.wake_at_us is None
        is_due = bool(records) or (is_answer and not is_stuck)
        if is_due or is_long or run.isolate.grown_bytes != run.told_bytes:
            self._send_turn(run, records, is_answer=is_answer and not is_stuck)
        if is_stuck:
            self._end_without_record(run, Cause.UNSETTLED, is_answer=is_answer)
        elif run.wake_at_us is not None:
            heapq.heappush(self._timers, (run.wake_at_us, run.id))

    def _send_turn(self, run: _Run, records: list[tuple[Tag, bytes]], *, is_answer: bool) -> None:
        run.told_bytes = run.isolate.grown_bytes
        for frame in frames.encode_turn(
            run.id,
            records,
            cpu_us=run.cpu_us,
            memory_bytes=run.isolate.memory_used,
            grown_bytes=run.told_bytes,
            has_timer=run.wake_at_us is not None,
            is_answer=is_answer,
        ):
            self._link.send(frame)

    def _end_without_record(self, run: _Run, cause: Cause, *, is_answer: bool) -> None:
        memory_bytes = run.isolate.memory_used
        self._fail(run.id, cause, cpu_us=run.cpu_us, memory_bytes=memory_bytes, is_answer=is_answer)
        self._discard(run.id)

    def _fail(self, run_id: int, cause: Cause, *, cpu_us: int, memory_bytes: int, is_answer: bool) -> None:
        frame = frames.encode_failed(run_id, cause, cpu_us=cpu_us, memory_bytes=memory_bytes, is_answer=is_answer)
        self._link.send(frame)

    def _discard(self, run_id: int) -> None:
        run = self._runs.pop(run_id, None)
        if run is None:
            return
        if run.isolate.grown_bytes:  # what it holds may be wanted by the next
            run.isolate.close()
        else:
            self._spare.retire(run.isolate)


def _wake(run: _Run) -> Turn:
    return run.isolate.settle(b"[]", clock_us=run.clock_us())


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1_000

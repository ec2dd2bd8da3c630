"""The watchdog of a worker: a second thread that stops a turn which uses up its run's processor time.

It escalates: first the flag in the isolate's memory, which the engine polls and which ends the turn cleanly; then the
epoch, which also ends long native loops; then the whole process, because a turn that ignores both is out of control.
The portal watches in its turn: a worker from which nothing comes, not even a tick, is killed from outside.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Protocol

from sandbox._frames import Cause, encode_failed, encode_tick

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox._link import Link

LOST_CONTROL = 70  # exit status; EX_SOFTWARE of sysexits.h
_LOOK_EVERY_S = 0.010  # the most by which a limit is overrun before the flag is set
_AWAKE_S = 1.0  # how long it goes on looking while there is no turn: to be woken costs more than a look
TICK_EVERY_S = 0.050  # a turn that lasts this long is one to keep new runs away from
_EPOCH_AFTER_S = 0.100  # the flag was seen within 15 ms in every loop that polls it
# Processor time, because on a busy machine the turn may not have had any to see the epoch in; together with the flag's
# time it leaves the portal time to answer within a second of the limit. The other is for a turn that takes none at all.
_EXIT_AFTER_CPU_S, _EXIT_AFTER_S = 0.500, 10.0
# A turn may take this much longer on the clock than the processor time it has left: on a machine so busy that it gets
# no more than that, it is stopped as if it had used it, well before a client has given up.
_CLOCK_FACTOR, _CLOCK_MARGIN_S = 2.0, 5.0


class Interruptible(Protocol):
    """What the watchdog needs of an isolate."""

    def interrupt(self) -> None:
        """Ask the guest to stop, from any thread."""


class _Watched:
    """A turn that is going on."""

    __slots__ = (
        "cause",
        "cpu_limit_ns",
        "cpu_start_ns",
        "ends_at",
        "interrupted_at",
        "interrupted_cpu_us",
        "isolate",
        "run",
        "ticked_at",
    )

    def __init__(
        self, run: int, isolate: Interruptible, *, cpu_start_ns: int, cpu_limit_ns: int, clock_limit_s: float
    ) -> None:
        self.run = run
        self.isolate = isolate
        self.cpu_start_ns = cpu_start_ns
        self.cpu_limit_ns = cpu_limit_ns
        self.ticked_at = time.monotonic()
        self.ends_at = self.ticked_at + clock_limit_s
        self.interrupted_at: float | None = None
        self.interrupted_cpu_us = 0
        self.cause: Cause | None = None


class Watchdog:
    """Watches the turns of the thread that makes it: each between ``enter`` and ``leave``, once it is started."""

    def __init__(self, link: Link, *, raise_epoch: Callable[[], None]) -> None:
        self._link = link
        self._raise_epoch = raise_epoch
        self._cpu_clock = _cpu_clock_of_this_thread()
        self._turn: _Watched | None = None
        self._turns = threading.Lock()  # what is meant for one turn must not reach the next
        self._is_awake = threading.Event()

    def start(self) -> None:
        """Start the thread; it ends with the process."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def cpu_ns(self) -> int:
        """Return the processor time that the watched thread has used."""
        return time.clock_gettime_ns(self._cpu_clock)

    def enter(self, run: int, isolate: Interruptible, *, began_ns: int, cpu_used_us: int, cpu_limit_us: int) -> None:
        """Watch a turn of ``run``, which began at ``began_ns`` of ``cpu_ns``."""
        turn = _Watched(
            run,
            isolate,
            cpu_start_ns=began_ns - cpu_used_us * 1_000,
            cpu_limit_ns=cpu_limit_us * 1_000,
            clock_limit_s=_CLOCK_FACTOR * (cpu_limit_us - cpu_used_us) / 1e6 + _CLOCK_MARGIN_S,
        )
        with self._turns:
            self._turn = turn
        if not self._is_awake.is_set():
            self._is_awake.set()

    def leave(self) -> Cause | None:
        """End the watch, and say why the turn was interrupted if it was."""
        with self._turns:
            turn, self._turn = self._turn, None
        return turn.cause if turn is not None else None

    def _watch(self) -> None:
        quiet_since = time.monotonic()
        seen: _Watched | None = None
        while True:
            self._is_awake.wait()
            turn = self._turn
            if turn is None and time.monotonic() - quiet_since > _AWAKE_S:
                self._is_awake.clear()
                if self._turn is None:  # else a turn began just before the flag was cleared
                    continue
                self._is_awake.set()
            elif turn is not None and turn is seen:
                self._look_at(turn)
            else:
                # Short turns are left alone: waiting for the socket beside each of them would wake this thread for
                # every frame, and have it fight for the interpreter with the thread of the runs.
                time.sleep(_LOOK_EVERY_S if turn is None else min(_LOOK_EVERY_S, self._left_s(turn)))
            if turn is not None:
                quiet_since = time.monotonic()
            seen = turn

    def _left_s(self, turn: _Watched) -> float:
        return max(0, turn.cpu_limit_ns - (self.cpu_ns() - turn.cpu_start_ns)) / 1e9

    def _look_at(self, turn: _Watched) -> None:
        cpu_ns = self.cpu_ns() - turn.cpu_start_ns
        left_s = min((turn.cpu_limit_ns - cpu_ns) / 1e9, turn.ends_at - time.monotonic())
        try:
            with self._turns:
                if turn is self._turn:
                    self._act_on(turn, left_s=left_s, cpu_us=cpu_ns // 1_000)
            self._link.read_beside_a_turn(min(_LOOK_EVERY_S, left_s) if left_s > 0 else _LOOK_EVERY_S)
        except (EOFError, OSError):
            os._exit(0)

    def _act_on(self, turn: _Watched, *, left_s: float, cpu_us: int) -> None:
        now = time.monotonic()
        if turn.interrupted_at is not None:
            self._escalate(turn, now - turn.interrupted_at, cpu_us=cpu_us)
        elif left_s <= 0 or turn.run in self._link.stopped:
            turn.cause = Cause.CPU if left_s <= 0 else Cause.STOPPED
            turn.interrupted_at, turn.interrupted_cpu_us = now, cpu_us
            turn.isolate.interrupt()
        if now - turn.ticked_at >= TICK_EVERY_S:
            turn.ticked_at = now
            self._link.send_if_free(encode_tick(turn.run, cpu_us=cpu_us))

    def _escalate(self, turn: _Watched, since_s: float, *, cpu_us: int) -> None:
        cpu_s = (cpu_us - turn.interrupted_cpu_us) / 1e6
        if (
            cpu_s >= _EXIT_AFTER_CPU_S or since_s >= _EXIT_AFTER_S
        ):  # this run is told why; those beside it are lost, or started again
            cause = turn.cause or Cause.STOPPED
            self._link.send_if_free(encode_failed(turn.run, cause, cpu_us=cpu_us, memory_bytes=0, is_answer=True))
            os._exit(LOST_CONTROL)
        elif since_s >= _EPOCH_AFTER_S:
            self._raise_epoch()


def _cpu_clock_of_this_thread() -> int:
    clock_of = getattr(time, "pthread_getcpuclockid", None)  # not on every system
    return int(clock_of(threading.get_ident())) if clock_of is not None else time.CLOCK_PROCESS_CPUTIME_ID

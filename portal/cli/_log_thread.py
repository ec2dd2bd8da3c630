"""Log lines that leave through a thread: whoever has stopped reading them holds up nothing but the log."""

from __future__ import annotations

import logging
import os
import select
import time
from queue import SimpleQueue
from threading import Thread
from typing import Final

MAX_LINES: Final = 10_000
"""Some 2 MB: what a busy portal logs in ten seconds."""
FLUSH_S: Final = 1.0
"""How long an orderly end waits for a reader."""
GATHER_S: Final = 0.05
"""Between two writes of the thread: to be woken for each line, it would take the interpreter from the calls."""
_POLL_S: Final = 0.01


class ThreadHandler(logging.Handler):
    """Writes each record to ``descriptor`` some moment later, in order.

    While ``max_lines`` wait, further ones are left out; how many is said behind those that waited. ``flush`` waits for
    at most ``FLUSH_S``.
    """

    def __init__(self, descriptor: int, *, max_lines: int = MAX_LINES) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._max_lines = max_lines
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        # Each count has one writer, the loggers' (who hold the handler's lock) or the thread: it needs no lock.
        self._taken = 0
        self._done = 0
        self._left_out = 0
        self._lost = 0
        self._told = 0
        Thread(target=self._run, name="portico-log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; never waits."""
        if self._taken - self._done >= self._max_lines:
            self._left_out += 1
            return
        try:
            # Here and not in the thread: what a record refers to may be something else by then, and hold a secret.
            line = self.format(record)
        except Exception:  # noqa: BLE001 -- as logging's own handlers
            self.handleError(record)
            return
        self._taken += 1
        self._lines.put(line)

    def flush(self) -> None:
        """Wait until the lines taken so far are written, for a moment."""
        wanted, ends_at = self._taken, time.monotonic() + FLUSH_S
        while self._done < wanted and time.monotonic() < ends_at:
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Let the thread end when all is written."""
        self._lines.put(None)
        super().close()

    def _run(self) -> None:
        is_open = True
        while is_open:
            waiting = [self._lines.get()]
            while not self._lines.empty():  # all in one write: the thread has the interpreter to itself for less time
                waiting.append(self._lines.get())
            lines = [line for line in waiting if line is not None]
            is_open = len(lines) == len(waiting)
            if not self._write([*lines, *self._omission()]):
                self._lost += len(lines)
            self._done += len(lines)
            if is_open:
                time.sleep(GATHER_S)

    def _omission(self) -> list[str]:
        """Say how many lines were left out since that was said last."""
        count = self._left_out + self._lost - self._told
        if not count:
            return []
        self._told += count
        message = "lines left out here, which could not be written in time: %d"
        return [self.format(logging.LogRecord("portico.log", logging.WARNING, __file__, 0, message, (count,), None))]

    def _write(self, lines: list[str]) -> bool:
        """Write ``lines``; False if that failed, as on a full disk or where nobody can read them any more."""
        rest = memoryview("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # another process that has the same terminal may have made it so
                select.select([], [self._descriptor], [])
            except OSError:
                return False
        return True

"""The worker's end of the socket pair: frames in, frames out, for the thread of the runs and for the watchdog."""

from __future__ import annotations

import select
import socket
import threading
from collections import deque

from sandbox._frames import FrameReader, Kind

_READ_BYTES = 256 * 2**10


class Link:
    """Reads frames into an inbox. Runs that the portal has stopped are known as soon as their frame is read.

    The thread of the runs reads when it has nothing to do. While it is inside a turn the watchdog reads in its place,
    so that a stop arrives in time and the portal never waits for a full socket.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._frames = FrameReader()
        self._bytes = memoryview(bytearray(_READ_BYTES))  # kept: to ask the kernel for as many each time costs 10 us
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._own_poll, self._watchdog_poll = _poll_for(connection), _poll_for(connection)  # one a thread, by its rule
        self._inbox: deque[tuple[int, int, bytes]] = deque()
        self.stopped: set[int] = set()

    def next_frame(self, timeout_s: float | None) -> tuple[int, int, bytes] | None:
        """Return the next frame, or ``None`` after ``timeout_s``. Raises ``EOFError`` when the portal has gone."""
        if not self._inbox:
            with self._reading:  # from before the wait: a watchdog that is late must not read what is waited for
                if not self._inbox and timeout_s is not None and not self._own_poll.poll(timeout_s * 1e3):
                    return None
                while not self._inbox:
                    self._read(0)
        return self._inbox.popleft()

    def read_beside_a_turn(self, timeout_s: float) -> None:
        """Wait up to ``timeout_s`` and read what came; for the watchdog. Raises ``EOFError`` as above."""
        if self._watchdog_poll.poll(timeout_s * 1e3) and self._reading.acquire(blocking=False):
            try:
                self._read(socket.MSG_DONTWAIT)
            except BlockingIOError:
                return  # the other thread has read it in between
            finally:
                self._reading.release()

    def send(self, frame: bytes) -> None:
        """Send a whole frame. Raises ``OSError`` when the portal has gone."""
        with self._writing:
            self._socket.sendall(frame)

    def send_if_free(self, frame: bytes) -> None:
        """Send a small frame if that needs no wait, else leave it; for the watchdog."""
        if self._writing.acquire(blocking=False):
            try:
                sent = self._socket.send(frame, socket.MSG_DONTWAIT)
                if sent < len(frame):
                    self._socket.sendall(frame[sent:])
            except BlockingIOError:
                return
            finally:
                self._writing.release()

    def _read(self, flags: int) -> None:
        size = self._socket.recv_into(self._bytes, 0, flags)
        if not size:
            raise EOFError("the portal has closed the socket")
        for frame in self._frames.feed(self._bytes[:size]):
            if frame[0] == Kind.STOP:
                self.stopped.add(frame[1])
            self._inbox.append(frame)


def _poll_for(connection: socket.socket) -> select.poll:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return poll

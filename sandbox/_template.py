"""The template of workers that serve one run each: a warm, sealed process that forks and does nothing else.

It has loaded the guest, has one thread, holds no run and reads no byte that a program wrote. Over its socket the portal
asks for a child, with the descriptor of the child's own socket, or for the end of one; it is told of every child that
is gone. The template reaps its children, so a number names one of them until the portal has been told.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from wasmtime import WasmtimeError

import sandbox._frames as frames
from sandbox._fork_requests import FORK, GONE, KILL, REQUEST
from sandbox._frames import Kind
from sandbox._guest import GuestModule
from sandbox._limits import DEFAULT_MEMORY_BYTES
from sandbox._link import Link
from sandbox._seal import seal_after_threads, seal_before_threads, seal_template
from sandbox._spare import Pages, Spare
from sandbox._watchdog import Watchdog
from sandbox._worker import Worker, rehearse

if TYPE_CHECKING:
    from sandbox._frames import Start
    from sandbox._seal import IsolationLayer

_SET_PARENT_DEATH_SIGNAL = 1  # prctl(2)
_SECOND_RUN = 71  # exit status


def main(descriptor: str, module_path: str, data_bytes: str) -> None:
    """Fork as the portal asks on the socket ``descriptor``, until its other end closes; the entry of the process."""
    connection = socket.socket(fileno=int(descriptor))
    connection.settimeout(None)
    wake_up = socket.socketpair()
    for end in wake_up:
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # its arrival is written to the pair, which the poll watches
    signal.set_wakeup_fd(wake_up[1].fileno(), warn_on_full_buffer=False)
    module = GuestModule.from_serialized(Path(module_path))
    layers = seal_before_threads(data_bytes=int(data_bytes)) + seal_template()
    pages = rehearse(module)
    gc.collect()
    gc.freeze()  # what is here now is shared with every child, and never garbage
    ready = {"layers": [asdict(layer) for layer in layers], "pid": os.getpid()}
    connection.sendall(frames.encode(Kind.READY, 0, json.dumps(ready).encode()))
    with contextlib.suppress(OSError):  # the portal has gone: so does the template, and its children with it
        _Template(connection, wake_up, module=module, pages=pages, layers=layers).serve()
    os._exit(0)


class _Template:
    def __init__(
        self,
        connection: socket.socket,
        wake_up: tuple[socket.socket, socket.socket],
        *,
        module: GuestModule,
        pages: Pages,
        layers: list[IsolationLayer],
    ) -> None:
        self._connection = connection
        self._woken, self._wakes = wake_up
        self._module = module
        self._pages = pages
        self._layers = layers
        self._children: set[int] = set()

    def serve(self) -> None:
        """Serve until the portal closes the socket. Raises ``OSError`` where it has done so while something is sent."""
        poll = select.poll()
        for source in (self._connection, self._woken):
            poll.register(source.fileno(), select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._woken.fileno() in ready:
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(4096)
                self._reap()
            if self._connection.fileno() in ready and not self._take_request():
                return

    def _take_request(self) -> bool:
        request, descriptors, _, _ = socket.recv_fds(self._connection, REQUEST.size, 1)
        if len(request) < REQUEST.size:
            return False
        kind, pid = REQUEST.unpack(request)
        if kind == KILL and pid in self._children:
            os.kill(pid, signal.SIGKILL)
        elif kind == FORK and descriptors:
            self._fork(descriptors[0])
        return True

    def _fork(self, descriptor: int) -> None:
        template = os.getpid()
        try:
            pid = os.fork()
        except OSError:  # its socket closes, which the portal takes for a worker that did not start
            os.close(descriptor)
            return
        if pid:
            self._children.add(pid)
            os.close(descriptor)
        else:
            self._be_worker(descriptor, template)

    def _be_worker(self, descriptor: int, template: int) -> NoReturn:
        """Seal this child and serve one run; nothing of the template's is open here."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for inherited in (self._connection, self._woken, self._wakes):
            inherited.close()
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, ctypes.c_ulong(signal.SIGKILL))
        if os.getppid() != template:
            os._exit(0)
        # All three are named: asking the descriptor for them is not among the calls that the filter allows.
        link = Link(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptor))
        watchdog = Watchdog(link, raise_epoch=self._module.increment_epoch)
        watchdog.start()
        layers = [layer for layer in self._layers if layer.name != "template-seccomp"] + seal_after_threads()
        spare = Spare(self._module, self._pages, memory_bytes=DEFAULT_MEMORY_BYTES, stock=1)
        with contextlib.suppress(WasmtimeError):
            spare.make()
        worker = _OneRun(link, watchdog, spare)
        ready = {"layers": [asdict(layer) for layer in layers], "pid": os.getpid()}
        with contextlib.suppress(EOFError, OSError):
            link.send(frames.encode(Kind.READY, 0, json.dumps(ready).encode()))
            worker.serve()
        os._exit(0)

    def _reap(self) -> None:
        while self._children:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._children.discard(pid)
            self._connection.sendall(GONE.pack(pid))


class _OneRun(Worker):
    """A worker that ends rather than begin a second run."""

    _has_begun = False

    def _start(self, run_id: int, start: Start) -> None:
        if self._has_begun:
            os._exit(_SECOND_RUN)
        self._has_begun = True
        super()._start(run_id, start)
        self._spare.forget()

"""The template process as the portal sees it: asked for a worker of its own for each run, and told to end one."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from sandbox._errors import WorkerLost
from sandbox._fork_requests import FORK, GONE, KILL, REQUEST
from sandbox._process import WorkerProcess
from sandbox._spawn import end_process, read_ready, spawn, worker_sockets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandbox._child import ChildProcess

_log = logging.getLogger("sandbox")

_READ_BYTES = 4096
_GOODBYE_S = 1.0


class ForkedWorkers:
    """Starts each worker as a fork of one template process, which is started when first needed and when it was lost."""

    def __init__(self, *, module_path: Path, data_bytes: int) -> None:
        self._module_path = module_path
        self._data_bytes = data_bytes
        self._template: _Template | None = None
        self._starting = anyio.Lock()

    @property
    def template_pid(self) -> int | None:
        """The process id of the template; None while there is none."""
        return None if self._template is None else self._template.pid

    async def start(self, on_change: Callable[[], None]) -> WorkerProcess:
        """Fork a worker and wait until it is sealed and ready. Raises ``WorkerLost`` when it does not get there."""
        template = await self._running_template()
        ours, theirs = worker_sockets()
        try:
            with theirs:
                template.fork(theirs)
            ready = await read_ready(ours)
        except BaseException:
            ours.close()  # which ends the child, if there is one
            raise
        return WorkerProcess(template.adopt(ready.pid), ours, ready.layers, on_change)

    async def aclose(self) -> None:
        """End the template, and whatever is left of its children."""
        template, self._template = self._template, None
        if template is not None:
            await template.aclose()

    async def _running_template(self) -> _Template:
        async with self._starting:
            if self._template is not None and self._template.is_lost:
                _log.error("the template of workers was lost and is started again")
                await self.aclose()
            if self._template is None:
                process, connection = await spawn("_template:main", str(self._module_path), str(self._data_bytes))
                try:
                    await read_ready(connection)
                except BaseException:
                    await end_process(process, connection, wait_s=0)
                    raise
                self._template = _Template(process, connection)
            return self._template


class _Template:
    """One template process, whose notices are read from now on."""

    def __init__(self, process: ChildProcess, connection: socket.socket) -> None:
        self.is_lost = False
        self._process = process
        self._socket = connection
        self._buffer = b""
        self._children: dict[int, anyio.Event] = {}  # set when one has been reaped
        self._unknown: set[int] = set()  # children that have been reaped before they were adopted
        asyncio.get_running_loop().add_reader(connection, self._take_what_came)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def fork(self, theirs: socket.socket) -> None:
        """Ask for a child that talks over ``theirs``. Raises ``WorkerLost``."""
        try:
            socket.send_fds(self._socket, [REQUEST.pack(FORK, 0)], [theirs.fileno()])
        except OSError as error:
            raise WorkerLost(f"the template of workers could not be asked for one: {error}") from error

    def adopt(self, pid: int) -> _Fork:
        """Return a child that has said its number; it may have ended since."""
        self._children[pid] = gone = anyio.Event()
        if self.is_lost or pid in self._unknown:
            self._unknown.discard(pid)
            gone.set()
        return _Fork(self, pid)

    def kill(self, pid: int) -> None:
        """Ask for the end of a child."""
        if pid in self._children and not self.is_lost:
            with suppress(OSError):  # it is about to be known as lost, and its children die with it
                self._socket.send(REQUEST.pack(KILL, pid))

    async def wait_gone(self, pid: int) -> None:
        """Wait until a child has been reaped; when the template dies, so do its children."""
        gone = self._children.get(pid)
        if gone is not None:
            await gone.wait()

    async def aclose(self) -> None:
        """End the process."""
        self._lose()
        await end_process(self._process, self._socket, wait_s=_GOODBYE_S)

    def _take_what_came(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        self._buffer += data
        whole = len(self._buffer) - len(self._buffer) % GONE.size
        for (pid,) in GONE.iter_unpack(self._buffer[:whole]):
            gone = self._children.pop(pid, None)
            if gone is not None:
                gone.set()
            else:
                self._unknown.add(pid)
        self._buffer = self._buffer[whole:]

    def _lose(self) -> None:
        if not self.is_lost:
            self.is_lost = True
            asyncio.get_running_loop().remove_reader(self._socket)
            for gone in self._children.values():
                gone.set()


class _Fork:
    """A child of a template."""

    def __init__(self, template: _Template, pid: int) -> None:
        self._template = template
        self.pid = pid

    def kill(self) -> None:
        """End it now."""
        self._template.kill(self.pid)

    async def wait(self) -> None:
        """Wait until it has ended and was reaped."""
        await self._template.wait_gone(self.pid)

"""Processes of this package: started with nothing but a socket, waited for until they are ready, and ended."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import anyio

from sandbox._child import Child
from sandbox._compile import UNUSABLE_FOLDER
from sandbox._errors import WorkerLost
from sandbox._frames import FrameReader, Kind
from sandbox._module_cache import find_in
from sandbox._seal import IsolationLayer, bootstrap

if TYPE_CHECKING:
    from sandbox._child import ChildProcess

_READ_BYTES = 64 * 2**10
_SOCKET_BYTES = 2**20  # asked of the kernel, which may give less: most frames then go out without a wait
_START_TIMEOUT_S = 60.0  # it takes 0.2 s; a machine that starts many things at once may need a hundred times that


class Ready(NamedTuple):
    """What a process says of itself when it is ready; ``pid`` where its starter does not know it."""

    layers: tuple[IsolationLayer, ...]
    pid: int


async def compile_guest(cache_dir: Path) -> Path:
    """Return the path of the compiled guest in ``cache_dir``; compiling it takes seconds when it is not there.

    Raises ``OSError`` when the folder cannot be used, ``WorkerLost`` when the guest cannot be compiled.
    """
    if (compiled := find_in(cache_dir)) is not None:
        return compiled
    command = bootstrap("_compile:main", str(cache_dir), packages=_packages_folder())
    done = await anyio.run_process(command, env={}, cwd="/", check=False, start_new_session=True)
    if done.returncode == 0:
        return Path(os.fsdecode(done.stdout))
    reason = done.stderr.decode(errors="replace").strip()
    if done.returncode == UNUSABLE_FOLDER:
        raise OSError(f"the cache folder {cache_dir} cannot be used: {reason}")
    raise WorkerLost(f"the guest could not be compiled (exit status {done.returncode}): {reason[-2000:]}")


async def spawn(entry: str, *arguments: str) -> tuple[ChildProcess, socket.socket]:
    """Start a process of this package with nothing but one socket, and return it with our end of that socket.

    ``entry`` is called with the number of its descriptor and ``arguments``. Raises ``WorkerLost``.
    """
    ours, theirs = worker_sockets()
    with theirs:
        command = bootstrap(entry, str(theirs.fileno()), *arguments, packages=_packages_folder())
        try:
            return await Child.start(command, descriptor=theirs.fileno()), ours
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):
                raise WorkerLost(f"a worker process could not be started: {error}") from error
            raise


def worker_sockets() -> tuple[socket.socket, socket.socket]:
    """Return a pair of sockets: our end, which does not block, and a worker's. Raises ``WorkerLost``."""
    try:
        ours, theirs = socket.socketpair()
    except OSError as error:  # no descriptor is left
        raise WorkerLost(f"a worker process could not be given a socket: {error}") from error
    ours.setblocking(False)
    for side in (ours, theirs):
        side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
    return ours, theirs


async def read_ready(connection: socket.socket) -> Ready:
    """Wait until the process at the other end is sealed. Raises ``WorkerLost`` when it does not get there."""
    try:
        with anyio.fail_after(_START_TIMEOUT_S):
            return await _read_ready(connection)
    except TimeoutError:
        raise WorkerLost(f"a worker process was not ready after {_START_TIMEOUT_S:g} s") from None


async def end_process(process: ChildProcess, connection: socket.socket, *, wait_s: float) -> None:
    """Close the socket, which ends the process, and see that it is gone: killed after ``wait_s``."""
    connection.close()
    with anyio.CancelScope(shield=True):  # bounded: a killed process ends at once
        with anyio.move_on_after(wait_s) as scope:
            await process.wait()
        if scope.cancelled_caught:
            process.kill()
            await process.wait()


async def _read_ready(connection: socket.socket) -> Ready:
    reader = FrameReader()
    while True:
        await anyio.wait_readable(connection)
        try:
            data = connection.recv(_READ_BYTES)
        except OSError as error:
            raise WorkerLost("a worker process ended before it was ready") from error
        if not data:
            raise WorkerLost("a worker process ended before it was ready")
        for kind, _, payload in reader.feed(data):
            ready = json.loads(payload)
            if kind != Kind.READY or "error" in ready:
                raise WorkerLost(f"a worker process could not start: {ready.get('error')}")
            layers = tuple(IsolationLayer(**layer) for layer in ready["layers"])
            return Ready(layers=layers, pid=int(ready.get("pid", 0)))


def _packages_folder() -> str:
    # wasmtime and tree_sitter are installed side by side.
    spec = importlib.util.find_spec("wasmtime")
    if spec is None or spec.origin is None:
        raise WorkerLost("wasmtime is not installed")
    return str(Path(spec.origin).parent.parent)

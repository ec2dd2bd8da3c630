"""A portal over the standard streams of its process: a message a line, and nothing but messages on standard output."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel

from portal.server._connection import Connection
from portal.server._http_messages import MAX_BODY_BYTES
from portal.server._server import LOCAL_USER
from portal.wire import RpcError, decode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from portal.server._modes import View
    from portal.server._server import ServedPortal

FINISH_S: Final = 5.0
"""How long answers may take after the input has closed; then clients end a process that is still there."""
REST_S: Final = 5.0
"""How long each further piece of a line may take whose request was cancelled meanwhile."""
READ_BYTES: Final = 2**16
WRITE_BYTES: Final = 4096
"""A pipe that can be written to takes this much without blocking (POSIX, PIPE_BUF)."""


async def serve_client(
    portal: ServedPortal, *, view: View, source: int, target: int, on_close: Callable[[str], None]
) -> None:
    """Serve the one client at the other end until its input closes; ``on_close`` gets the id that it had.

    ``source`` and ``target`` are file descriptors.
    """
    async with anyio.create_task_group() as tasks:

        async def write(text: bytes) -> None:
            try:
                await _write(target, text + b"\n")
            except (BrokenPipeError, TimeoutError):  # nobody reads any more
                tasks.cancel_scope.cancel()

        connection = Connection(portal, user=LOCAL_USER, view=view, write=write, tasks=tasks)
        try:
            async for line in _lines(source):
                try:
                    message = decode(line)
                except RpcError as error:
                    await connection.refuse(error)
                else:
                    await connection.take(message)
            await connection.finish(FINISH_S)
        finally:
            connection.close()
            on_close(connection.client)
            tasks.cancel_scope.cancel()


@contextmanager
def own_streams() -> Iterator[tuple[int, int]]:
    """Take standard input and output for messages alone: what else the process prints goes to standard error."""
    sys.stdout.flush()
    source, target = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        yield source, target
    finally:
        os.dup2(source, 0)
        os.dup2(target, 1)
        for descriptor in (nothing, source, target):
            os.close(descriptor)


async def _lines(source: int) -> AsyncIterator[bytes]:
    """Yield the lines that are not empty, until the end; for one that is too long, a line that is no JSON."""
    waiting = bytearray()
    is_skipping = False
    while received := await _read(source):
        head, newline, rest = received.partition(b"\n")
        waiting += head
        while newline:
            if waiting.strip() and not is_skipping:
                yield bytes(waiting)
            is_skipping = False
            head, newline, rest = rest.partition(b"\n")
            waiting = bytearray(head)
        if len(waiting) > MAX_BODY_BYTES:
            if not is_skipping:
                yield b"(too long)"
            is_skipping = True
            waiting.clear()
    if waiting.strip() and not is_skipping:
        yield bytes(waiting)


async def _read(source: int) -> bytes:
    try:
        await anyio.wait_readable(source)
    except (OSError, ValueError):  # a file is always readable
        await anyio.lowlevel.checkpoint()
    return os.read(source, READ_BYTES)


async def _write(target: int, data: bytes) -> None:
    """Write all of ``data``; when that is cancelled, all of it or nothing.

    Raises ``TimeoutError`` when the other end does not read, and a line would be left in half.
    """
    rest = memoryview(data)
    try:
        while rest:
            rest = await _write_some(target, rest)
    except anyio.get_cancelled_exc_class():
        while 0 < len(rest) < len(data):
            with anyio.fail_after(REST_S, shield=True):
                rest = await _write_some(target, rest)
        raise


async def _write_some(target: int, rest: memoryview) -> memoryview:
    """Write what the other end takes at once, and return what is left then."""
    try:
        await anyio.wait_writable(target)
    except (OSError, ValueError):  # as above
        await anyio.lowlevel.checkpoint()
    return rest[os.write(target, rest[:WRITE_BYTES]) :]

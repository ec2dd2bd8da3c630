"""A process that this one started: waited for and killed by its handle, and reaped by nobody else.

asyncio's own processes are reaped by a thread, and by any signal sent to them meanwhile, which looks whether they are
still there: whoever comes second finds no process and says so in the log. Here there is one who reaps.
"""

from __future__ import annotations

import os
import subprocess
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import Sequence


class ChildProcess(Protocol):
    """A process of ours, however it was started."""

    @property
    def pid(self) -> int:
        """The process id; it is nobody else's before ``wait`` has returned."""
        ...

    def kill(self) -> None:
        """End it now; one that has ended is left alone."""

    async def wait(self) -> None:
        """Wait until it has ended and nothing of it is left. For one task at a time."""


class Child:
    """A process that runs a command of its own."""

    @classmethod
    async def start(cls, command: Sequence[str], *, descriptor: int) -> Self:
        """Start ``command``, as below, while the event loop goes on: on a busy machine it takes 100 ms and more."""
        return await anyio.to_thread.run_sync(partial(cls, command, descriptor=descriptor))

    def __init__(self, command: Sequence[str], *, descriptor: int) -> None:
        """Start ``command`` with no environment and no descriptor but ``descriptor``. Raises ``OSError``."""
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own text
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            pass_fds=(descriptor,),
            start_new_session=True,  # an interrupt typed at a terminal is the portal's to handle
            # What it is anyway. Asking for it has Python fork where it would vfork, which stops this whole process, the
            # lock of its interpreter held, until the new one has been given a processor and has begun its program.
            group=os.getegid(),
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def kill(self) -> None:
        """End it now."""
        self._process.kill()  # looks first whether it has ended, and reaps it then

    async def wait(self) -> None:
        """Wait until it has ended, and reap it."""
        if self._process.poll() is not None:
            return
        try:
            handle = os.pidfd_open(self._process.pid)
        except (AttributeError, OSError):  # no Linux, or no descriptor is left
            await anyio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)
            return
        try:
            await anyio.wait_readable(handle)
        finally:
            os.close(handle)
        self._process.wait()


def wants_processor(pid: int) -> bool:
    """Say whether a thread of a process runs, or would if it were let; True where nobody can tell."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        states = [(thread / "stat").read_text().rpartition(") ")[2][:1] for thread in threads]
    except OSError:  # no Linux, or it has just ended
        return True
    return any(state in "RD" for state in states)

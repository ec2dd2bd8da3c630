"""No child outlives the portal, also when that is killed: a process of its own sees to it.

A child is asked to die with its parent by the kernel in some systems, but not what the child has started in turn; so a
small process, one for all children, holds the end of a pipe and kills their process groups when the portal is gone.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("portico.upstream")

PROGRAM: Final = Path(__file__).with_name("_warden_process.py")
EXIT_S: Final = 1.0
"""How long the end of the process is waited for when it has nothing to do any more; it takes milliseconds."""


class Warden:
    """Watches over process groups while there are any; its process is started with the first and ends with the last."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def watching(self, group: int) -> Iterator[None]:
        """Have a process group killed if this process ends inside the block."""
        self._groups.add(group)
        if self._process is None:
            self._start()
            self._tell("".join(f"+{known}\n" for known in self._groups))  # the one before may have been killed
        else:
            self._tell(f"+{group}\n")
        try:
            yield
        finally:
            self._groups.discard(group)
            self._tell(f"-{group}\n")
            if not self._groups:
                self._end()

    def _start(self) -> None:
        # Isolated and without site packages: 10 ms to start, and nothing of the environment decides what runs.
        command = [sys.executable, "-I", "-S", str(PROGRAM)]
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- our own program
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            logger.warning("children would outlive a portal that is killed: their warden did not start (%s)", error)

    def _tell(self, line: str) -> None:
        if self._process is None or self._process.stdin is None:
            return
        try:
            os.write(self._process.stdin.fileno(), line.encode())
        except OSError as error:
            logger.warning("children would outlive a portal that is killed: their warden has gone (%s)", error)
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            process.wait(EXIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


WARDEN: Final = Warden()
"""The one of this process: what it watches over are processes, whoever started them."""

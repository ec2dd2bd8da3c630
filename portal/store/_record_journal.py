"""Records on their way to the database, in a file beside it: a process that is killed loses none of them.

A record is in the file when ``append`` returns, which costs some microseconds: it is written but not synchronised, so
it survives the end of the process and not that of the machine. Two files take turns: while the records of one go to the
database, new ones go to the other; then the first one is emptied.

Each journal has files of its own and holds a lock on them. Those that nobody holds were left by a process that died.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import secrets
from typing import TYPE_CHECKING, Final

import orjson
from sqlalchemy import JSON

from portal.store._schema import CALLS, RUNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from typegen import JsonValue

    Row = dict[str, JsonValue]

logger = logging.getLogger("portico.store")

_MODE: Final = 0o600
_JSON_COLUMNS: Final = {column.name for table in (CALLS, RUNS) for column in table.c if isinstance(column.type, JSON)}
_TRIES: Final = 100
"""To lock a new file before another start takes it for one that was left, which some microseconds decide."""


class RecordJournal:
    """The journal of this process, beside the database at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: list[int] = []
        self._paths: list[Path] = []
        self._sizes = [0, 0]
        self._current = 0
        self._is_failing = False

    def open(self) -> None:
        """Begin a journal. Without one, as on a full disk, records are kept all the same, a moment later."""
        try:
            for _ in range(2):
                self._add_file()
        except OSError as error:
            logger.warning("records are not kept beside the store until they are in it: %s", error.strerror)
            self.close()

    def close(self) -> None:
        """End the journal, whose records are all stored."""
        for path, file, size in zip(self._paths, self._files, self._sizes, strict=False):
            with contextlib.suppress(OSError):
                if size == 0:
                    path.unlink()
            os.close(file)
        self._files.clear()
        self._paths.clear()

    def append(self, table: str, row: Mapping[str, JsonValue]) -> None:
        """Write down one record."""
        if not self._files:
            return
        try:
            self._sizes[self._current] += os.write(self._files[self._current], orjson.dumps([table, row]) + b"\n")
        except OSError as error:
            if not self._is_failing:
                logger.warning("a record could not be kept beside the store: %s", error.strerror)
            self._is_failing = True
        else:
            self._is_failing = False

    def turn(self) -> bool:
        """Let the other file take what comes now; return whether that could be, which it can when that is empty."""
        if not self._files or self._sizes[1 - self._current] or not self._sizes[self._current]:
            return False
        self._current = 1 - self._current
        return True

    def settle(self) -> None:
        """Empty the file that had its turn before: its records are stored."""
        if self._files:
            os.ftruncate(self._files[1 - self._current], 0)
            self._sizes[1 - self._current] = 0

    def abandoned(self) -> Iterator[tuple[Path, list[tuple[str, Row]]]]:
        """Yield the files that processes left which died, each with its records; whoever stores them removes it."""
        for path in sorted(self._path.parent.glob(f"{self._path.name}-records-*")):
            try:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    lines = file.read().split(b"\n")[:-1]  # what follows the last end of a line was being written
                    records = [record for line in lines if (record := _record_in(line)) is not None]
                    if len(records) < len(lines):
                        logger.warning("%d torn records in %s are lost", len(lines) - len(records), path)
                    yield path, records
            except OSError:
                continue  # held by a process that lives, or gone by now

    def _add_file(self) -> None:
        for _ in range(_TRIES):
            path = self._path.with_name(f"{self._path.name}-records-{secrets.token_hex(4)}")
            self._files.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, _MODE))
            self._paths.append(path)
            if _is_locked(self._files[-1]):
                return
            os.close(self._files.pop())
            self._paths.pop()
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _is_locked(file: int) -> bool:
    """Lock a new file; False when another start took it, before that, for one that was left, and removes it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(file).st_nlink > 0


def _record_in(line: bytes) -> tuple[str, Row] | None:
    """Return the record that a line holds; None for half a line, as a full disk leaves, and what follows it there.

    What half a line and another make together may be JSON, with an object where a text belongs.
    """
    try:
        name, row = orjson.loads(line)
    except (ValueError, TypeError):
        return None
    if not isinstance(name, str) or not isinstance(row, dict):
        return None
    is_plain = all(column in _JSON_COLUMNS or not isinstance(value, dict | list) for column, value in row.items())
    return (name, row) if is_plain else None

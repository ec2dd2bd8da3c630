"""A consistent copy of a SQLite store while it is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from portal._errors import StoreUnavailable, StoreUnusable
from portal.store._schema import VERSION_TABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PAGES: Final = 2_048
"""Copied at a time, 8 MiB: the steps at which progress is told."""


def copy_sqlite(source: Path, target: Path, on_progress: Callable[[float], None] | None = None) -> None:
    """Copy the database to a new file, readable by the user alone; blocking, so call it in a thread.

    ``on_progress`` gets the share that is done. Raises ``StoreError`` and leaves no file when the copy fails, or the
    source is damaged or holds no store; ``FileExistsError`` when ``target`` is there.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))

    def progress(_: int, remaining: int, total: int) -> None:
        if on_progress is not None:
            on_progress(1.0 if not total else 1 - remaining / total)

    try:
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as reader,
            closing(sqlite3.connect(target)) as writer,
        ):
            reader.backup(writer, pages=_PAGES, progress=progress)
            [[verdict]] = writer.execute("PRAGMA quick_check(1)").fetchall()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            names = {name for (name,) in writer.execute("SELECT name FROM sqlite_master")}
            # The copy is one file that can be moved; it goes back to the write-ahead log when it is used.
            writer.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        target.unlink()
        if isinstance(error, sqlite3.OperationalError):
            raise StoreUnavailable(f"could not be copied ({error}).", store=str(source)) from error
        raise StoreUnusable("is damaged: restore a backup.", store=str(source)) from error
    if VERSION_TABLE not in names:
        target.unlink()
        raise StoreUnusable("holds no store: it is made when a portal starts.", store=str(source))

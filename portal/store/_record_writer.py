"""Writing records beside the work that they are about: noted at once, stored in batches by one task.

What is acknowledged: a record is in the store about ``GATHER_S`` after ``note``, and beside SQLite in a journal when
``note`` returns, which is before its call is answered; the next start stores what a process left there that was killed.
On PostgreSQL a process that is killed loses at most ``GATHER_S``. An orderly stop stores what was noted.

While the database is away records wait here, ``MAX_WAITING`` of them; beyond that the newest are dropped, counted and
said in the log.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

import anyio
from sqlalchemy import insert, select
from sqlalchemy.exc import SQLAlchemyError

from portal._errors import StoreError, StoreUnavailable
from portal.store._record_journal import RecordJournal
from portal.store._schema import CALLS, RUNS
from portal.store._text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Table

    from portal.store._database import Database
    from typegen import JsonValue

    Row = dict[str, JsonValue]

logger = logging.getLogger("portico.store")

GATHER_S: Final = 0.2
"""Time to gather a batch in: one durable commit five times a second costs nothing that is felt."""
BATCH: Final = 500
MAX_WAITING: Final = 20_000
"""Some 10 MB: minutes of a busy portal, while the database is restarted."""
FIRST_RETRY_S: Final = 0.5
LAST_RETRY_S: Final = 10.0
TABLES: Final = {table.name: table for table in (CALLS, RUNS)}
_INT64: Final = 2**63 - 1


class RecordWriter:
    """Stores the records that it is given. ``run`` is its task: it ends after ``close``, when everything is stored."""

    def __init__(self, database: Database) -> None:
        path = database.location.path
        self._database = database
        self._journal = RecordJournal(path) if path is not None else None
        self._path = path
        self._opened: tuple[int, int] | None = None
        self._is_taken_away = False
        self._turned_at: int | None = None
        self._waiting: deque[tuple[Table, Row]] = deque()
        self._has_work = anyio.Event()
        self._closing = anyio.Event()
        self._progress = anyio.Event()
        self._noted = 0
        self._settled = 0
        self._dropped = 0

    @property
    def waiting(self) -> int:
        """How many records are noted and not stored yet."""
        return len(self._waiting)

    def note(self, table: Table, row: Mapping[str, JsonValue]) -> None:
        """Take a record; never waits and never fails."""
        if len(self._waiting) >= MAX_WAITING:
            self._dropped += 1
            if self._dropped == 1:
                logger.error("records are dropped: %d wait for the store already", MAX_WAITING)
            return
        self._noted += 1
        stored = _storable(row)
        self._waiting.append((table, stored))
        if self._journal is not None:
            self._journal.append(table.name, stored)
        self._has_work.set()

    async def open(self) -> None:
        """Store what processes left that were killed, and begin; what cannot be stored now is left for another start.

        Raises ``StoreUnusable``.
        """
        if self._journal is None:
            return
        self._opened = self._file_there()
        for path, left in self._journal.abandoned():
            rows = [(TABLES[name], _storable(row)) for name, row in left if name in TABLES]
            try:
                missing = [item for item in rows if not await self._is_stored(*item)]
                await self._store(missing)
            except StoreUnavailable as error:
                logger.warning("what a process that was killed left in %s is left for the next start: %s", path, error)
                break  # another journal would wait as long
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("%s could not be removed: %s", path, error.strerror)
            if missing:
                logger.info("%d records that an earlier process left in its journal were stored", len(missing))
        self._journal.open()

    async def flush(self) -> None:
        """Wait until everything noted before is stored."""
        target = self._noted
        while self._settled < target:
            self._progress = anyio.Event()
            await self._progress.wait()

    def close(self) -> None:
        """Ask ``run`` to store what is left and return."""
        self._closing.set()
        self._has_work.set()

    async def run(self) -> None:
        """Store batches until ``close``; while the database is away, try again and again."""
        retry_s = FIRST_RETRY_S
        while True:
            await self._has_work.wait()
            if self._journal is not None and self._turned_at is None and self._journal.turn():
                self._turned_at = self._noted
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            if not batch:
                if self._closing.is_set():
                    self._end_journal()
                    return
                self._has_work = anyio.Event()
                continue
            try:
                await self._store(batch)
            except StoreError as error:
                self._waiting.extendleft(reversed(batch))
                if retry_s == FIRST_RETRY_S:
                    logger.warning("records wait: %s", error)
                self._has_its_file()
                await anyio.sleep(retry_s)
                retry_s = min(retry_s * 2, LAST_RETRY_S)
                continue
            retry_s = FIRST_RETRY_S
            self._settle(len(batch))
            if len(self._waiting) < BATCH:
                with anyio.move_on_after(GATHER_S):
                    await self._closing.wait()

    async def _store(self, batch: Sequence[tuple[Table, Row]]) -> None:
        try:
            await self._insert(batch)
        except (SQLAlchemyError, OverflowError):
            # One record that the database refuses must not take its neighbours with it.
            for item in batch:
                try:
                    await self._insert([item])
                except (SQLAlchemyError, OverflowError) as error:
                    logger.error("the store refused a record (%s)", type(error).__name__)  # noqa: TRY400 -- may quote data

    async def _insert(self, batch: Sequence[tuple[Table, Row]]) -> None:
        by_table: defaultdict[Table, list[Row]] = defaultdict(list)
        for table, row in batch:
            by_table[table].append(row)
        async with self._database.writing() as connection:
            for table, rows in by_table.items():
                await connection.execute(insert(table), rows)

    async def _is_stored(self, table: Table, row: Row) -> bool:
        """Whether a record is stored: no two have all of these in common, the time to a microsecond among them."""
        same = (table.c[name] == row.get(name) for name in ("time", "user", "portal", "run"))
        async with self._database.reading() as connection:
            return (await connection.execute(select(table.c.id).where(*same).limit(1))).first() is not None

    def _has_its_file(self) -> bool:
        """Whether the database is still where it was opened; else what is stored now is lost, but for the journal."""
        if self._opened is not None and not self._is_taken_away and self._file_there() != self._opened:
            self._is_taken_away = True
            logger.error(
                "the store %s was deleted or replaced while it was in use: restart the portal, "
                "which then stores the records that are still kept beside it",
                self._path,
            )
        return not self._is_taken_away

    def _file_there(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat() if self._path is not None else None
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if found is not None else None

    def _end_journal(self) -> None:
        if self._journal is None:
            return
        if self._has_its_file():
            self._journal.settle()
            self._journal.turn()
            self._journal.settle()
        self._journal.close()

    def _settle(self, count: int) -> None:
        self._settled += count
        has_turned = self._turned_at is not None and self._settled >= self._turned_at
        if self._journal is not None and has_turned and self._has_its_file():
            self._journal.settle()
            self._turned_at = None
        self._progress.set()
        if self._dropped:
            logger.error("%d records were dropped while the store was away; their log lines remain", self._dropped)
            self._dropped = 0


def _storable(row: Mapping[str, JsonValue]) -> Row:
    """Fit values into the columns of any database: names come from upstreams, which may call a tool anything."""
    stored = dict(row)
    for name, value in row.items():
        if isinstance(value, str):
            stored[name] = plain(value)
        elif isinstance(value, int) and not -_INT64 <= value <= _INT64:
            stored[name] = max(-_INT64, min(value, _INT64))
    return stored

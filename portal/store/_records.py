"""The records of calls and runs, as an operator asks for them: newest first, by who, where and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from sqlalchemy import delete, select

from portal.store._record_writer import RecordWriter
from portal.store._schema import CALLS, RUNS
from portal.store._text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Table

    from portal._records import CallRecord
    from portal.store._database import Database
    from typegen import JsonObject, JsonValue


_RUN_FIELDS: Final = tuple(str(column.name) for column in RUNS.columns if column.name != "id")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """Which records: all conditions that are given hold, times are Unix seconds, and ``limit`` cuts off the oldest.

    ``server`` and ``tool`` are of calls only.
    """

    since: float | None = None
    user: str | None = None
    portal: str | None = None
    run: str | None = None
    server: str | None = None
    tool: str | None = None
    is_failed: bool = False
    limit: int = 50


class Records:
    """Records of calls and runs: noted by a portal at work, read by commands and pages."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.writer = RecordWriter(database)

    def note_call(self, record: CallRecord) -> None:
        """Take the record of one call; it is stored soon."""
        row = record.as_json()
        if record.code is not None:
            row["code"] = str(record.code)
        self.writer.note(CALLS, row)

    def note_run(self, fields: Mapping[str, JsonValue]) -> None:
        """Take the record of one run, an ``engine.RunRecord`` as JSON with ``time``, ``user`` and ``portal``."""
        self.writer.note(RUNS, {name: fields[name] for name in _RUN_FIELDS})

    async def calls(self, wanted: RecordFilter) -> list[JsonObject]:
        """Return the records of calls, newest first. Raises ``StoreError``."""
        return await self._read(CALLS, wanted)

    async def runs(self, wanted: RecordFilter) -> list[JsonObject]:
        """Return the records of runs, newest first. Raises ``StoreError``."""
        return await self._read(RUNS, wanted)

    async def forget(self, before: float) -> None:
        """Delete the records older than this time. Raises ``StoreError``."""
        async with self._database.writing() as connection:
            for table in (CALLS, RUNS):
                await connection.execute(delete(table).where(table.c.time < before))

    async def _read(self, table: Table, wanted: RecordFilter) -> list[JsonObject]:
        query = select(*(column for column in table.columns if column.name != "id"))
        for column in ("user", "portal", "run", "server", "tool"):
            value = getattr(wanted, column)
            if value is not None:
                query = query.where(table.c[column] == plain(value))  # as it was written
        if wanted.since is not None:
            query = query.where(table.c.time >= wanted.since)
        if wanted.is_failed:
            query = query.where(table.c.status != "ok")
        query = query.order_by(table.c.time.desc(), table.c.id.desc()).limit(wanted.limit)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [cast("JsonObject", dict(row)) for row in rows]

"""Bringing a store to the schema of this version: under a lock, after a backup, as one transaction.

The lock is the database's own: SQLite's write lock, or an advisory lock on PostgreSQL. Whoever gets it second finds
the work done. Alembic, which takes as long to import as the rest of the store together, is imported when there is work.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio.to_thread
from sqlalchemy import inspect, text

from portal._errors import StoreUnavailable, StoreUnusable
from portal.store._backup import copy_sqlite
from portal.store._database import MIGRATION_WAIT_S, Database
from portal.store._schema import HEAD, METADATA, VERSION_TABLE

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

    from portal._store_url import StoreUrl

STEPS: Final = Path(__file__).parent / "_migrations"
_LOCK_KEY: Final = 0x706F727469636F  # "portico", as the number that PostgreSQL's advisory locks are known by
_RETRY_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """The schema ``before`` (None for a new store) and ``after``, and the copy that was made first, if one was."""

    before: str | None
    after: str
    backup: Path | None = None


async def schema_version(location: StoreUrl) -> str | None:
    """Return the schema of a store, None where there is none yet; a missing SQLite file stays missing.

    Raises ``StoreUnusable`` for a database that holds something else, or a schema newer than this version knows.
    """
    if location.path is not None and not location.path.exists():
        return None
    database = Database(location, is_for_migration=True)
    try:
        async with database.reading() as connection:
            return await _read_version(connection, location)
    finally:
        await database.close()


async def migrate(location: StoreUrl) -> Migration:
    """Make the store, or bring it to this version's schema if it has an older one. Raises ``StoreError``."""
    before = await schema_version(location)
    if before == HEAD:
        return Migration(before=before, after=HEAD)
    if location.path is not None:
        await anyio.to_thread.run_sync(_prepare_file, location.path, str(location))
    database = Database(location, is_for_migration=True)
    try:
        async with database.writing() as connection:
            if not database.is_sqlite:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            before = await _read_version(connection, location)
            if before == HEAD:  # another process was faster
                return Migration(before=before, after=HEAD)
            backup = await _back_up(location) if before is not None else None
            await connection.run_sync(_upgrade)
    finally:
        await database.close()
    return Migration(before=before, after=HEAD, backup=backup)


async def _read_version(connection: AsyncConnection, location: StoreUrl) -> str | None:
    tables = set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))
    if VERSION_TABLE not in tables:
        # A SQLite file is one program's; a PostgreSQL database may be shared as long as no names collide.
        if tables if location.backend == "sqlite" else tables & METADATA.tables.keys():
            message = "holds tables of another program: name a database of its own for Portico."
            raise StoreUnusable(message, store=str(location))
        return None
    version: str | None = await connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
    if version is not None and version > HEAD:
        message = (
            f"was written by a newer Portico (schema {version}; this version knows {HEAD}): "
            "install that version again, or restore the backup made before it migrated."
        )
        raise StoreUnusable(message, store=str(location))
    return version


async def _back_up(location: StoreUrl) -> Path | None:
    """Copy a SQLite store beside itself. PostgreSQL is its operator's to back up: its migration is one transaction."""
    if location.path is None:
        return None
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = location.path.with_name(f"{location.path.name}.before-{HEAD}-{stamp}")
    await anyio.to_thread.run_sync(copy_sqlite, location.path, target)
    return target


def _upgrade(connection: Connection) -> None:
    from alembic.operations import Operations  # noqa: PLC0415 -- see the module's docstring
    from alembic.runtime.migration import MigrationContext, RevisionStep  # noqa: PLC0415 -- as above
    from alembic.script import ScriptDirectory  # noqa: PLC0415 -- as above

    script = ScriptDirectory(str(STEPS), version_locations=[str(STEPS)])

    def steps(revision: tuple[str, ...], _: MigrationContext) -> list[RevisionStep]:
        return script._upgrade_revs(HEAD, revision)  # type: ignore[arg-type]  # noqa: SLF001 -- as Alembic's own commands

    context = MigrationContext.configure(connection, opts={"fn": steps, "version_table": VERSION_TABLE})
    with Operations.context(context):
        context.run_migrations()


def _make_private(file: int) -> None:
    """Make a file that was there and is empty the user's alone; one with content has the mode that it was given."""
    found = os.fstat(file)
    if found.st_size == 0 and found.st_mode & 0o077:
        with suppress(PermissionError):  # another user's file, or a file system without modes
            os.fchmod(file, 0o600)


def _prepare_file(path: Path, store: str) -> None:
    """Make the file for the user alone, and its folder if need be: results of tools will be in it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            _make_private(file)
        finally:
            os.close(file)
    except OSError as error:
        message = (
            f"cannot be made ({error.strerror}): set data_dir or PORTICO_DATA_DIR to a folder that can be written."
        )
        raise StoreUnusable(message, store=store) from error
    # With a write-ahead log readers go on while somebody writes; it is a property of the file, kept from then on.
    # SQLite does not wait for the lock that it needs here, so this does.
    deadline = time.monotonic() + MIGRATION_WAIT_S
    with closing(sqlite3.connect(path)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if time.monotonic() > deadline:
                    raise StoreUnavailable(f"cannot be used at the moment ({error}).", store=store) from error
                time.sleep(_RETRY_S)
            else:
                return

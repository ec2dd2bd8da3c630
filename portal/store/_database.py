"""One database behind SQLAlchemy: how it is connected, what a transaction is, and what its failures are called."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, cast

import anyio
from sqlalchemy import event, make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from portal._errors import StoreUnavailable, StoreUnusable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Connection, Table
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from portal._store_url import StoreUrl

WAIT_S: Final = 5.0
"""The longest wait for a lock, a free connection or a new one: a caller is told before its client gives up."""
STATEMENT_S: Final = 20.0
"""The longest statement on PostgreSQL; the largest writes 16 MiB and the largest read is a page of records."""
MIGRATION_WAIT_S: Final = 60.0
"""How long a second process waits while the first one migrates."""
CONNECTIONS: Final = 4
"""Records, a sweep and two callers at once; each is a thread for SQLite and a process on PostgreSQL's side."""

_WRITES: Final = "portico_writes"
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Database:
    """Connections to one store; nothing is connected before the first transaction.

    A transaction is not cut short by cancellation: a statement that is given up leaves its connection unusable and its
    clean-up is cancelled in turn. The drivers' own limits bound it instead.
    """

    def __init__(self, location: StoreUrl, *, is_for_migration: bool = False) -> None:
        self.location = location
        self._engine = _create_engine(location, is_for_migration=is_for_migration)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite; else it is PostgreSQL."""
        return self.location.backend == "sqlite"

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Hold a transaction that only reads: one state of the database. Raises ``StoreError``."""
        async with self._transaction(writes=False) as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Hold a transaction, durable when the block ends and undone when it raises. Raises ``StoreError``."""
        async with self._transaction(writes=True) as connection:
            yield connection

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An insert that can say what happens on a conflict."""
        if self.is_sqlite:
            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 -- a tenth of a second, which SQLite need not spend

        return postgresql.insert(table)

    async def close(self) -> None:
        """Close every connection."""
        with anyio.CancelScope(shield=True):
            await self._engine.dispose()

    @asynccontextmanager
    async def _transaction(self, *, writes: bool) -> AsyncIterator[AsyncConnection]:
        with anyio.CancelScope(shield=True):
            try:
                async with self._engine.connect() as connection:
                    await connection.execution_options(**{_WRITES: writes})
                    async with connection.begin():
                        yield connection
            except (DBAPIError, PoolTimeout, OSError) as error:
                if isinstance(error, DBAPIError) and _is_of_a_value(error):
                    raise
                raise self._translated(error) from error

    def _translated(self, error: Exception) -> StoreUnusable | StoreUnavailable:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
            message = "is damaged, or is no SQLite database: restore a backup, or name another file."
            return StoreUnusable(message, store=str(self.location))
        return StoreUnavailable(f"cannot be used at the moment: {_reason(cause)}.", store=str(self.location))


def _create_engine(location: StoreUrl, *, is_for_migration: bool) -> AsyncEngine:
    wait_s = MIGRATION_WAIT_S if is_for_migration else WAIT_S
    url = make_url(location.url.reveal())
    if location.backend == "sqlite":
        if location.path is not None:
            # A connection makes no database where none is any more: a migration makes the file, and its tables.
            url = url.set(database=location.path.as_uri(), query={"mode": "rw", "uri": "true"})
        if is_for_migration:
            engine = create_async_engine(url, hide_parameters=True, poolclass=NullPool)
        else:
            engine = create_async_engine(
                url, hide_parameters=True, pool_size=CONNECTIONS, max_overflow=0, pool_timeout=WAIT_S
            )
        _prepare_sqlite(engine, wait_s)
        return engine
    limits: dict[str, object] = {"timeout": WAIT_S, "server_settings": {"application_name": "portico"}}
    if is_for_migration:
        limits["server_settings"] = {"application_name": "portico", "lock_timeout": f"{wait_s:.0f}s"}
        return create_async_engine(url, hide_parameters=True, poolclass=NullPool, connect_args=limits)
    limits["command_timeout"] = STATEMENT_S
    return create_async_engine(
        url,
        hide_parameters=True,
        pool_size=CONNECTIONS,
        max_overflow=CONNECTIONS,
        pool_timeout=WAIT_S,
        pool_pre_ping=True,
        connect_args=limits,
    )


def _prepare_sqlite(engine: AsyncEngine, wait_s: float) -> None:
    def on_connect(connection: sqlite3.Connection, _: object) -> None:
        # The driver must not begin transactions by itself: it would begin them too late, after the first read.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {round(wait_s * 1000)}")
        # FULL: what was acknowledged survives a power failure. Writes are batched or rare, so its cost is not felt.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    def on_begin(connection: Connection) -> None:
        # A transaction that reads first and writes later fails at once when another has written in between.
        is_write = cast("bool", connection.get_execution_options().get(_WRITES, False))
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")

    event.listen(engine.sync_engine, "connect", on_connect)
    event.listen(engine.sync_engine, "begin", on_begin)


def _is_of_a_value(error: DBAPIError) -> bool:
    """Whether what we wanted to write is wrong, whatever state the database is in."""
    if isinstance(error, DataError | IntegrityError):
        return True
    if isinstance(error.orig, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return not error.connection_invalidated
    # asyncpg's own errors: a ValueError before anything is sent, and the server's class 22, "data exception".
    cause = error.orig.__cause__ if error.orig is not None else None
    return isinstance(cause, ValueError) or str(getattr(cause, "sqlstate", "")).startswith("22")


def _reason(cause: BaseException) -> str:
    """The database's own words, one line: ``database is locked``, ``password authentication failed for user "x"``."""
    if isinstance(cause, TimeoutError | PoolTimeout):
        return "it did not answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    words = str(cause.__cause__ or cause).strip().partition("\n")[0]
    return words.rstrip(".") or type(cause).__name__

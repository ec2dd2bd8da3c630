"""A store of each kind, empty and its own for every test: SQLite, and a real PostgreSQL that the tests start."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from portal import RetentionConfig
from portal._store_url import StoreUrl
from portal.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portal import Secret


class Clock:
    """Unix time as a test sets it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class StoreAt(Protocol):
    """Makes a store over ``location``, or the one given, on the test's clock."""

    def __call__(
        self,
        other: StoreUrl | None = None,
        *,
        secrets: Iterable[Secret] = (),
        may_change: bool = True,
        quota_bytes: int = 100_000,
    ) -> Store: ...


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A PostgreSQL server on a Unix socket in this folder, stopped and deleted when the tests are done."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip("the PostgreSQL for tests is there for x86-64 Linux")
    # Short, because a socket's path is; not below pytest's own, which PostgreSQL's user could not enter as root's.
    folder = Path(tempfile.mkdtemp(prefix="portico-pg-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        # Two packages of one interface. The import makes a lock file in the user's runtime folder: hence not above.
        server = import_module("pgserver" if sys.version_info < (3, 13) else "pgembed")
        opened = server.get_server(folder / "data", cleanup_mode="stop")
    # Nothing here has to survive a power failure, and stopping would wait for the disk.
    for setting in ("fsync = off", "full_page_writes = off"):
        opened.psql(f"ALTER SYSTEM SET {setting}")
    opened.psql("SELECT pg_reload_conf()")
    yield folder / "data"
    opened.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
async def location(request: pytest.FixtureRequest, tmp_path: Path) -> StoreUrl:
    """Where a store of each kind can be made; nothing is there yet."""
    if request.param == "sqlite":
        return StoreUrl.file(tmp_path / "data" / "portico.db")
    folder = request.getfixturevalue("postgresql")
    name = f"t{uuid4().hex}"
    engine = create_async_engine(f"postgresql+asyncpg://postgres@/postgres?host={folder}", poolclass=NullPool)
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    return StoreUrl.parse(f"postgresql://postgres@/{name}?host={folder}", data_dir=tmp_path)


@pytest.fixture
def clock() -> Clock:
    """The time of the stores that ``store_at`` makes."""
    return Clock()


@pytest.fixture
def store_at(location: StoreUrl, clock: Clock) -> StoreAt:
    """Make a store; the test opens it."""

    def make(
        other: StoreUrl | None = None,
        *,
        secrets: Iterable[Secret] = (),
        may_change: bool = True,
        quota_bytes: int = 100_000,
    ) -> Store:
        return Store(
            location if other is None else other,
            retention=RetentionConfig(logs_days=30, results_minutes=15),
            secrets=secrets,
            may_change=may_change,
            quota_bytes=quota_bytes,
            clock=clock,
        )

    return make

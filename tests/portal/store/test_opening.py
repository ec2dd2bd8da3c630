"""Making, migrating and refusing a store."""

from __future__ import annotations

import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from portal._errors import StoreError, StoreUnavailable, StoreUnusable
from portal._store_url import StoreUrl
from portal.store import _migrate as migrating
from portal.store import migrate, schema_version
from portal.store._database import Database
from portal.store._schema import HEAD, METADATA, VERSION_TABLE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.portal.store.conftest import StoreAt

PROMISE_OF_NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("calls", sa.Column("note", sa.Text))
"""


async def change(location: StoreUrl, *statements: str) -> None:
    database = Database(location)
    async with database.writing() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await database.close()


async def columns_of_calls(location: StoreUrl) -> set[str]:
    database = Database(location)
    async with database.reading() as connection:
        columns = await connection.run_sync(lambda sync: inspect(sync).get_columns("calls"))
    await database.close()
    return {column["name"] for column in columns}


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A later version of Portico, with one more step; gives the file of that step."""
    steps = tmp_path / "steps"
    shutil.copytree(migrating.STEPS, steps, ignore=shutil.ignore_patterns("__pycache__"))
    (steps / "_0003_next.py").write_text(PROMISE_OF_NEXT)
    monkeypatch.setattr(migrating, "STEPS", steps)
    monkeypatch.setattr(migrating, "HEAD", "0003")
    return steps / "_0003_next.py"


async def test_a_store_is_made_by_opening_it(location: StoreUrl, store_at: StoreAt) -> None:
    assert await schema_version(location) is None

    async with store_at():
        pass

    assert await schema_version(location) == HEAD


async def test_the_tables_made_are_the_tables_used(location: StoreUrl) -> None:
    """Alembic compares types, keys, foreign keys and indexes of the database with the metadata."""
    await migrate(location)
    database = Database(location)
    async with database.reading() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(
                MigrationContext.configure(sync, opts={"version_table": VERSION_TABLE}), METADATA
            )
        )
    await database.close()

    assert differences == []


def test_the_last_step_leads_to_the_schema_of_this_version() -> None:
    steps = sorted(path.name[1:5] for path in migrating.STEPS.glob("_0*.py"))

    assert steps[-1] == HEAD


async def test_a_sqlite_store_and_a_folder_made_for_it_are_the_users_alone(tmp_path: Path, store_at: StoreAt) -> None:
    location = StoreUrl.file(tmp_path / "new" / "portico.db")

    async with store_at(location) as store:
        await store.sweep()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}

    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}
    assert {"portico.db", "portico.db-wal"} <= modes.keys()


async def test_an_empty_file_that_others_may_read_becomes_the_users_alone(tmp_path: Path, store_at: StoreAt) -> None:
    (tmp_path / "portico.db").touch()
    (tmp_path / "portico.db").chmod(0o644)

    async with store_at(StoreUrl.file(tmp_path / "portico.db")):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("portico.db*")}

    assert "portico.db-wal" in modes
    assert set(modes.values()) == {0o600}


async def test_a_connection_makes_no_database_where_none_is_any_more(tmp_path: Path) -> None:
    database = Database(StoreUrl.file(tmp_path / "portico.db"))
    others = set(threading.enumerate())

    with pytest.raises(StoreUnavailable, match="unable to open database file"):
        async with database.reading():
            pass

    for thread in set(threading.enumerate()) - others:  # the driver does not wait for its own
        await anyio.to_thread.run_sync(thread.join, 10)
    await database.close()
    assert list(tmp_path.iterdir()) == []


async def test_a_sqlite_store_may_have_any_name(tmp_path: Path, store_at: StoreAt) -> None:
    name = "50%41 a?mode=ro&b#c+\u00e9.db"
    async with store_at(StoreUrl.file(tmp_path / name)) as store:
        await store.sweep()

    assert [path.name for path in tmp_path.iterdir()] == [name]


async def test_opening_a_current_store_does_not_load_alembic(location: StoreUrl) -> None:
    await migrate(location)
    program = f"""
import anyio, sys
from portal._secret import Secret
from portal._store_url import StoreUrl
from portal.store import migrate
location = StoreUrl(backend={location.backend!r}, url=Secret({location.url.reveal()!r}), shown="", path=None)
assert anyio.run(migrate, location).before == {HEAD!r}
print("alembic" in sys.modules)
"""

    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)

    assert done.stdout.strip() == "False"


async def test_processes_that_start_together_make_the_store_once(location: StoreUrl) -> None:
    made: list[str | None] = []

    async def start() -> None:
        made.append((await migrate(location)).before)

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(start)

    assert sorted(made, key=str) == [*[HEAD] * 3, None]


async def test_a_store_is_backed_up_before_it_is_migrated(
    location: StoreUrl, next_version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL is backed up by whoever runs it; its migration is one transaction."""
    with monkeypatch.context() as before:
        before.setattr(migrating, "HEAD", HEAD)
        await migrate(location)

    migration = await migrate(location)

    assert (migration.before, migration.after) == (HEAD, "0003")
    assert "note" in await columns_of_calls(location)
    if location.path is None:
        assert migration.backup is None
    else:
        assert migration.backup is not None
        assert re.fullmatch(r"portico\.db\.before-0003-\d{8}T\d{6}Z", migration.backup.name)
        assert stat.S_IMODE(migration.backup.stat().st_mode) == 0o600
        assert "note" not in await columns_of_calls(StoreUrl.file(migration.backup))


async def test_a_migration_that_fails_leaves_the_store_as_it_was(
    location: StoreUrl, next_version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(migrating, "HEAD", HEAD)
        await migrate(location)
    next_version.write_text(PROMISE_OF_NEXT + '    op.execute("SELECT nonsense FROM nowhere")\n')

    with pytest.raises(StoreError):
        await migrate(location)

    assert await schema_version(location) == HEAD
    assert "note" not in await columns_of_calls(location)


async def test_a_store_of_a_newer_version_is_refused_and_left_alone(location: StoreUrl, store_at: StoreAt) -> None:
    await migrate(location)
    await change(location, f"UPDATE {VERSION_TABLE} SET version_num = '0777'")

    with pytest.raises(StoreUnusable, match=f"newer Portico .schema 0777; this version knows {HEAD}"):
        async with store_at():
            pass

    await change(location, f"UPDATE {VERSION_TABLE} SET version_num = '{HEAD}'")
    assert await schema_version(location) == HEAD


async def test_a_database_of_another_program_is_refused(location: StoreUrl, store_at: StoreAt) -> None:
    if location.path is not None:
        location.path.parent.mkdir()
        location.path.touch()
    await change(location, "CREATE TABLE calls (phone TEXT)")

    with pytest.raises(StoreUnusable, match="tables of another program"):
        async with store_at():
            pass


async def test_reading_commands_refuse_a_store_that_is_missing_or_older(location: StoreUrl, store_at: StoreAt) -> None:
    with pytest.raises(StoreUnusable, match="is not there yet"):
        async with store_at(may_change=False):
            pass
    await migrate(location)
    await change(location, f"UPDATE {VERSION_TABLE} SET version_num = '0000'")
    with pytest.raises(StoreUnusable, match="run `portico migrate` first"):
        async with store_at(may_change=False):
            pass


@pytest.mark.parametrize("is_torn", [False, True], ids=["another file", "a torn file"])
async def test_a_damaged_file_is_refused_and_never_replaced_by_an_empty_store(
    is_torn: bool, tmp_path: Path, store_at: StoreAt
) -> None:
    location = StoreUrl.file(tmp_path / "portico.db")
    await migrate(location)
    with closing(sqlite3.connect(tmp_path / "portico.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = (tmp_path / "portico.db").read_bytes()
    damaged = whole[:200] + b"\xff" * 4000 if is_torn else b"a shopping list\n" * 300
    (tmp_path / "portico.db").write_bytes(damaged)

    with pytest.raises(StoreUnusable, match="damaged"):
        async with store_at(location):
            pass

    assert (tmp_path / "portico.db").read_bytes() == damaged


async def test_a_folder_that_cannot_be_made_is_named_with_what_to_do(tmp_path: Path, store_at: StoreAt) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreUnusable, match="PORTICO_DATA_DIR"):
        async with store_at(StoreUrl.file(tmp_path / "file" / "portico.db")):
            pass


async def test_a_server_that_is_away_is_named_without_its_password(tmp_path: Path, store_at: StoreAt) -> None:
    location = StoreUrl.parse("postgresql://me:hunter2@127.0.0.1:9/tools", data_dir=tmp_path)

    with pytest.raises(StoreUnavailable, match=r"postgresql://127\.0\.0\.1:9/tools cannot be used") as caught:
        async with store_at(location):
            pass

    assert "hunter2" not in str(caught.value)


async def test_a_database_that_is_not_there_is_said_in_the_servers_words(postgresql: Path, store_at: StoreAt) -> None:
    location = StoreUrl.parse(f"postgresql://postgres@/nope?host={postgresql}", data_dir=postgresql)

    with pytest.raises(StoreUnavailable, match='database "nope" does not exist'):
        async with store_at(location):
            pass

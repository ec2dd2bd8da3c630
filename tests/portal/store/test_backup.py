"""A copy of a SQLite store in use. PostgreSQL has its own tools for this."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine import KeptRun
from portal._errors import StoreUnusable
from portal._store_url import StoreUrl
from portal.store import copy_sqlite

if TYPE_CHECKING:
    from pathlib import Path

    from tests.portal.store.conftest import StoreAt


async def test_a_copy_holds_what_was_acknowledged_while_the_store_is_in_use(tmp_path: Path, store_at: StoreAt) -> None:
    shares: list[float] = []
    async with store_at(StoreUrl.file(tmp_path / "portico.db")) as store:
        await store.runs.keep("default/ann", "rone", KeptRun(value=b"1"))
        copy_sqlite(tmp_path / "portico.db", tmp_path / "copy.db", shares.append)

    assert [path.name for path in tmp_path.glob("copy*")] == ["copy.db"]
    assert shares[-1] == 1.0
    async with store_at(StoreUrl.file(tmp_path / "copy.db")) as copy:
        assert await copy.runs.find("default/ann", "rone") == KeptRun(value=b"1")


def test_a_copy_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("precious")

    with pytest.raises(FileExistsError):
        copy_sqlite(tmp_path / "portico.db", tmp_path / "copy.db")


def test_a_damaged_store_is_not_copied(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "portico.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 500,) for _ in range(1_000)])
        connection.commit()
    with (tmp_path / "portico.db").open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\xff" * 8192)

    with pytest.raises(StoreUnusable, match="damaged"):
        copy_sqlite(tmp_path / "portico.db", tmp_path / "copy.db")

    assert not (tmp_path / "copy.db").exists()

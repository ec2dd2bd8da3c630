"""Steps from an older schema: what was kept is still there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from portal.store import _migrate as migrating
from portal.store import migrate
from portal.store._database import Database

if TYPE_CHECKING:
    import pytest

    from portal._store_url import StoreUrl
    from tests.portal.store.conftest import StoreAt


async def test_tool_lists_of_the_first_schema_become_offers(
    location: StoreUrl, store_at: StoreAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as first:
        first.setattr(migrating, "HEAD", "0001")
        await migrate(location)
    database = Database(location)
    async with database.writing() as connection:
        insert = text("INSERT INTO tool_lists (digest, tools) VALUES ('d1', :tools)")
        await connection.execute(insert, {"tools": '[{"name": "é"}]'.encode()})
        for server_id in ("one", "two"):
            catalog = "INSERT INTO catalogs (server_id, source, digest, synced_at) VALUES (:id, 'here', 'd1', 1.5)"
            await connection.execute(text(catalog), {"id": server_id})
    await database.close()

    async with store_at() as store:
        kept = await store.catalogs.load()

    assert kept == {(server_id, "here"): {"tools": [{"name": "é"}]} for server_id in ("one", "two")}

"""Synced tool lists, from one start to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from portal import Secret
from portal.store._database import Database
from portal.store._schema import TOOL_LISTS

if TYPE_CHECKING:
    from portal._store_url import StoreUrl
    from tests.portal.store.conftest import StoreAt
    from typegen import JsonValue

TOOLS: list[JsonValue] = [
    {"name": "b", "inputSchema": {}, "x-unknown": "é\0"},
    {"name": "a", "inputSchema": {"z": 1, "a": 2}},
]


async def lists_kept(location: StoreUrl) -> int:
    database = Database(location)
    async with database.reading() as connection:
        count = await connection.scalar(select(func.count()).select_from(TOOL_LISTS))
    await database.close()
    return count or 0


async def test_a_tool_list_comes_back_as_the_server_sent_it(store_at: StoreAt) -> None:
    async with store_at() as store:
        await store.catalogs.save("tickets", "here", TOOLS)
        await store.catalogs.save("files", "there", [])

    async with store_at() as store:
        assert await store.catalogs.load() == {("tickets", "here"): TOOLS, ("files", "there"): []}


async def test_a_server_has_the_list_that_it_sent_last(store_at: StoreAt) -> None:
    async with store_at() as store:
        await store.catalogs.save("tickets", "here", TOOLS)
        await store.catalogs.save("tickets", "elsewhere", TOOLS[:1])

        assert await store.catalogs.load() == {("tickets", "elsewhere"): TOOLS[:1]}


async def test_equal_lists_are_kept_once_and_unused_ones_go(location: StoreUrl, store_at: StoreAt) -> None:
    async with store_at() as store:
        for server_id in ("one", "two", "two"):
            await store.catalogs.save(server_id, "here", TOOLS)
        assert await lists_kept(location) == 1
        await store.catalogs.save("one", "here", [])
        await store.catalogs.save("two", "here", [])
        await store.sweep()

        assert await lists_kept(location) == 1
        assert await store.catalogs.load() == {("one", "here"): [], ("two", "here"): []}


async def test_a_secret_that_a_server_repeats_in_its_list_is_cut_out(store_at: StoreAt) -> None:
    async with store_at(secrets=[Secret("token-1")]) as store:
        await store.catalogs.save("tickets", "here", [{"description": "you are token-1"}])

        assert await store.catalogs.load() == {("tickets", "here"): [{"description": "you are ***"}]}


async def test_a_list_that_json_cannot_hold_is_left_out(store_at: StoreAt) -> None:
    async with store_at() as store:
        await store.catalogs.save("tickets", "here", [{"maximum": 2**70}])

        assert await store.catalogs.load() == {}

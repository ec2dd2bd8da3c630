"""What servers offer, from one start to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from portal import Secret
from portal.store._catalogs import REMOVED_S
from portal.store._database import Database
from portal.store._schema import OFFERS

if TYPE_CHECKING:
    from portal._store_url import StoreUrl
    from tests.portal.store.conftest import Clock, StoreAt
    from typegen import JsonObject, JsonValue

OFFERED: JsonObject = {
    "tools": [{"name": "b", "inputSchema": {}, "x-unknown": "é\0"}, {"name": "a", "inputSchema": {"z": 1, "a": 2}}],
    "prompts": [{"name": "p"}],
    "instructions": None,
}
LESS: JsonObject = {"tools": []}


async def offers_kept(location: StoreUrl) -> int:
    database = Database(location)
    async with database.reading() as connection:
        count = await connection.scalar(select(func.count()).select_from(OFFERS))
    await database.close()
    return count or 0


async def test_what_a_server_listed_comes_back_as_it_was_sent(store_at: StoreAt) -> None:
    async with store_at() as store:
        await store.catalogs.save("tickets", "here", OFFERED)
        await store.catalogs.save("files", "there", LESS)

    async with store_at() as store:
        assert await store.catalogs.load() == {("tickets", "here"): OFFERED, ("files", "there"): LESS}


async def test_a_server_has_what_it_listed_last(store_at: StoreAt) -> None:
    async with store_at() as store:
        await store.catalogs.save("tickets", "here", OFFERED)
        await store.catalogs.save("tickets", "elsewhere", LESS)

        assert await store.catalogs.load() == {("tickets", "elsewhere"): LESS}


async def test_equal_offers_are_kept_once_and_unused_ones_go(location: StoreUrl, store_at: StoreAt) -> None:
    async with store_at() as store:
        for server_id in ("one", "two", "two"):
            await store.catalogs.save(server_id, "here", OFFERED)
        assert await offers_kept(location) == 1
        await store.catalogs.save("one", "here", LESS)
        await store.catalogs.save("two", "here", LESS)
        await store.sweep()

        assert await offers_kept(location) == 1
        assert await store.catalogs.load() == {("one", "here"): LESS, ("two", "here"): LESS}


@pytest.mark.parametrize(("age_s", "is_kept"), [(0.0, True), (REMOVED_S, True), (REMOVED_S + 1, False)])
async def test_what_a_server_listed_goes_a_while_after_the_server(
    location: StoreUrl, store_at: StoreAt, clock: Clock, age_s: float, *, is_kept: bool
) -> None:
    async with store_at() as store:
        await store.catalogs.save("tickets", "here", LESS)
        await store.catalogs.save("gone", "there", OFFERED)
        clock.now += age_s
        await store.catalogs.forget_removed(["tickets"])
        await store.sweep()

        assert set(await store.catalogs.load()) == {("tickets", "here")} | ({("gone", "there")} if is_kept else set())
        assert await offers_kept(location) == 1 + is_kept


async def test_a_secret_that_a_server_repeats_is_cut_out(store_at: StoreAt) -> None:
    async with store_at(secrets=[Secret("token-1")]) as store:
        await store.catalogs.save("tickets", "here", {"instructions": "you are token-1"})

        assert await store.catalogs.load() == {("tickets", "here"): {"instructions": "you are ***"}}


async def test_integers_of_any_size_come_back_as_they_are(store_at: StoreAt) -> None:
    offered: JsonObject = {"tools": [{"maximum": 2**70}]}
    async with store_at() as store:
        await store.catalogs.save("tickets", "here", offered)

        assert await store.catalogs.load() == {("tickets", "here"): offered}


async def test_a_list_that_is_nested_too_deep_to_be_written_is_left_out(store_at: StoreAt) -> None:
    deep: JsonValue = None
    for _ in range(2_000):
        deep = [deep]
    async with store_at() as store:
        await store.catalogs.save("tickets", "here", {"tools": [{"default": deep}]})

        assert await store.catalogs.load() == {}

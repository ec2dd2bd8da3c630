"""Learned types: in memory at once, in the store a little later, and never narrower than another replica's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import LearnedKey
from typegen import learn

if TYPE_CHECKING:
    from tests.portal.store.conftest import StoreAt

SHARED = LearnedKey("", "tickets", "get\0\ud800", "1")
ONE = learn(None, {"number": 1})
OTHER = learn(None, {"number": "1-a", "title": "x"})


async def test_what_was_learned_is_there_after_a_restart(store_at: StoreAt) -> None:
    async with store_at() as store:
        store.learned.put(SHARED, ONE)
        store.learned.put(SHARED._replace(scope="ann"), OTHER)
        assert store.learned.get(SHARED) is ONE

    async with store_at() as store:
        found = store.learned.get(SHARED)
        assert found == ONE
        assert store.learned.get(SHARED) is found
        assert store.learned.get(SHARED._replace(scope="ann")) == OTHER
        assert store.learned.get(SHARED._replace(schema_hash="2")) is None


async def test_a_replica_widens_what_another_has_learned(store_at: StoreAt) -> None:
    async with store_at() as one, store_at() as other:
        one.learned.put(SHARED, ONE)
        other.learned.put(SHARED, OTHER)
        await one.learned.save()
        await other.learned.save()

    async with store_at() as later:
        assert later.learned.get(SHARED) == ONE.joined(OTHER)

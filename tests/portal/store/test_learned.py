"""Learned types: in memory at once, in the store a little later, and never narrower than another replica's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import LearnedKey
from typegen import learn

if TYPE_CHECKING:
    import pytest

    from tests.portal.store.conftest import Clock, StoreAt

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


async def test_of_too_many_types_those_learned_first_go(
    store_at: StoreAt, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [SHARED._replace(tool=f"t{number}") for number in range(4)]
    async with store_at() as store:
        for key in keys:
            clock.now += 1
            store.learned.put(key, ONE)
            await store.learned.save()
        monkeypatch.setattr("portal.store._learned.MAX_SHAPES", 3)
        await store.sweep()
        monkeypatch.undo()

    async with store_at() as store:
        assert [store.learned.get(key) for key in keys] == [None, ONE, ONE, ONE]

"""Kept runs: whose they are, how long they stay, how much room they get, and what is never among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine import KeptCall, KeptRun
from portal import Secret
from portal.store import _database as database
from portal.store._kept_runs import PAUSE_S
from portal.store._text import LONG_CHARS

if TYPE_CHECKING:
    from portal._store_url import StoreUrl
    from tests.portal.store.conftest import Clock, StoreAt

CALLS = tuple(
    KeptCall(identifier=f"tickets_close_{n % 2}", arguments=b'{"n":%d}' % n, result=b'{"content":[]}')
    for n in range(27)
)
FAILED = KeptRun(failure="Error at 1:2: \0 and \ud800", calls=CALLS)


async def test_a_kept_run_comes_back_as_it_was(store_at: StoreAt) -> None:
    async with store_at() as store:
        assert await store.runs.keep("default/ann", "rvalue", KeptRun(value='{"é":"\0"}'.encode()))
        assert await store.runs.keep("default/ann", "rfails", FAILED)

        assert await store.runs.find("default/ann", "rvalue") == KeptRun(value='{"é":"\0"}'.encode())
        assert await store.runs.find("default/ann", "rfails") == FAILED


async def test_any_replica_finds_a_run_also_after_a_restart(store_at: StoreAt) -> None:
    async with store_at() as one, store_at() as other:
        await one.runs.keep("default/ann", "rone", FAILED)
        assert await other.runs.find("default/ann", "rone") == FAILED
    async with store_at() as later:
        assert await later.runs.find("default/ann", "rone") == FAILED


async def test_a_run_is_nobody_elses(store_at: StoreAt) -> None:
    async with store_at() as store:
        await store.runs.keep("default/ann", "rone", FAILED)
        await store.runs.keep("default/bob", "rone", KeptRun(value=b"1"))

        assert await store.runs.find("other/ann", "rone") is None
        assert await store.runs.find("default/bob", "rone") == KeptRun(value=b"1")


async def test_a_run_goes_after_its_time(store_at: StoreAt, clock: Clock) -> None:
    async with store_at() as store:
        await store.runs.keep("default/ann", "rone", FAILED)
        clock.now += 15 * 60 - 1
        assert await store.runs.find("default/ann", "rone") == FAILED
        clock.now += 1
        assert await store.runs.find("default/ann", "rone") is None
        await store.sweep()
        clock.now -= 60

        assert await store.runs.find("default/ann", "rone") is None


async def test_a_run_kept_again_replaces_itself(store_at: StoreAt) -> None:
    async with store_at() as store:
        await store.runs.keep("default/ann", "rone", FAILED)
        await store.runs.keep("default/ann", "rone", KeptRun(value=b"2"))

        assert await store.runs.find("default/ann", "rone") == KeptRun(value=b"2")


async def test_an_owners_oldest_runs_make_room_and_nobody_elses(store_at: StoreAt, clock: Clock) -> None:
    async with store_at(quota_bytes=10_000) as store:
        await store.runs.keep("default/bob", "rbob", KeptRun(value=b"x" * 4_000))
        for run_id in ("rone", "rtwo", "rthree"):
            clock.now += 1
            assert await store.runs.keep("default/ann", run_id, KeptRun(value=b"x" * 4_000))

        found = [await store.runs.find("default/ann", run_id) is not None for run_id in ("rone", "rtwo", "rthree")]
        assert found == [False, True, True]
        assert await store.runs.find("default/bob", "rbob") is not None


@pytest.mark.parametrize(("size", "is_kept"), [(9_743, True), (9_744, True), (9_745, False)])
async def test_a_run_larger_than_the_quota_is_not_kept(size: int, is_kept: bool, store_at: StoreAt) -> None:
    """A run is counted with 256 bytes beside its content."""
    async with store_at(quota_bytes=10_000) as store:
        assert await store.runs.keep("default/ann", "rone", KeptRun(value=b"x" * size)) is is_kept


@pytest.mark.parametrize("filler", [b"", b"x" * LONG_CHARS], ids=["short", "long"])
async def test_a_configured_secret_is_cut_out_of_what_is_kept(store_at: StoreAt, filler: bytes) -> None:
    leaky = KeptCall(identifier="a_b", arguments=b"{}", result=b'{"sent":"Bearer to\\"ken-1%b"}' % filler)
    async with store_at(secrets=[Secret('to"ken-1')], quota_bytes=2 * LONG_CHARS) as store:
        await store.runs.keep("default/ann", "rone", KeptRun(failure='it said to"ken-1', calls=(leaky,)))

        kept = await store.runs.find("default/ann", "rone")

    assert kept is not None
    assert (kept.failure, kept.calls[0].result) == ("it said ***", b'{"sent":"Bearer ***%b"}' % filler)


async def test_a_run_with_a_secret_among_its_arguments_is_not_kept_for_resume(store_at: StoreAt) -> None:
    """Without its arguments a call could not be told from another, and would be made a second time."""
    call = KeptCall(identifier="a_b", arguments=b'{"key":"token-1"}', result=b"{}")
    async with store_at(secrets=[Secret("token-1")]) as store:
        assert not await store.runs.keep("default/ann", "rone", KeptRun(failure="x", calls=(call,)))


async def test_while_the_database_is_locked_nothing_is_kept_and_nothing_hangs(
    location: StoreUrl, store_at: StoreAt, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database, "WAIT_S", 0.2)
    monkeypatch.setattr(database, "STATEMENT_S", 0.2)
    blocking = database.Database(location)
    async with store_at() as store, blocking.writing() as blocker:
        if location.path is None:
            await blocker.exec_driver_sql("LOCK TABLE kept_runs")

        assert not await store.runs.keep("default/ann", "rone", FAILED)
    await blocking.close()

    assert "run rone could not be kept" in caplog.text


async def test_after_a_run_could_not_be_kept_no_other_waits_for_the_database_for_a_short_while(
    location: StoreUrl, store_at: StoreAt, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT_S", 0.2)
    monkeypatch.setattr(database, "STATEMENT_S", 0.2)
    blocking = database.Database(location)
    async with store_at() as store:
        async with blocking.writing() as blocker:
            if location.path is None:
                await blocker.exec_driver_sql("LOCK TABLE kept_runs")
            kept = [await store.runs.keep("default/ann", "rone", FAILED)]
        for seconds in (0, PAUSE_S - 0.5, 0.5):
            clock.now += seconds
            kept.append(await store.runs.keep("default/ann", "rone", FAILED))
    await blocking.close()

    assert kept == [False, False, False, True]

"""Records of calls and runs: noted without waiting, stored in batches, read by filters, swept."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from portal._records import CallRecord
from portal.store import RecordFilter
from portal.store import _record_writer as writing
from portal.store._database import Database

if TYPE_CHECKING:
    from portal._store_url import StoreUrl
    from portal.store import Store
    from tests.portal.store.conftest import Clock, StoreAt
    from typegen import JsonObject

ALL = RecordFilter(limit=100_000)


def call(number: int = 0, **fields: object) -> CallRecord:
    facts: dict[str, object] = {
        "user": "ann",
        "portal": "default",
        "server": "tickets",
        "tool": f"tool{number}",
        "status": "ok",
        "duration_ms": 1.5,
        "request_bytes": 2,
        "response_bytes": 3,
        "run": "rone",
        "time": float(number),
    }
    return CallRecord(**{**facts, **fields})  # type: ignore[arg-type]  # a test names only what it is about


def run(name: str, **fields: object) -> JsonObject:
    facts: JsonObject = {
        "time": 5.0,
        "user": "ann",
        "portal": "default",
        "run": name,
        "source_sha256": "ab" * 32,
        "status": "ok",
        "duration_ms": 12.5,
        "cpu_ms": 1.5,
        "memory_bytes": 2**33,
        "answer_chars": 10,
        "calls": 2,
        "calls_ok": 1,
        "tools": {"tickets_close": 2},
    }
    return {**facts, **fields}  # type: ignore[dict-item]  # as above


async def tools(store: Store, **conditions: object) -> list[object]:
    return [row["tool"] for row in await store.records.calls(RecordFilter(**conditions))]  # type: ignore[arg-type]


async def test_a_record_is_stored_as_it_was_noted(store_at: StoreAt) -> None:
    async with store_at() as store:
        store.records.note_call(call(7, code=-32602, status="error", run=None))
        store.records.note_run(run("rone", unknown="left out"))
        await store.records.writer.flush()

        [stored_call] = await store.records.calls(ALL)
        [stored_run] = await store.records.runs(ALL)

    assert stored_call == {
        "time": 7.0,
        "user": "ann",
        "portal": "default",
        "server": "tickets",
        "tool": "tool7",
        "status": "error",
        "duration_ms": 1.5,
        "request_bytes": 2,
        "response_bytes": 3,
        "run": None,
        "code": "-32602",
    }
    assert stored_run == run("rone")


async def test_records_are_read_newest_first_by_any_condition(store_at: StoreAt) -> None:
    async with store_at() as store:
        store.records.note_call(call(1))
        store.records.note_call(call(2, server="files"))
        store.records.note_call(call(3, user="bob", portal="other"))
        store.records.note_call(call(4, run=None, status="timeout"))
        await store.records.writer.flush()

        assert await tools(store) == ["tool4", "tool3", "tool2", "tool1"]
        assert await tools(store, limit=1) == ["tool4"]
        assert await tools(store, server="files") == ["tool2"]
        assert await tools(store, user="bob", portal="other") == ["tool3"]
        assert await tools(store, tool="tool1", run="rone") == ["tool1"]
        assert await tools(store, is_failed=True) == ["tool4"]
        assert await tools(store, since=3.0) == ["tool4", "tool3"]


async def test_an_orderly_stop_stores_everything_noted(store_at: StoreAt) -> None:
    async with store_at() as store:
        for number in range(1_203):
            store.records.note_call(call(number))

    async with store_at() as store:
        assert len(await store.records.calls(ALL)) == 1_203


async def test_a_cancelled_portal_stores_everything_noted(store_at: StoreAt) -> None:
    with anyio.CancelScope() as portal:
        async with store_at() as store:
            for number in range(700):
                store.records.note_call(call(number))
            portal.cancel()
            await anyio.sleep_forever()

    async with store_at() as store:
        assert len(await store.records.calls(ALL)) == 700


async def test_records_wait_while_the_database_is_locked(
    location: StoreUrl, store_at: StoreAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.store._database.WAIT_S", 0.1)
    monkeypatch.setattr("portal.store._database.STATEMENT_S", 0.1)
    async with store_at() as store:
        blocking = Database(location)
        async with blocking.writing() as blocker:
            if location.path is None:
                await blocker.exec_driver_sql("LOCK TABLE calls")
            store.records.note_call(call(1))
            await anyio.sleep(writing.GATHER_S)
            assert store.records.writer.waiting <= 1
        store.records.note_call(call(2))
        with anyio.fail_after(30):
            await store.records.writer.flush()

        assert await tools(store) == ["tool2", "tool1"]
        await blocking.close()


async def test_names_that_no_database_can_hold_are_stored_readably(store_at: StoreAt) -> None:
    async with store_at() as store:
        store.records.note_call(call(tool="a\0b\ud800c", request_bytes=2**70))
        await store.records.writer.flush()

        [stored] = await store.records.calls(ALL)

    assert (stored["tool"], stored["request_bytes"]) == ("a\ufffdb?c", 2**63 - 1)


@pytest.mark.parametrize("user", [None, {"a": 1}], ids=["nothing", "another type"])
async def test_a_record_that_is_refused_leaves_its_neighbours_alone(
    user: object, store_at: StoreAt, caplog: pytest.LogCaptureFixture
) -> None:
    async with store_at() as store:
        store.records.note_call(call(1))
        store.records.note_call(call(2, user=user))
        store.records.note_call(call(3))
        with anyio.fail_after(10):
            await store.records.writer.flush()

        assert await tools(store) == ["tool3", "tool1"]
    assert "the store refused a record" in caplog.text


async def test_more_records_than_may_wait_are_dropped_and_the_log_says_so(
    store_at: StoreAt, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writing, "MAX_WAITING", 10)
    async with store_at() as store:
        for number in range(12):
            store.records.note_call(call(number))
        await store.records.writer.flush()

        assert len(await store.records.calls(ALL)) == 10
    assert "2 records were dropped" in caplog.text


async def test_records_go_after_the_days_that_they_are_kept(store_at: StoreAt, clock: Clock) -> None:
    day = 86_400
    async with store_at() as store:
        for age in (29, 31):
            store.records.note_call(call(age, time=clock.now - age * day))
            store.records.note_run(run(f"r{age}", time=clock.now - age * day))
        await store.records.writer.flush()
        await store.sweep()

        assert await tools(store) == ["tool29"]
        assert [row["run"] for row in await store.records.runs(ALL)] == ["r29"]


async def test_a_killed_process_has_lost_nothing_that_was_flushed(location: StoreUrl, store_at: StoreAt) -> None:
    """Storage fault 38: kill -9 in the middle of writing; the store opens and holds every acknowledged write."""
    program = f"""
import anyio
from portal import RetentionConfig, Secret
from portal._records import CallRecord
from portal._store_url import StoreUrl
from portal.store import Store
location = StoreUrl(backend={location.backend!r}, url=Secret({location.url.reveal()!r}), shown="", path=None)
async def main():
    async with Store(location, retention=RetentionConfig()) as store:
        for n in range(1_000_000):
            store.records.note_call(CallRecord(user="u", portal="p", server="s", tool=str(n), status="ok",
                duration_ms=1.0, request_bytes=1, response_bytes=1))
            if n % 50 == 0:
                await store.records.writer.flush()
                print(n, flush=True)
anyio.run(main)
"""
    async with store_at():
        pass
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(4)][-1]
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    async with store_at() as store:
        found = {int(str(row["tool"])) for row in await store.records.calls(ALL)}
        assert set(range(acknowledged + 1)) <= found

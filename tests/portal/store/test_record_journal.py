"""Records of a process that is killed: SECURITY.md, fault 19."""

from __future__ import annotations

import errno
import fcntl
import logging
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portal import RetentionConfig
from portal._records import CallRecord
from portal._store_url import StoreUrl
from portal.store import RecordFilter, Store, migrate
from portal.store import _database as database
from portal.store._record_journal import RecordJournal

if TYPE_CHECKING:
    from portal.store import Records

RETENTION = RetentionConfig()
KILLED = """
import anyio, os, signal, sys, time
from pathlib import Path
from portal._config import RetentionConfig
from portal._records import CallRecord
from portal._store_url import StoreUrl
from portal.store import Store

async def main():
    async with Store(StoreUrl.file(Path(sys.argv[1])), retention=RetentionConfig()) as store:
        for number in range(1_000):
            store.records.note_call(CallRecord(user="u", portal="p", server="s", tool=str(number), status="ok",
                duration_ms=1.0, request_bytes=2, response_bytes=3))
            if number == 600:
                await store.records.writer.flush()
        os.kill(os.getpid(), signal.SIGKILL)

anyio.run(main)
"""

# Ends in good order while another connection holds the database.
LOCKED = """
import anyio, sqlite3, sys
from pathlib import Path
from portal._config import RetentionConfig
from portal._records import CallRecord
from portal._store_url import StoreUrl
from portal.store import Store, _database, _store

async def main():
    _database.WAIT_S = _database.STATEMENT_S = 0.1
    _store.CLOSE_S = 1.2
    async with Store(StoreUrl.file(Path(sys.argv[1])), retention=RetentionConfig()) as store:
        blocking = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
        blocking.execute("begin immediate")
        store.records.note_call(CallRecord(user="u", portal="p", server="s", tool="7", status="ok",
            duration_ms=1.0, request_bytes=2, response_bytes=3))

anyio.run(main)
"""


def row(number: int) -> bytes:
    """A record of a call, as it stands in a journal."""
    return (
        b'["calls",{"time":%d.5,"user":"u","portal":"p","server":"s","tool":"%d","status":"ok","duration_ms":1.0,'
        b'"request_bytes":1,"response_bytes":1,"run":null,"code":null}]\n' % (number, number)
    )


def noted(number: int) -> CallRecord:
    """A record of a call, as it is noted."""
    return CallRecord(
        user="u",
        portal="p",
        server="s",
        tool=str(number),
        status="ok",
        duration_ms=1.0,
        request_bytes=1,
        response_bytes=1,
    )


async def stored(records: Records) -> list[str]:
    found = await records.calls(RecordFilter(limit=10_000))
    return sorted((str(each["tool"]) for each in found), key=int)


async def test_what_was_noted_is_stored_once_at_the_next_start_of_a_process_that_was_killed(tmp_path: Path) -> None:
    file = tmp_path / "portico.db"
    root = str(Path(__file__).parents[3])
    ended = subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False, timeout=60, env={"PYTHONPATH": root})
    found = []
    for _ in range(2):
        async with Store(StoreUrl.file(file), retention=RETENTION) as store:
            found.append(await stored(store.records))

    assert ended.returncode == -signal.SIGKILL
    assert found == [[str(number) for number in range(1_000)]] * 2
    assert [path.name for path in tmp_path.glob("*-records-*")] == []


async def test_half_a_line_in_the_midst_of_a_journal_costs_no_other_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left = tmp_path / "portico.db-records-dead-0"
    left.write_bytes(row(1) + row(2)[:40] + row(3) + b"[]\n7\n\n" + row(4))
    async with Store(StoreUrl.file(tmp_path / "portico.db"), retention=RETENTION) as store:
        found = await stored(store.records)

    assert found == ["1", "4"]
    assert f"4 torn records in {left} are lost" in caplog.text
    assert not left.exists()


async def test_a_line_that_was_torn_costs_its_own_record_only_and_a_journal_in_use_is_left_alone(
    tmp_path: Path,
) -> None:
    location = StoreUrl.file(tmp_path / "portico.db")
    async with Store(location, retention=RETENTION) as store:
        (tmp_path / "portico.db-records-dead-0").write_bytes(row(7) + row(8)[:40])
        async with Store(location, retention=RETENTION) as other:
            found = await stored(other.records)
            in_use = len(list(tmp_path.glob("*-records-*")))
        assert store.records.writer.waiting == 0

    assert found == ["7"]
    assert in_use == 4


@pytest.mark.parametrize("is_removed", [True, False], ids=["removed", "locked"])
def test_a_journal_that_another_start_takes_for_one_that_was_left_is_begun_under_another_name(
    is_removed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_start = RecordJournal(tmp_path / "portico.db").abandoned()
    lock = fcntl.flock

    def lock_second(file: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        left, _ = next(other_start)
        if is_removed:
            left.unlink()
            next(other_start, None)  # its lock goes with its turn
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", lock_second)
    journal = RecordJournal(tmp_path / "portico.db")
    journal.open()
    journal.append("calls", {"time": 1})
    written = {file.read_bytes() for file in tmp_path.iterdir()}
    journal.close()

    assert written == {b"", b'["calls",{"time":1}]\n'}


@pytest.mark.parametrize("is_replaced", [False, True], ids=["deleted", "replaced"])
async def test_records_noted_after_the_store_was_taken_away_are_stored_at_the_next_start(
    is_replaced: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    location, other = StoreUrl.file(tmp_path / "portico.db"), StoreUrl.file(tmp_path / "other.db")
    await migrate(other)
    async with Store(location, retention=RETENTION) as store:
        for path in (tmp_path / name for name in ("portico.db", "portico.db-wal", "portico.db-shm")):
            path.unlink()
        if is_replaced:
            (tmp_path / "other.db").rename(tmp_path / "portico.db")
        for number in range(3):
            store.records.note_call(noted(number))
            await store.records.writer.flush()
    async with Store(location, retention=RETENTION) as store:
        found = await stored(store.records)

    assert found == ["0", "1", "2"]
    assert caplog.text.count("restart the portal") == 1
    assert list(tmp_path.glob("*-records-*")) == []


async def test_reading_a_store_says_nothing_of_its_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    location = StoreUrl.file(tmp_path / "portico.db")
    await migrate(location)
    async with Store(location, retention=RETENTION, may_change=False):
        pass

    assert caplog.text == ""


async def test_a_journal_that_cannot_be_removed_lets_a_portal_start_and_is_stored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left = tmp_path / "portico.db-records-dead-0"
    left.write_bytes(row(1))

    def refuse(path: Path, *, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, f"Read-only file system: {missing_ok}", str(path))

    with monkeypatch.context() as read_only:
        read_only.setattr(Path, "unlink", refuse)
        async with Store(StoreUrl.file(tmp_path / "portico.db"), retention=RETENTION):
            pass
    async with Store(StoreUrl.file(tmp_path / "portico.db"), retention=RETENTION) as store:
        found = await stored(store.records)

    assert found == ["1"]
    assert f"{left} could not be removed: Read-only file system" in caplog.text


async def test_a_journal_that_cannot_be_stored_now_lets_a_portal_start_and_is_stored_at_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database, "WAIT_S", 0.1)
    location = StoreUrl.file(tmp_path / "portico.db")
    await migrate(location)
    left = tmp_path / "portico.db-records-dead-0"
    left.write_bytes(row(1))
    blocking = database.Database(location)
    async with blocking.writing(), Store(location, retention=RETENTION):
        pass
    await blocking.close()
    async with Store(location, retention=RETENTION) as store:
        found = await stored(store.records)

    assert found == ["1"]
    assert f"{left} is left for the next start" in caplog.text
    assert not left.exists()


@pytest.mark.parametrize("wrong", [b'{"a":1}', b"[1]"])
async def test_a_record_with_a_value_that_no_column_holds_costs_no_other_record(wrong: bytes, tmp_path: Path) -> None:
    (tmp_path / "portico.db-records-dead-0").write_bytes(row(1) + row(2).replace(b'"s"', wrong) + row(3))
    async with Store(StoreUrl.file(tmp_path / "portico.db"), retention=RETENTION) as store:
        found = await stored(store.records)

    assert found == ["1", "3"]


async def test_a_number_that_no_column_holds_is_stored_as_the_largest(tmp_path: Path) -> None:
    (tmp_path / "portico.db-records-dead-0").write_bytes(row(1).replace(b"1.5", str(2**64 - 1).encode()))
    async with Store(StoreUrl.file(tmp_path / "portico.db"), retention=RETENTION) as store:
        [found] = await store.records.calls(RecordFilter())

    assert found["time"] == float(2**63 - 1)


async def test_what_a_run_called_is_stored_from_a_journal(tmp_path: Path) -> None:
    (tmp_path / "portico.db-records-dead-0").write_bytes(
        b'["runs",{"time":1.5,"user":"u","portal":"p","run":"r","source_sha256":"ab","status":"ok","duration_ms":1.0,'
        b'"cpu_ms":1.0,"memory_bytes":1,"answer_chars":1,"calls":2,"calls_ok":2,"tools":{"s_t":2}}]\n'
    )
    async with Store(StoreUrl.file(tmp_path / "portico.db"), retention=RETENTION) as store:
        [found] = await store.records.runs(RecordFilter())

    assert found["tools"] == {"s_t": 2}


async def test_what_a_stop_could_not_store_is_said_to_wait_for_the_next_start_and_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "portico.store")
    file = tmp_path / "portico.db"
    root = str(Path(__file__).parents[3])
    ended = subprocess.run(
        [sys.executable, "-c", LOCKED, str(file)],
        check=True,
        timeout=60,
        env={"PYTHONPATH": root},
        capture_output=True,
        text=True,
    )
    async with Store(StoreUrl.file(file), retention=RETENTION) as store:
        found = await stored(store.records)

    assert "1 records could not be stored: they wait in the journal, and the next start stores them" in ended.stderr
    assert "1 records that an earlier process left in its journal were stored" in caplog.messages
    assert found == ["7"]

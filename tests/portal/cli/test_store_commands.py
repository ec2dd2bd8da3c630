"""``runs``, ``logs``, ``migrate`` and ``backup``: what a portal remembers, from the shell."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import anyio
import pytest

from portal._config import Config
from portal._records import CallRecord
from portal.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from portal._records import CallStatus
    from tests.portal.cli.conftest import Portico
    from typegen import JsonObject

CONFIG = "servers: [{id: tracker, transport: demo}]\n"
WRITE = "async () => { await codemode.tracker_list_people({}); throw new Error('no') }"


def call_record(at: float, *, run: str | None, status: CallStatus) -> CallRecord:
    return CallRecord(
        time=at,
        user="ann",
        portal="default",
        server="tickets",
        tool="close",
        status=status,
        duration_ms=3.2,
        request_bytes=1,
        response_bytes=1,
        run=run,
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with its data beside it."""
    file = tmp_path / "portico.yaml"
    file.write_text(f"data_dir: state\n{CONFIG}")
    return file


def run_record(run: str, at: float, **fields: object) -> JsonObject:
    facts: JsonObject = {
        "time": at,
        "user": "ann",
        "portal": "default",
        "run": run,
        "source_sha256": "ab" * 32,
        "status": "ok",
        "duration_ms": 12.4,
        "cpu_ms": 1.5,
        "memory_bytes": 1,
        "answer_chars": 10,
        "calls": 5,
        "calls_ok": 5,
        "tools": {"a_one": 2, "a_two": 1, "a_three": 1, "a_four": 1},
    }
    return {**facts, **fields}  # type: ignore[dict-item]  # a test names only what it is about


async def record(settings: Config) -> None:
    async with Store(settings.store_url, retention=settings.retention) as store:
        store.records.note_run(run_record("rold22", 1_000.0, status="ToolError", user="bob"))
        store.records.note_run(run_record("rnew22", 2_000.0))
        store.records.note_call(call_record(1_500.0, run="rnew22", status="ok"))
        store.records.note_call(call_record(1_600.0, run=None, status="timeout"))


@pytest.fixture
def recorded(config: Path) -> Path:
    """A store with two runs and two calls; gives the configuration."""
    anyio.run(record, Config.load(config, {}))
    return config


def test_runs_prints_a_table_newest_first(recorded: Path, portico: Portico) -> None:
    done = portico("runs", "--config", str(recorded))

    heading, newest, oldest = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert heading.split() == ["TIME", "RUN", "STATUS", "TOOK", "USER", "PORTAL", "CALLS"]
    assert newest.endswith("rnew22  ok         12 ms  ann   default  a_one x2, a_two, a_three, and 1 more")
    assert "rold22  ToolError" in oldest


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--failed"], ["rold22"]),
        (["--user", "ann"], ["rnew22"]),
        (["--limit", "1"], ["rnew22"]),
        (["--since", "1d"], []),
    ],
)
def test_runs_are_chosen_by_options(options: list[str], found: list[str], recorded: Path, portico: Portico) -> None:
    told = json.loads(portico("runs", "--config", str(recorded), "--json", *options).out)

    assert [record["run"] for record in told] == found


def test_logs_prints_calls_of_programs_and_of_clients(recorded: Path, portico: Portico) -> None:
    heading, newest, oldest = portico("logs", "--config", str(recorded)).out.splitlines()

    assert heading.split() == ["TIME", "STATUS", "TOOK", "SERVER", "TOOL", "USER", "RUN"]
    assert newest.split()[2:] == ["timeout", "3", "ms", "tickets", "close", "ann", "-"]
    assert oldest.split()[2:] == ["ok", "3", "ms", "tickets", "close", "ann", "rnew22"]


@pytest.mark.parametrize("options", [["--run", "rnew22"], ["--server", "tickets", "--tool", "close", "--limit", "1"]])
def test_logs_are_chosen_by_options(options: list[str], recorded: Path, portico: Portico) -> None:
    assert len(json.loads(portico("logs", "--config", str(recorded), "--json", *options).out)) == 1


@pytest.mark.parametrize("command", ["runs", "logs"])
def test_a_filter_that_is_no_text_finds_nothing(command: str, recorded: Path, portico: Portico) -> None:
    done = portico(command, "--config", str(recorded), "--user", "\udcff")

    assert (done.code, done.out, "is recorded" in done.err) == (0, "", True)


def test_a_program_run_from_the_shell_is_recorded_with_its_calls(config: Path, portico: Portico) -> None:
    portico("exec", WRITE, "--config", str(config))

    [run] = json.loads(portico("runs", "--config", str(config), "--json").out)
    [call] = json.loads(portico("logs", "--config", str(config), "--json").out)

    assert (run["status"], run["tools"]) == ("Error", {"tracker_list_people": 1})
    assert (call["server"], call["tool"], call["status"], call["run"]) == ("tracker", "list_people", "ok", run["run"])


@pytest.mark.parametrize("command", ["runs", "logs"])
def test_nothing_recorded_and_no_store_are_told_apart(command: str, config: Path, portico: Portico) -> None:
    before = portico(command, "--config", str(config))
    portico("migrate", "--config", str(config))
    after = portico(command, "--config", str(config))

    assert (before.code, before.out, "is not there yet" in before.err) == (2, "", True)
    assert (after.code, after.out, "is recorded" in after.err) == (0, "", True)


@pytest.mark.parametrize("age", ["yesterday", "1w", "-1h", ""])
def test_an_age_that_is_none_is_refused(age: str, config: Path, portico: Portico) -> None:
    done = portico("logs", "--config", str(config), f"--since={age}")

    assert (done.code, "is no age: write 90s, 15m, 24h or 7d" in done.err) == (2, True)


def test_migrate_makes_the_store_and_then_has_nothing_to_do(config: Path, portico: Portico) -> None:
    path = config.parent / "state" / "portico.db"

    made = portico("migrate", "--config", str(config))
    again = json.loads(portico("migrate", "--config", str(config), "--json").out)

    assert made.out == f"Made the store {path} with schema 0002.\n"
    assert again == {"store": str(path), "before": "0002", "after": "0002", "backup": None}


def test_a_store_of_a_newer_version_is_refused_with_2(recorded: Path, portico: Portico) -> None:
    with closing(sqlite3.connect(recorded.parent / "state" / "portico.db")) as connection, connection:
        connection.execute("UPDATE portico_schema SET version_num = '0777'")

    for command in ("migrate", "runs", "exec"):
        done = portico(command, *(["1"] if command == "exec" else []), "--config", str(recorded))
        assert (done.code, "newer Portico (schema 0777" in done.err, "Traceback" in done.err) == (2, True, False)


def test_backup_copies_the_store_and_never_overwrites(recorded: Path, tmp_path: Path, portico: Portico) -> None:
    copied = json.loads(portico("backup", "copy.db", "--config", str(recorded), "--json").out)
    again = portico("backup", "copy.db", "--config", str(recorded))

    assert copied["bytes"] == (tmp_path / "copy.db").stat().st_size
    assert (again.code, "copy.db exists: name a new file" in again.err) == (2, True)


@pytest.mark.parametrize("kind", ["empty", "other"])
def test_backup_of_what_is_no_store_is_refused(kind: str, config: Path, tmp_path: Path, portico: Portico) -> None:
    (tmp_path / "state").mkdir()
    with closing(sqlite3.connect(tmp_path / "state" / "portico.db")) as connection:
        connection.execute("CREATE TABLE t (x)" if kind == "other" else "SELECT 1")

    done = portico("backup", "copy.db", "--config", str(config))

    assert (done.code, done.out, "holds no store" in done.err) == (2, "", True)
    assert not (tmp_path / "copy.db").exists()


def test_backup_of_postgresql_names_the_tool_for_it_without_the_password(config: Path, portico: Portico) -> None:
    config.write_text(f"store: postgresql://me:hunter2@db/tools\n{CONFIG}")

    done = portico("backup", "tools.dump", "--config", str(config))

    assert done.code == 2
    assert "pg_dump --format=custom --file=tools.dump postgresql://db/tools" in done.err
    assert "hunter2" not in done.err


@pytest.mark.parametrize("command", ["runs", "logs", "migrate", "backup"])
def test_each_command_has_help(command: str, portico: Portico) -> None:
    done = portico(command, "--help")

    assert (done.code, "--json" in done.out) == (0, True)

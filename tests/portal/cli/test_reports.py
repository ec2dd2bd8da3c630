"""``types``, ``servers`` and ``doctor``: what the configured servers offer and how they are."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.portal.cli.conftest import NamedServer, Portico

GONE = "{id: gone, command: no-such-program-anywhere}"
DEAF = "{id: deaf, url: 'http://127.0.0.1:9/mcp'}"  # the discard port: nothing listens there


def configure(folder: Path, *servers: str) -> None:
    (folder / "portico.yaml").write_text("servers:\n" + "".join(f"  - {server}\n" for server in servers))


def test_types_prints_a_declaration_of_every_tool(portico: Portico) -> None:
    done = portico("types")

    assert (done.code, done.err) == (0, "")
    assert "const codemode: {" in done.out
    assert "tracker_search_issues(args" in done.out


def test_types_of_one_server_leave_the_others_out(tmp_path: Path, portico: Portico, time_server: str) -> None:
    configure(tmp_path, "{id: tracker, transport: demo}", time_server)

    done = portico("types", "--config", "portico.yaml", "--server", "clock")

    assert "clock_convert_time(" in done.out
    assert "tracker_" not in done.out


def test_types_as_json_are_keyed_by_identifier(portico: Portico) -> None:
    told = json.loads(portico("types", "--json").out)

    assert told["tracker_search_issues"].count("tracker_search_issues(") == 1


def test_types_says_which_server_is_missing_and_that_its_configuration_must_change(
    tmp_path: Path, portico: Portico, time_server: str
) -> None:
    configure(tmp_path, time_server, GONE)

    done = portico("types", "--config", "portico.yaml")

    assert done.code == 2
    assert "clock_convert_time(" in done.out
    assert "left out gone: " in done.err
    assert "no-such-program-anywhere" in done.err


def test_types_of_an_unknown_server_are_refused(portico: Portico) -> None:
    done = portico("types", "--server", "traker")

    assert (done.code, done.out) == (2, "")
    assert 'did you mean "tracker"?' in done.err


def test_servers_prints_a_table(tmp_path: Path, portico: Portico, time_server: str) -> None:
    configure(tmp_path, time_server, "{id: off, command: cat, enabled: false}")

    done = portico("servers", "--config", "portico.yaml")

    heading, clock, off = done.out.splitlines()
    assert done.code == 0
    assert heading.split() == ["ID", "TRANSPORT", "STATUS", "SINCE", "TOOLS", "PROMPTS", "RESOURCES", "NAME"]
    since = clock.split()[3]
    assert clock.split() == ["clock", "stdio", "ready", since, "2", "0", "0", "clock"]
    assert re.fullmatch(r"\d\d:\d\d:\d\d", since)
    assert off.split() == ["off", "stdio", "off", "-", "-", "-", "-", "off"]


@pytest.mark.parametrize(("server", "code"), [(GONE, 2), (DEAF, 1)], ids=["missing command", "refused connection"])
def test_servers_exits_with_2_when_a_configuration_has_to_change_else_with_1(
    server: str, code: int, tmp_path: Path, portico: Portico
) -> None:
    configure(tmp_path, server)

    done = portico("servers", "--config", "portico.yaml", "--json")

    (told,) = json.loads(done.out)
    assert (done.code, told["status"], told["tools"]) == (code, "error", 0)
    assert told["cause"]
    assert told["retryable"] is (code == 1)
    assert told["since"] > 0


def test_servers_sync_keeps_what_a_server_lists_and_says_what_is_new(
    tmp_path: Path, portico: Portico, time_server: str
) -> None:
    configure(tmp_path, time_server, DEAF)
    environ = {"PORTICO_DATA_DIR": str(tmp_path / "data")}
    arguments = ("servers", "sync", "--config", "portico.yaml", "--json")

    first, again = (portico(*arguments, environ=environ) for _ in range(2))
    clock = portico("servers", "sync", "clock", "--config", "portico.yaml", environ=environ)

    told = json.loads(first.out)
    assert (first.code, [(one["id"], one["status"]) for one in told]) == (1, [("clock", "ready"), ("deaf", "error")])
    assert told[0]["changed"] == ["about", "tools"]
    assert json.loads(again.out)[0]["changed"] == []
    assert clock.code == 0
    assert clock.out.splitlines()[1].split() == ["clock", "ready", "2", "0", "0", "nothing"]


def test_servers_sync_keeps_a_word_that_an_environment_holds_too(
    tmp_path: Path, portico: Portico, named_server: NamedServer
) -> None:
    configure(tmp_path, f"{{id: docs, {named_server('frankfurt_list')}, env: {{REGION: frankfurt}}}}")
    data = tmp_path / "data"

    done = portico("servers", "sync", "--config", "portico.yaml", environ={"PORTICO_DATA_DIR": str(data)})

    kept = b"".join(file.read_bytes() for file in data.iterdir() if file.is_file())
    assert done.code == 0
    assert b"frankfurt_list" in kept


@pytest.mark.parametrize("options", [("--config", "portico.yaml"), ("--json",), ("--debug",)])
def test_servers_sync_with_its_options_before_it_is_refused(options: tuple[str, ...], portico: Portico) -> None:
    done = portico("servers", *options, "sync")

    assert (done.code, done.out) == (2, "")
    assert "options go after sync: portico servers sync [ID]... --config FILE." in done.err


def test_servers_sync_of_a_server_that_is_off_says_so(tmp_path: Path, portico: Portico) -> None:
    configure(tmp_path, "{id: off, command: cat, enabled: false}")

    done = portico("servers", "sync", "off", "--config", "portico.yaml")

    assert (done.code, done.out) == (0, "")
    assert "off is switched off by the configuration (enabled: false), so it was not listed." in done.err


def test_servers_sync_of_an_unknown_server_is_refused(portico: Portico) -> None:
    done = portico("servers", "sync", "traker")

    assert (done.code, done.out) == (2, "")
    assert 'did you mean "tracker"?' in done.err


def test_doctor_finds_this_machine_well(portico: Portico) -> None:
    done = portico("doctor", "--json")

    states = {check["subject"]: check["state"] for check in json.loads(done.out)}
    assert (done.code, done.err) == (0, "")
    assert [states[subject] for subject in ("wasmtime", "sandbox", "server tracker")] == ["ok", "ok", "ok"]


def test_doctor_says_which_isolation_the_workers_have(portico: Portico) -> None:
    told = json.loads(portico("doctor", "--offline", "--json").out)

    layers = {check["subject"]: check["state"] for check in told if check["subject"].startswith("isolation: ")}
    assert len(layers) >= 3
    assert set(layers.values()) <= {"ok", "weak"}


def test_doctor_says_where_the_compiled_guest_is_kept(portico: Portico, tmp_path: Path) -> None:
    told = json.loads(portico("doctor", "--offline", "--json", environ={"XDG_CACHE_HOME": str(tmp_path)}).out)

    (cache,) = [check for check in told if check["subject"] == "cache"]
    assert cache["state"] == "ok"
    assert cache["detail"].startswith(f"{tmp_path}/portico/guest-")


def test_doctor_says_when_the_compiled_guest_cannot_be_kept(portico: Portico, tmp_path: Path) -> None:
    (tmp_path / "portico").write_text("a file where the folder should be")

    told = json.loads(portico("doctor", "--offline", "--json", environ={"XDG_CACHE_HOME": str(tmp_path)}).out)

    (cache,) = [check for check in told if check["subject"] == "cache"]
    assert cache["state"] == "weak"


def test_doctor_names_what_is_broken_and_exits_with_1(tmp_path: Path, portico: Portico) -> None:
    configure(tmp_path, GONE)

    done = portico("doctor", "--config", "portico.yaml")

    (broken,) = [line for line in done.out.splitlines() if line.startswith("BROKEN")]
    assert done.code == 1
    assert "server gone" in broken
    assert "no-such-program-anywhere" in broken


def test_doctor_names_a_damaged_store_among_its_checks(tmp_path: Path, portico: Portico) -> None:
    (tmp_path / "portico.db").write_bytes(b"no database at all" * 1_000)

    done = portico("doctor", "--json", environ={"PORTICO_DATA_DIR": str(tmp_path)})

    states = {check["subject"]: check["state"] for check in json.loads(done.out)}
    assert (done.code, done.err) == (1, "")
    assert (states["sandbox"], states["store"]) == ("ok", "broken")


def store_line(portico: Portico, data_dir: Path) -> tuple[str, str]:
    done = portico("doctor", "--offline", "--json", environ={"PORTICO_DATA_DIR": str(data_dir)})
    (check,) = [check for check in json.loads(done.out) if check["subject"] == "store"]
    return check["state"], check["detail"]


def test_doctor_says_where_the_store_is_and_makes_none(tmp_path: Path, portico: Portico) -> None:
    state, detail = store_line(portico, tmp_path / "data")

    assert (state, detail.startswith(f"{tmp_path}/data/portico.db, not there yet")) == ("ok", True)
    assert not (tmp_path / "data").exists()


def test_doctor_says_which_schema_the_store_has(tmp_path: Path, portico: Portico) -> None:
    portico("migrate", environ={"PORTICO_DATA_DIR": str(tmp_path)})

    assert store_line(portico, tmp_path) == ("ok", f"{tmp_path}/portico.db, schema 0002")


def test_doctor_says_that_a_store_cannot_be_written(tmp_path: Path, portico: Portico) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")

    state, detail = store_line(portico, tmp_path / "data")

    assert (state, "cannot be written: check" in detail) == ("broken", True)


def test_doctor_checks_the_configuration_first(tmp_path: Path, portico: Portico) -> None:
    configure(tmp_path, "{id: a, comand: cat}")

    done = portico("doctor", "--config", "portico.yaml")

    assert (done.code, done.out) == (2, "")
    assert "portico.yaml:2: unknown key" in done.err

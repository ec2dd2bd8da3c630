"""``portico context`` counts what a portal costs in context."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from portal._tokens import count_tokens

if TYPE_CHECKING:
    from pathlib import Path

    from tests.portal.cli.conftest import NamedServer, Portico

Figures = dict[str, Any]


def figures(portico: Portico, *arguments: str) -> Figures:
    done = portico("context", "--json", *arguments)
    assert (done.code, done.err) == (0, "")
    found: Figures = json.loads(done.out)
    return found


def test_the_demo_is_counted_in_each_mode_with_an_example_program(portico: Portico) -> None:
    found = figures(portico)

    modes = {mode["query"]: mode["tokens"] for mode in found["modes"]}
    assert list(modes) == [
        "",
        "?access=read",
        "?optimize_context=minimize_tools",
        "?optimize_context=search_and_execute",
        "?codemode=search_and_execute",
    ]
    assert modes["?codemode=search_and_execute"] <= 450 < modes[""]
    assert sum(tool["tokens"] for tool in found["tools"]) == modes[""]
    assert sum(server["tokens"] for server in found["servers"]) == modes[""]
    assert found["discovery"]["found"] == len(found["discovery"]["queries"]) == 13


def test_the_example_s_calls_are_counted_as_if_made_directly(portico: Portico) -> None:
    program = figures(portico)["program"]

    code, direct = program["code_mode"], program["direct_calls"]
    assert program["calls"] == {"tracker_search_issues": 1, "tracker_list_comments": 8, "tracker_get_person": 4}
    assert (code["calls"], code["turns"]) == (2, 2)
    assert (direct["calls"], direct["turns"]) == (13, 3)
    assert program["direct_calls_one_by_one"]["turns"] == 13
    assert code["context"] < direct["context"]
    assert direct["billed_input"] < program["direct_calls_one_by_one"]["billed_input"]


def test_a_program_of_one_s_own_is_run_over_one_s_own_configuration(
    tmp_path: Path, portico: Portico, time_server: str
) -> None:
    (tmp_path / "portico.yaml").write_text(f"servers:\n  - {time_server}\n")
    source = "async () => (await codemode.clock_get_current_time({timezone: 'UTC'})).timezone"
    (tmp_path / "program.js").write_text(source)

    found = figures(portico, "--config", "portico.yaml", "--program", "program.js")

    assert found["program"]["answer"] == "UTC"
    assert found["program"]["calls"] == {"clock_get_current_time": 1}
    assert "clock_get_current_time" in [tool["name"] for tool in found["tools"]]
    assert found["program"]["search"] == 'codemode.search(["get current time"], { limit: 2 })'


def test_without_a_program_nothing_is_called(tmp_path: Path, portico: Portico, time_server: str) -> None:
    (tmp_path / "portico.yaml").write_text(f"servers:\n  - {time_server}\n")
    environ = {"PORTICO_DATA_DIR": str(tmp_path / "data")}

    done = portico("context", "--json", "--config", "portico.yaml", environ=environ)

    assert json.loads(done.out)["program"] is None
    assert json.loads(portico("logs", "--json", "--config", "portico.yaml", environ=environ).out) == []


def test_searches_of_one_s_own_are_made(portico: Portico) -> None:
    found = figures(portico, "--query", "who is free tomorrow", "--query", "close an issue")

    assert found["discovery"]["queries"] == ["who is free tomorrow", "close an issue"]
    assert '["who is free tomorrow", "close an issue"]' in found["program"]["search"]


def test_an_encoding_is_chosen(portico: Portico) -> None:
    found = figures(portico, "--encoding", "cl100k_base")

    tool = next(tool for tool in found["tools"] if tool["name"] == "tracker_get_person")
    assert found["encoding"] == "cl100k_base"
    assert tool["description"] == count_tokens("Get one person by login.", "cl100k_base")


def test_a_table_is_printed_with_the_largest_tools_first(portico: Portico) -> None:
    done = portico("context", "--top", "2")

    assert done.code == 0
    assert "The 2 largest of 16 tools" in done.out
    assert done.out.index("tracker_search_issues ") < done.out.index("tracker_create_issue ")
    assert not re.search(r"^tracker_get_person", done.out, re.MULTILINE)
    assert re.search(r"^code mode +\?codemode=search_and_execute +1 +\d+", done.out, re.MULTILINE)


def test_names_of_servers_and_tools_are_printed_as_they_are(
    tmp_path: Path, portico: Portico, named_server: NamedServer
) -> None:
    server = named_server("a[/b]", ":smile:")
    (tmp_path / "portico.yaml").write_text(f"servers: [{{id: docs, name: 'Docs [beta]', {server}}}]\n")

    done = portico("context", "--config", "portico.yaml")

    assert (done.code, done.err) == (0, "")
    assert re.search(r"^docs +Docs \[beta\] +ready", done.out, re.MULTILINE)
    assert re.search(r"^docs_a\[/b\] ", done.out, re.MULTILINE)
    assert re.search(r"^docs_:smile: ", done.out, re.MULTILINE)


def test_a_name_that_steers_a_terminal_is_written_out(
    tmp_path: Path, portico: Portico, named_server: NamedServer
) -> None:
    server = named_server("a\x1b[2Jb")
    (tmp_path / "portico.yaml").write_text(f"servers: [{{id: docs, {server}}}]\n")
    (tmp_path / "program.js").write_text("codemode[Object.keys(codemode).find(name => name.startsWith('docs_'))]({})")

    done = portico("context", "--config", "portico.yaml", "--program", "program.js")

    assert (done.code, done.err) == (0, "")
    assert "\x1b" not in done.out
    assert r"docs_a\x1b[2Jb" in done.out
    assert r"Calls: docs_a\x1b[2Jb." in done.out


def test_a_page_is_written_that_needs_nothing_beside_itself(tmp_path: Path, portico: Portico) -> None:
    done = portico("context", "--html", "report.html")

    page = (tmp_path / "report.html").read_text()
    assert (done.code, done.err) == (0, "portico: wrote report.html")
    assert page.count("<svg ") == 5
    assert set(re.findall(r"https?://[^\"'< ]+", page)) == {"http://www.w3.org/2000/svg"}  # a name, never fetched
    assert re.findall(r"<(?:script|link|img|iframe|object)\b|@import|url\(", page) == []
    assert "tracker_search_issues" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--encoding", "p50k"), '--encoding "p50k" is not one of o200k_base and cl100k_base'),
        (("--program", "missing.js"), "the program does not exist"),
        (("--html", "no/such/folder.html"), "cannot be written"),
        (("--portal", "other"), 'no portal has the id "other"'),
    ],
)
def test_bad_input_is_said_in_a_sentence_and_exits_with_2(
    portico: Portico, arguments: tuple[str, ...], words: str
) -> None:
    done = portico("context", *arguments)

    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_a_program_that_fails_is_shown_its_answer_and_exits_with_1(tmp_path: Path, portico: Portico) -> None:
    (tmp_path / "program.js").write_text("codemode.tracker_get_person({ login: 'nobody' })")

    done = portico("context", "--program", "program.js")

    assert (done.code, done.out) == (1, "")
    assert "the program failed" in done.err
    assert "404 Not Found" in done.err


def test_a_server_that_is_away_is_named_and_the_others_are_counted(
    tmp_path: Path, portico: Portico, time_server: str
) -> None:
    (tmp_path / "portico.yaml").write_text(f"servers:\n  - {time_server}\n  - {{id: gone, command: no-such-program}}\n")

    done = portico("context", "--config", "portico.yaml")

    assert done.code == 2
    assert "clock_convert_time" in done.out
    assert "portico: without gone: " in done.err

"""``portico exec`` prints exactly what an agent gets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.portal.cli.conftest import Portico


def test_a_program_runs_without_tools(portico: Portico) -> None:
    done = portico("exec", "[1, 2, 3].map(n => n * n)")

    assert (done.code, done.out, done.err) == (0, "[1,4,9]\n", "")


def test_a_program_comes_from_a_file(tmp_path: Path, portico: Portico) -> None:
    (tmp_path / "program.js").write_text("const n = 6;\nreturn `${n * 7}`;\n")

    assert portico("exec", "@program.js").out == "42\n"


def test_a_program_comes_from_standard_input(portico: Portico) -> None:
    assert portico("exec", "-", stdin="async () => 'piped'").out == "piped\n"


def test_a_program_on_standard_input_that_is_not_utf8_is_refused(portico: Portico) -> None:
    done = portico("exec", "-", stdin="'\udce9'")

    assert (done.code, done.out) == (2, "")
    assert done.err == "portico: the program on stdin is not UTF-8 text."


def test_a_message_that_would_steer_a_terminal_is_written_out(tmp_path: Path, portico: Portico) -> None:
    (tmp_path / "program.js").write_text("throw new Error('one\\x1b[2J\\ntwo\\u202e')")

    done = portico("context", "--program", "program.js", "--debug")

    assert done.code == 1
    assert r"one\x1b[2J two\u202e" in done.err.split("portico: the program failed")[1]
    assert not {"\x1b", "\u202e"} & {*done.err}


def test_json_holds_what_would_steer_a_terminal_as_escapes(portico: Portico) -> None:
    done = portico("exec", "--json", "'é\\x7f\\x9b2J\\u202e\\u2028'")

    assert json.loads(done.out)["text"] == "é\x7f\x9b2J\u202e\u2028"
    assert r"é\u007f\u009b2J\u202e\u2028" in done.out


def test_a_program_calls_the_tools_of_the_demo(portico: Portico) -> None:
    done = portico("exec", "--demo", "(await codemode.tracker_search_issues({})).total")

    assert (done.code, done.out) == (0, "500\n")


def test_a_program_calls_the_tools_of_a_configuration(tmp_path: Path, portico: Portico, time_server: str) -> None:
    (tmp_path / "portico.yaml").write_text(f"servers:\n  - {time_server}\n")

    done = portico(
        "exec", "--config", "portico.yaml", "(await codemode.clock_get_current_time({timezone: 'UTC'})).timezone"
    )

    assert (done.code, done.out, done.err) == (0, "UTC\n", "")


def test_a_server_that_is_away_is_named_and_the_program_runs(
    tmp_path: Path, portico: Portico, time_server: str
) -> None:
    (tmp_path / "portico.yaml").write_text(f"servers:\n  - {time_server}\n  - {{id: gone, command: no-such-program}}\n")

    done = portico("exec", "--config", "portico.yaml", "'clock_get_current_time' in codemode")

    assert (done.code, done.out) == (0, "true\n")
    assert "portico: without gone: " in done.err


def test_a_server_that_is_away_is_not_missed_in_a_portal_without_it(
    tmp_path: Path, portico: Portico, time_server: str
) -> None:
    servers = f"servers:\n  - {time_server}\n  - {{id: gone, command: no-such-program}}\n"
    (tmp_path / "portico.yaml").write_text(f"{servers}portals: [{{id: default, servers: [clock]}}]\n")

    done = portico("exec", "--config", "portico.yaml", "'clock_get_current_time' in codemode")

    assert (done.code, done.out, done.err) == (0, "true\n", "")


def test_a_program_that_fails_exits_with_1_and_says_where(portico: Portico) -> None:
    done = portico("exec", "const page = await fetch('https://example.com')")

    assert done.code == 1
    assert done.out.startswith("ReferenceError at 1:")
    assert done.err == ""


def test_a_program_that_is_not_javascript_exits_with_2_and_shows_the_line(portico: Portico) -> None:
    done = portico("exec", "const a = 1;\nconst b = = 2;")

    assert done.code == 2
    assert done.out.startswith("SyntaxError at 2:")
    assert "const b = = 2;" in done.out


def test_json_holds_the_answer_and_the_run(portico: Portico) -> None:
    told = json.loads(portico("exec", "--json", "1 + 1").out)

    assert (told["text"], told["is_error"], told["blocks"]) == ("2", False, [])
    assert (told["run"]["status"], told["run"]["calls"]) == ("ok", 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([" "], "the program is empty"),
        (["@absent.js"], "absent.js: the program does not exist"),
        (["1", "--demo", "--config", "portico.yaml"], "--demo excludes --config"),
        (["1", "--demo", "--portal", "docs"], 'no portal has the id "docs": configured: default.'),
    ],
)
def test_bad_input_is_refused_before_anything_runs(arguments: list[str], words: str, portico: Portico) -> None:
    done = portico("exec", *arguments)

    assert (done.code, done.out) == (2, "")
    assert words in done.err

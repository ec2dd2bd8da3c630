"""`make run` shows the portal at work on real servers, prints what it measured, and goes on serving."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import IO, TYPE_CHECKING, Any

import pytest
from mcp import Client

from tests.acceptance._running import START_TIMEOUT_S, STOP_TIMEOUT_S, clean_environ, portico

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
COMPONENTS = ["sandbox", "engine", "typegen", "portal", "packaging", "docs"]


def figures(repository: Path, *arguments: str) -> dict[str, Any]:
    done = portico("demo", "--once", "--json", "--port", "0", "--repository", str(repository), *arguments)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    """The figures of one showing on this repository."""
    return figures(ROOT)


def test_one_program_over_three_servers_answers_what_direct_calls_answer(shown: dict[str, Any]) -> None:
    answer = shown["answer"]

    assert shown["same_answer"]
    assert answer["meeting_about"] in COMPONENTS
    assert list(answer["urgent_and_commits"]) == COMPONENTS
    assert answer["commits_read"] > 0
    assert answer["waiting_for_us"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", answer["starts"])
    assert all(re.fullmatch(r".+: \d\d:\d\d \w+/\w+", line) for line in answer["for_each"])


def test_the_program_calls_tools_of_all_three_servers_as_often_as_the_direct_way(shown: dict[str, Any]) -> None:
    run = shown["run"]

    assert {name.split("_")[0] for name in run["tools"]} == {"tracker", "repo", "time"}
    assert run["calls"] == run["calls_ok"] == shown["direct_calls"]["calls"] > 20


def test_the_program_uses_only_tools_that_its_search_found(shown: dict[str, Any]) -> None:
    """The cost of finding tools is part of the cost of code mode; none is known from elsewhere."""
    assert [name for name in shown["run"]["tools"] if f"{name}(" not in shown["found"]] == []


def test_code_mode_costs_fewer_tokens_than_direct_calls(shown: dict[str, Any]) -> None:
    """Measured, not promised: definitions, calls and answers are those of this very showing."""
    code, direct = shown["code_mode"], shown["direct_calls"]

    assert (code["tools"], code["turns"], code["calls"]) == (1, 2, 2)
    assert code["definitions"] <= 450
    assert direct["tools"] > 25
    assert code["context"] < direct["context"] / 2
    assert code["billed_input"] < direct["billed_input"] / 2


@pytest.mark.parametrize("commits", [0, 1])
def test_a_history_with_hardly_a_commit_is_enough(tmp_path: Path, commits: int) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    person = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for _ in range(commits):
        message = ["--quiet", "--allow-empty", "--message", "Stop an isolate by its deadline"]
        subprocess.run(["git", *person, "commit", *message], cwd=tmp_path, check=True)

    shown = figures(tmp_path)

    assert shown["same_answer"]
    assert shown["answer"]["commits_read"] == commits
    assert shown["answer"]["urgent_and_commits"]["sandbox"][1] == commits


def test_a_folder_without_a_history_still_shows_the_rest(tmp_path: Path) -> None:
    shown = figures(tmp_path)

    assert shown["same_answer"]
    assert shown["answer"]["commits_read"] == 0
    assert shown["answer"]["waiting_for_us"]


def test_a_piped_showing_is_plain_text_with_the_program_and_lines_to_paste() -> None:
    done = portico("demo", "--once", "--port", "0", "--repository", str(ROOT))

    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "await Promise.all(components.map(async ({ name, lead, keywords }) => {" in done.stdout
    assert "Both ways gave the same answer." in done.stdout
    assert "claude mcp add --transport http portico 'http://127.0.0.1:" in done.stdout
    assert '"mcpServers"' in done.stdout


@contextmanager
def made_to_run() -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """`make run` as a user starts it, in a process group of its own."""
    environ = clean_environ()
    environ.pop("MAKEFLAGS", None)  # of the make that runs these tests
    environ.pop("MAKELEVEL", None)
    with subprocess.Popen(
        ["make", "run"],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        timer = Timer(START_TIMEOUT_S, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            yield process, process.stdout
        finally:
            timer.cancel()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(STOP_TIMEOUT_S)


async def test_make_run_goes_on_serving_until_it_is_interrupted() -> None:
    with made_to_run() as (process, output):
        printed = []
        for line in output:
            printed.append(line)
            if line.startswith("Serving."):
                break
        url = next(line.strip() for line in printed if line.startswith("http://127.0.0.1:"))
        async with Client(url) as client:
            tools = (await client.list_tools()).tools

        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to make and to all that it started

        process.wait(STOP_TIMEOUT_S)  # what make returns depends on who of the two is told first

        assert [tool.name for tool in tools] == ["code"]
        assert "Traceback" not in output.read()

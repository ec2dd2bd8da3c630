"""The parts of the showing that decide what is shown: the job's inputs, and how tokens are counted."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from mcp_types import Tool

from portal._errors import ConfigError
from portal._tokens import count_tokens
from portal.showcase._job import Job
from portal.showcase._ledger import Exchange, bill
from portal.showcase._setup import demo_config

TOOL = Tool(name="get", description="Get it.", input_schema={"type": "object"}, output_schema={"type": "object"})
DEFINITION = '{"name":"get","description":"Get it.","input_schema":{"type":"object"}}'
EXCHANGE = Exchange(tool="get", arguments={"id": 7}, answer="seven")
WRITTEN = count_tokens('{"name":"get","arguments":{"id":7}}')
READ = count_tokens("seven")


def test_a_definition_counts_as_what_model_apis_take() -> None:
    assert bill([TOOL], []).definitions == count_tokens(DEFINITION)


def test_a_call_counts_what_the_model_writes_and_what_it_reads() -> None:
    cost = bill([TOOL], [[EXCHANGE, EXCHANGE], [EXCHANGE]])

    assert (cost.calls, cost.turns, cost.tools) == (3, 2, 1)
    assert (cost.written, cost.read) == (3 * WRITTEN, 3 * READ)
    assert cost.context == count_tokens(DEFINITION) + 3 * (WRITTEN + READ)


def test_every_turn_sends_all_that_came_before_it_again() -> None:
    definition, exchange = count_tokens(DEFINITION), WRITTEN + READ

    cost = bill([TOOL], [[EXCHANGE], [EXCHANGE]])

    assert cost.billed_input == definition + (definition + exchange) + (definition + 2 * exchange)


@pytest.mark.parametrize(
    ("today", "days"),
    [
        (date(2026, 11, 19), ("2026-11-20", "2026-11-23", "2026-11-24", "2026-11-25", "2026-11-26")),
        (date(2026, 11, 22), ("2026-11-23", "2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27")),
    ],
)
def test_the_job_plans_the_five_working_days_after_today(today: date, days: tuple[str, ...]) -> None:
    assert Job.planned(repository=Path("/code"), today=today).days == days


def test_the_program_holds_the_inputs_as_javascript_literals() -> None:
    job = Job.planned(repository=Path('/home/ö/my "code"'), today=date(2026, 11, 22))

    assert 'const repo_path = "/home/ö/my \\"code\\"";' in job.program
    assert 'const days = ["2026-11-23", "2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27"];' in job.program


def test_the_demo_serves_three_servers_on_loopback(tmp_path: Path) -> None:
    config = demo_config(repository=tmp_path, port=0)

    assert [server.id for server in config.servers] == ["tracker", "repo", "time"]
    assert config.is_loopback


def test_git_is_confined_to_a_repository_that_has_a_history(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()

    _, repo, _ = demo_config(repository=tmp_path, port=0).servers

    assert repo.args[-2:] == ("--repository", str(tmp_path))


def test_a_repository_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder: name a Git repository with --repository"):
        demo_config(repository=tmp_path / "missing", port=0)

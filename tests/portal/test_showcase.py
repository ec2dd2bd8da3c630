"""The parts of the showing that decide what is shown: the job's inputs and its servers."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from subprocess import run

import pytest

from portal._errors import ConfigError
from portal.showcase._job import Job
from portal.showcase._setup import demo_config


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


def test_the_demo_serves_three_servers_on_loopback_and_confines_git_to_the_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()

    config = demo_config(repository=tmp_path, port=0)

    assert [server.id for server in config.servers] == ["tracker", "repo", "time"]
    assert config.is_loopback
    assert config.servers[1].args[-2:] == ("--repository", str(tmp_path))


def test_a_bare_repository_is_one(tmp_path: Path) -> None:
    run(["git", "init", "-q", "--bare", str(tmp_path)], check=True)

    assert demo_config(repository=tmp_path, port=0).servers[1].args[-1] == str(tmp_path)


def test_git_is_not_confined_to_a_folder_without_a_history(tmp_path: Path) -> None:
    assert demo_config(repository=tmp_path, port=0).servers[1].args == ("-m", "mcp_server_git")


def test_a_repository_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder: name a Git repository with --repository"):
        demo_config(repository=tmp_path / "missing", port=0)

"""The job that is shown: which question, over which days and which repository, and the programs that answer it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

QUESTION: Final = (
    "Which part of the code has urgent issues and is being worked on? Which reporters wait for an answer, "
    "who has to meet about it, and when are all of them at work and free?"
)
MEETING_MINUTES: Final = 45
COMMITS: Final = 100
_DAYS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The inputs of one showing; both ways of working get the same."""

    repository: Path
    days: tuple[str, ...]

    @classmethod
    def planned(cls, *, repository: Path, today: date) -> Job:
        """Plan for the five working days after ``today``."""
        after = (today + timedelta(days=ahead) for ahead in range(1, 3 * _DAYS))
        days = [day.isoformat() for day in after if day.weekday() < 5]
        return cls(repository=repository, days=tuple(days[:_DAYS]))

    @property
    def program(self) -> str:
        """The program that does the whole job, as a model would send it."""
        repository = json.dumps(str(self.repository), ensure_ascii=False)
        days = json.dumps(self.days)
        return _source("program.js").replace('"<repository>"', repository).replace('["<days>"]', days)

    @property
    def discovery(self) -> str:
        """The program that finds the tools the other one needs."""
        return _source("discovery.js")


def _source(name: str) -> str:
    return (files("portal.showcase") / name).read_text(encoding="utf-8").strip()

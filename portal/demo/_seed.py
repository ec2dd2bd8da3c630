"""Generate the tracker's issues, comments and calendar from a seed and one day."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import TYPE_CHECKING, Final

from portal.demo._phrases import BODIES, FAULTS, LABELS, MEETINGS, QUESTIONS, REPLIES
from portal.demo._records import PRIORITIES
from portal.demo._staff import COMPONENTS, PEOPLE, customers, team_members

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portal.demo._records import Comment, Event, Issue, Person

ISSUE_COUNT: Final = 500
CALENDAR_WEEKS: Final = 3  # the present week and two more: enough to plan in, whichever weekday it is
_SEED: Final = "portico"
_HISTORY_DAYS: Final = 400

_COMPONENT_WEIGHTS: Final = (26, 22, 12, 24, 8, 8)
_PRIORITY_WEIGHTS: Final = (6, 18, 50, 26)

# Standard time, good enough to put meetings into working hours without a time zone database.
_UTC_OFFSET_H: Final[dict[str, float]] = {
    "Africa/Accra": 0,
    "Africa/Lagos": 1,
    "America/Bogota": -5,
    "America/New_York": -5,
    "America/Sao_Paulo": -3,
    "America/Toronto": -5,
    "Asia/Kolkata": 5.5,
    "Asia/Tokyo": 9,
    "Australia/Perth": 8,
    "Europe/Istanbul": 3,
    "Europe/Kyiv": 2,
    "Europe/Lisbon": 0,
}
_DEFAULT_UTC_OFFSET_H: Final = 1  # central Europe


def monday_of(day: date) -> date:
    """Return the Monday of ``day``'s week, on which all generated times hang."""
    return day - timedelta(days=day.weekday())


def generate_issues(today: date) -> tuple[list[Issue], dict[int, list[Comment]]]:
    """Make the issues, oldest first, and the comments of each by issue number."""
    start = _midnight(monday_of(today)) - timedelta(days=_HISTORY_DAYS)
    step = timedelta(days=_HISTORY_DAYS) / ISSUE_COUNT
    ids = count(1)
    issues: list[Issue] = []
    comments: dict[int, list[Comment]] = {}
    for number in range(1, ISSUE_COUNT + 1):
        issue, thread = _issue(number, start + step * (number - 1), start + step * ISSUE_COUNT, ids)
        issues.append(issue)
        comments[number] = thread
    return issues, comments


def _issue(number: int, opened: datetime, end: datetime, ids: Iterator[int]) -> tuple[Issue, list[Comment]]:
    # One generator an issue: adding a field to one never shifts the others. Not for security.
    chance = random.Random(f"{_SEED}/issue/{number}")  # noqa: S311
    component = chance.choices(COMPONENTS, _COMPONENT_WEIGHTS)[0]["name"]
    faults, places = FAULTS[component]
    created = opened + timedelta(minutes=chance.randrange(0, 600))
    reporter = chance.choice(customers() if chance.random() < 0.7 else team_members(component))
    assignee = chance.choice(team_members(component))
    closed = chance.random() < 0.85 - 0.45 * (number / ISSUE_COUNT)  # the older, the likelier it is done
    thread = _thread(chance, number, (reporter, assignee), (created, end), ids)
    updated = thread[-1]["created_at"] if thread else _iso(created)
    labels = sorted(chance.sample(LABELS, k=chance.choices((0, 1, 2, 3), (2, 5, 3, 1))[0]))
    issue: Issue = {
        "number": number,
        "title": f"{chance.choice(faults)} {chance.choice(places)}",
        "state": "closed" if closed else "open",
        "priority": chance.choices(PRIORITIES, _PRIORITY_WEIGHTS)[0],
        "component": component,
        "labels": labels,
        "reporter": reporter,
        "assignee": assignee if closed or chance.random() < 0.85 else None,
        "created_at": _iso(created),
        "updated_at": updated,
        "comments": len(thread),
        "body": " ".join(chance.sample(BODIES, k=2)),
        "locked": closed and chance.random() < 0.05,
        "closed_at": updated if closed else None,
    }
    return issue, thread


def _thread(
    chance: random.Random, number: int, voices: tuple[str, str], span: tuple[datetime, datetime], ids: Iterator[int]
) -> list[Comment]:
    reporter, assignee = voices
    at, end = span
    thread: list[Comment] = []
    for _ in range(chance.choices((0, 1, 2, 3, 5), (2, 4, 4, 3, 1))[0]):
        at += timedelta(hours=chance.randrange(2, 90), minutes=chance.randrange(0, 60))
        if at >= end:
            break
        asks = chance.random() < 0.55
        author, lines = (reporter, QUESTIONS) if asks else (assignee, REPLIES)
        comment: Comment = {
            "id": next(ids),
            "issue": number,
            "author": author,
            "body": chance.choice(lines),
            "created_at": _iso(at),
        }
        thread.append(comment)
    return thread


def generate_events(today: date) -> list[Event]:
    """Make the calendar of the present week and the two after it, in order of start."""
    monday = monday_of(today)
    events: list[Event] = []
    for week in range(CALENDAR_WEEKS):
        for weekday in range(5):
            day = monday + timedelta(days=week * 7 + weekday)
            for person in PEOPLE:
                if person["active"] and person["role"] != "customer":
                    events.extend(_meetings(person, day, (week, weekday)))
    events.sort(key=lambda event: (event["start"], event["attendees"]))
    for number, event in enumerate(events, start=1):
        event["id"] = number
    return events


def _meetings(person: Person, day: date, place: tuple[int, int]) -> Iterator[Event]:
    chance = random.Random(f"{_SEED}/calendar/{person['login']}/{place}")  # noqa: S311 - demo data
    hours = person["working_hours"]
    offset = timedelta(hours=_UTC_OFFSET_H.get(person["timezone"], _DEFAULT_UTC_OFFSET_H))
    at = datetime.combine(day, time.fromisoformat(hours["start"]), tzinfo=UTC) - offset
    end = datetime.combine(day, time.fromisoformat(hours["end"]), tzinfo=UTC) - offset
    while True:
        at += timedelta(minutes=30 * chance.randrange(1, 6))
        length = timedelta(minutes=chance.choice((30, 30, 60, 90)))
        if at + length > end:
            return
        yield {
            "id": 0,  # numbered when all are known and sorted
            "title": chance.choice(MEETINGS),
            "start": _iso(at),
            "end": _iso(at + length),
            "attendees": [person["login"]],
        }
        at += length


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

"""The same job by direct tool calls: every call that a model would make, really made through the portal in list mode.

This is the program's twin. What the program works out in the isolate is worked out here, in the place of the model that
would read every answer and do it in its head; only the calls and their texts are counted.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from portal.showcase._caller import CallFailed, text_of
from portal.showcase._job import COMMITS, MEETING_MINUTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal.showcase._caller import Caller
    from portal.showcase._job import Job
    from typegen import JsonObject

_DAY_MINUTES: Final = 24 * 60
_STEP_MINUTES: Final = 15
_HISTORY: Final = "repo_git_log"

# What a tool answered, parsed: its shape is the far server's, known here by reading its schema as a model does.
_Answer = dict[str, Any]
_Call = tuple[str, "JsonObject"]


async def work_directly(job: Job, caller: Caller) -> JsonObject:
    """Do ``job`` by direct calls in as few turns as possible and return what the program returns."""
    components, log = await _ask(
        caller,
        ("tracker_list_components", {}),
        (_HISTORY, {"repo_path": str(job.repository), "max_count": COMMITS}),
    )
    subjects = re.findall(r"^Message: (.*)$", str(log["text"]), re.MULTILINE)
    parts = await _parts(caller, components["components"], subjects)
    focus = max(parts, key=lambda part: part["urgent"] * (1 + part["commits"]))
    waiting = await _waiting(caller, focus["issues"])
    logins = list(dict.fromkeys([focus["lead"], *(issue["assignee"] for issue in waiting if issue["assignee"])]))
    people = await _people(caller, logins, job.days)
    slot = _first_slot(people, job.days)
    return {
        "meeting_about": focus["name"],
        "commits_read": len(subjects),
        "urgent_and_commits": {part["name"]: [part["urgent"], part["commits"]] for part in parts},
        "waiting_for_us": [f"#{issue['number']} {issue['title']} ({issue['reporter']})" for issue in waiting],
        "starts": f"{slot[0]}T{_clock(slot[1])}Z" if slot else None,
        "for_each": [
            f"{person['name']}: {_clock(_local(person, slot[1])) if slot else 'no common time'} {person['timezone']}"
            for person in people
        ],
    }


async def _parts(caller: Caller, components: list[_Answer], subjects: list[str]) -> list[_Answer]:
    searches: list[_Call] = [
        (
            "tracker_search_issues",
            {"component": part["name"], "state": "open", "priority": ["urgent", "high"], "sort": "priority"},
        )
        for part in components
    ]
    found = await _ask(caller, *searches)
    parts = []
    for part, page in zip(components, found, strict=True):
        words = re.compile(rf"\b({'|'.join(part['keywords'])})\b", re.IGNORECASE | re.ASCII)
        commits = sum(words.search(subject) is not None for subject in subjects)
        parts.append({**part, "issues": page["issues"], "urgent": page["total"], "commits": commits})
    return parts


async def _waiting(caller: Caller, issues: list[_Answer]) -> list[_Answer]:
    reads: list[_Call] = [("tracker_list_comments", {"number": issue["number"]}) for issue in issues]
    threads = await _ask(caller, *reads)
    return [
        issue
        for issue, thread in zip(issues, threads, strict=True)
        if (thread["comments"][-1]["author"] if thread["comments"] else issue["reporter"]) == issue["reporter"]
    ]


async def _people(caller: Caller, logins: list[str], days: Sequence[str]) -> list[_Answer]:
    reads: list[_Call] = [("tracker_get_person", {"login": login}) for login in logins]
    people = await _ask(caller, *reads)
    span = {"start": f"{days[0]}T00:00Z", "end": f"{days[-1]}T23:59Z"}
    events: list[_Call] = [("tracker_list_events", {"attendee": login, **span}) for login in logins]
    zones: list[_Call] = [
        ("time_convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": person["timezone"]})
        for person in people
    ]
    answers = await _ask(caller, *events, *zones)
    calendars, clocks = answers[: len(logins)], answers[len(logins) :]
    return [
        {**person, "events": calendar["events"], "ahead": round(float(clock["time_difference"].rstrip("h")) * 60)}
        for person, calendar, clock in zip(people, calendars, clocks, strict=True)
    ]


def _first_slot(people: list[_Answer], days: Sequence[str]) -> tuple[str, int] | None:
    starts = range(0, _DAY_MINUTES - MEETING_MINUTES, _STEP_MINUTES)
    slots = ((day, at) for day in days for at in starts)
    return next((slot for slot in slots if all(_can_come(person, *slot) for person in people)), None)


def _can_come(person: _Answer, day: str, at: int) -> bool:
    local = _local(person, at)
    hours = person["working_hours"]
    start, end = f"{day}T{_clock(at)}:00Z", f"{day}T{_clock(at + MEETING_MINUTES)}:00Z"
    return (
        _minutes(hours["start"]) <= local
        and local + MEETING_MINUTES <= _minutes(hours["end"])
        and not any(event["start"] < end and event["end"] > start for event in person["events"])
    )


def _local(person: _Answer, at: int) -> int:
    return (at + int(person["ahead"])) % _DAY_MINUTES


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def _clock(at: int) -> str:
    hours, minutes = divmod(at % _DAY_MINUTES, 60)
    return f"{hours:02}:{minutes:02}"


async def _ask(caller: Caller, *calls: _Call) -> list[_Answer]:
    """Make ``calls`` in one turn; an answer that is not JSON is ``{"text": ...}``. Raises ``CallFailed``."""
    answers = []
    for (tool, _), result in zip(calls, await caller.batch(calls), strict=True):
        text = text_of(result)
        if result.is_error and tool != _HISTORY:  # a repository without a commit is an error to git, and no history
            raise CallFailed(tool, text)
        answers.append(json.loads(text) if text.lstrip().startswith("{") else {"text": text})
    return answers

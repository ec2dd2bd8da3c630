"""What the tracker answers: reads only, each a function of the tracker and the arguments of its tool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

from portal.demo._errors import unprocessable
from portal.demo._records import PRIORITIES
from portal.demo._tracker import iso, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from portal.demo._records import (
        Comment,
        Component,
        Event,
        Issue,
        IssueSummary,
        Person,
        Priority,
        Sort,
        State,
    )
    from portal.demo._tracker import Tracker

PER_PAGE: Final = 30
MAX_PER_PAGE: Final = 100
MAX_EVENTS: Final = 500


class People(TypedDict):
    """The answer of list_people."""

    people: list[Person]


class Components(TypedDict):
    """The answer of list_components."""

    components: list[Component]


class IssuePage(TypedDict):
    """One page of search_issues."""

    total: int
    page: int
    next_page: int | None
    issues: list[IssueSummary]


class Comments(TypedDict):
    """The answer of list_comments."""

    issue: int
    comments: list[Comment]


class Events(TypedDict):
    """The answer of list_events."""

    events: list[Event]


def list_people(tracker: Tracker, *, team: str | None = None, include_inactive: bool = False) -> People:
    """List people, by default those who are active."""
    people = tracker.people.values()
    chosen = [p for p in people if (team is None or p["team"] == team) and (p["active"] or include_inactive)]
    if team is not None and not chosen:
        raise unprocessable(f"no team {team!r}; there are {', '.join(sorted({p['team'] for p in people}))}")
    return {"people": chosen}


def get_person(tracker: Tracker, *, login: str) -> Person:
    """Return one person."""
    return tracker.person(login)


def list_components(tracker: Tracker) -> Components:
    """List the components."""
    return {"components": list(tracker.components.values())}


def search_issues(
    tracker: Tracker,
    *,
    query: str = "",
    state: State | None = None,
    priority: Sequence[Priority] = PRIORITIES,
    component: str | None = None,
    label: str | None = None,
    assignee: str | None = None,
    reporter: str | None = None,
    sort: Sort = "newest",
    page: int = 1,
    per_page: int = PER_PAGE,
) -> IssuePage:
    """Return one page of the issues that match everything asked for."""
    if component is not None:
        tracker.component(component)
    for login in (assignee, reporter):
        if login is not None:
            tracker.person(login)
    words = query.lower().split()
    wanted = {"state": state, "component": component, "assignee": assignee, "reporter": reporter}
    exact = {field: value for field, value in wanted.items() if value is not None}
    found = [
        issue
        for issue in tracker.issues.values()
        if issue["priority"] in priority
        and all(issue.get(field) == value for field, value in exact.items())
        and (label is None or label in issue["labels"])
        and all(word in f"{issue['title']} {issue['body']}".lower() for word in words)
    ]
    found.sort(key=_SORT_KEYS[sort])
    first, after = (page - 1) * per_page, page * per_page
    return {
        "total": len(found),
        "page": page,
        "next_page": page + 1 if after < len(found) else None,
        "issues": [summary_of(issue) for issue in found[first:after]],
    }


_SORT_KEYS: Final[dict[Sort, Callable[[Issue], tuple[object, ...]]]] = {
    "newest": lambda issue: (-issue["number"],),
    "oldest": lambda issue: (issue["number"],),
    "updated": lambda issue: (_newest_first(issue["updated_at"]), issue["number"]),
    "priority": lambda issue: (PRIORITIES.index(issue["priority"]), issue["number"]),
}


def _newest_first(moment: str) -> float:
    return -parse_time(moment, "updated_at").timestamp()


def summary_of(issue: Issue) -> IssueSummary:
    """Leave out of an issue what a list does not show."""
    return {
        "number": issue["number"],
        "title": issue["title"],
        "state": issue["state"],
        "priority": issue["priority"],
        "component": issue["component"],
        "labels": issue["labels"],
        "reporter": issue["reporter"],
        "assignee": issue["assignee"],
        "created_at": issue["created_at"],
        "updated_at": issue["updated_at"],
        "comments": issue["comments"],
    }


def get_issue(tracker: Tracker, *, number: int) -> Issue:
    """Return one issue with its text."""
    return tracker.issue(number)


def list_comments(tracker: Tracker, *, number: int) -> Comments:
    """Return the comments of an issue, oldest first."""
    return {"issue": number, "comments": tracker.comments_of(number)}


def list_events(tracker: Tracker, *, start: str, end: str, attendee: str | None = None) -> Events:
    """Return the calendar entries that overlap the span, in order of start."""
    since, until = iso(parse_time(start, "start")), iso(parse_time(end, "end"))
    if since >= until:
        raise unprocessable(f"start {start!r} is not before end {end!r}")
    if attendee is not None:
        tracker.person(attendee)
    events = [
        event
        for event in tracker.events.values()
        if event["start"] < until and event["end"] > since and (attendee is None or attendee in event["attendees"])
    ]
    if len(events) > MAX_EVENTS:
        raise unprocessable(f"{len(events)} events match, more than {MAX_EVENTS}; ask for fewer days or one attendee")
    return {"events": sorted(events, key=lambda event: (event["start"], event["id"]))}

"""The records of the tracker, as they cross the wire: each is a JSON object and nothing more."""

from __future__ import annotations

from typing import Final, Literal, TypedDict

State = Literal["open", "closed"]
Priority = Literal["urgent", "high", "normal", "low"]
Sort = Literal["newest", "oldest", "updated", "priority"]

PRIORITIES: Final[tuple[Priority, ...]] = ("urgent", "high", "normal", "low")
SORTS: Final[tuple[Sort, ...]] = ("newest", "oldest", "updated", "priority")


class WorkingHours(TypedDict):
    """The hours of a person's working day, ``HH:MM`` in the person's own time zone."""

    start: str
    end: str


class Person(TypedDict):
    """Somebody who reports, answers or once answered issues."""

    login: str
    name: str
    role: str
    team: str
    timezone: str
    working_hours: WorkingHours
    active: bool


class Component(TypedDict):
    """A part of the product, the words that commits use for it, and who answers for it."""

    name: str
    description: str
    lead: str
    keywords: list[str]


class IssueSummary(TypedDict):
    """An issue as a search lists it."""

    number: int
    title: str
    state: State
    priority: Priority
    component: str
    labels: list[str]
    reporter: str
    assignee: str | None
    created_at: str
    updated_at: str
    comments: int


class Issue(IssueSummary):
    """An issue with everything that is known about it."""

    body: str
    locked: bool
    closed_at: str | None


class Comment(TypedDict):
    """One comment on one issue."""

    id: int
    issue: int
    author: str
    body: str
    created_at: str


class Event(TypedDict):
    """A calendar entry; times are UTC."""

    id: int
    title: str
    start: str
    end: str
    attendees: list[str]

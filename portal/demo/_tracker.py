"""One tracker: its records in memory, and the look-ups that reading and changing share."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING

from portal.demo._errors import not_found, unprocessable
from portal.demo._seed import generate_events, generate_issues
from portal.demo._staff import COMPONENTS, PEOPLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from portal.demo._records import Comment, Component, Event, Issue, Person


class Tracker:
    """The state of one demo server; two never share any.

    Not safe for threads: the server's handlers run on one event loop and never wait inside a change.
    """

    def __init__(self, *, today: date, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        issues, self.comments = generate_issues(today)
        self.issues: dict[int, Issue] = {issue["number"]: issue for issue in issues}
        self.events: dict[int, Event] = {event["id"]: event for event in generate_events(today)}
        self.people: dict[str, Person] = {person["login"]: person for person in PEOPLE}
        self.components: dict[str, Component] = {component["name"]: component for component in COMPONENTS}
        self.last_issue_number = max(self.issues)  # counts on when the newest is deleted: no number is used twice
        self.last_comment_id = max(comment["id"] for comment in chain.from_iterable(self.comments.values()))
        self.last_event_id = max(self.events)
        self._now = now

    def timestamp(self) -> str:
        """Return the present time as the tracker writes it."""
        return iso(self._now())

    def issue(self, number: int) -> Issue:
        """Find an issue, or raise the error that a client sees."""
        try:
            return self.issues[number]
        except KeyError:
            raise not_found(f"issue {number} does not exist; the newest is {self.last_issue_number}") from None

    def person(self, login: str) -> Person:
        """Find a person, or raise the error that a client sees."""
        try:
            return self.people[login]
        except KeyError:
            raise not_found(f"nobody has the login {login!r}; list_people lists everybody") from None

    def component(self, name: str) -> Component:
        """Find a component, or raise the error that a client sees."""
        try:
            return self.components[name]
        except KeyError:
            raise not_found(f"no component {name!r}; there are {', '.join(self.components)}") from None

    def event(self, event_id: int) -> Event:
        """Find a calendar entry, or raise the error that a client sees."""
        try:
            return self.events[event_id]
        except KeyError:
            raise not_found(f"event {event_id} does not exist or was cancelled") from None

    def comments_of(self, number: int) -> list[Comment]:
        """Return the comments of an existing issue, oldest first."""
        return self.comments[self.issue(number)["number"]]


def iso(moment: datetime) -> str:
    """Write a time as the tracker does: UTC, whole seconds, ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str, name: str) -> datetime:
    """Read a client's time; a date alone is its midnight, a time without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise unprocessable(
            f"{name} is {text!r}; write a time as 2026-11-23T14:00:00Z or a date as 2026-11-23"
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

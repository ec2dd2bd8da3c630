"""What changes the tracker: each function checks everything first and then changes it whole, or raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from portal.demo._errors import conflict, forbidden, unprocessable
from portal.demo._tracker import iso, parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal.demo._records import Comment, Event, Issue, Priority, State
    from portal.demo._tracker import Tracker


class DeletedIssue(TypedDict):
    """The answer of delete_issue."""

    deleted: int
    comments_deleted: int


class CancelledEvent(TypedDict):
    """The answer of cancel_event."""

    cancelled: int


def create_issue(
    tracker: Tracker,
    *,
    title: str,
    component: str,
    reporter: str,
    body: str = "",
    priority: Priority = "normal",
    labels: Sequence[str] = (),
    assignee: str | None = None,
) -> Issue:
    """Open an issue and return it."""
    tracker.component(component)
    tracker.person(reporter)
    if assignee is not None:
        _check_assignable(tracker, assignee)
    tracker.last_issue_number += 1
    number = tracker.last_issue_number
    now = tracker.timestamp()
    issue: Issue = {
        "number": number,
        "title": title,
        "state": "open",
        "priority": priority,
        "component": component,
        "labels": sorted(set(labels)),
        "reporter": reporter,
        "assignee": assignee,
        "created_at": now,
        "updated_at": now,
        "comments": 0,
        "body": body,
        "locked": False,
        "closed_at": None,
    }
    tracker.issues[number] = issue
    tracker.comments[number] = []
    return issue


def update_issue(
    tracker: Tracker,
    *,
    number: int,
    title: str | None = None,
    state: State | None = None,
    priority: Priority | None = None,
    labels: Sequence[str] | None = None,
    assignee: str | None = None,
) -> Issue:
    """Change the fields that are given and return the issue."""
    issue = tracker.issue(number)
    if issue["locked"]:
        raise forbidden(f"issue {number} is locked; only its comments can still be read")
    if assignee is not None:
        _check_assignable(tracker, assignee)
    if state is not None and state == issue["state"]:
        raise conflict(f"issue {number} is already {state}")
    changed = issue.copy()
    if title is not None:
        changed["title"] = title
    if priority is not None:
        changed["priority"] = priority
    if labels is not None:
        changed["labels"] = sorted(set(labels))
    if assignee is not None:
        changed["assignee"] = assignee
    if changed == issue and state is None:
        raise unprocessable("nothing to change; give at least one of title, state, priority, labels, assignee")
    changed["updated_at"] = tracker.timestamp()
    if state is not None:
        changed["state"] = state
        changed["closed_at"] = changed["updated_at"] if state == "closed" else None
    tracker.issues[number] = changed
    return changed


def add_comment(tracker: Tracker, *, number: int, author: str, body: str) -> Comment:
    """Add a comment to an issue and return it."""
    issue = tracker.issue(number)
    tracker.person(author)
    if issue["locked"]:
        raise forbidden(f"issue {number} is locked and takes no more comments")
    tracker.last_comment_id += 1
    now = tracker.timestamp()
    comment: Comment = {
        "id": tracker.last_comment_id,
        "issue": number,
        "author": author,
        "body": body,
        "created_at": now,
    }
    thread = [*tracker.comments[number], comment]
    tracker.comments[number] = thread
    tracker.issues[number] = {**issue, "updated_at": now, "comments": len(thread)}
    return comment


def delete_issue(tracker: Tracker, *, number: int) -> DeletedIssue:
    """Remove an issue and its comments for good."""
    tracker.issue(number)
    del tracker.issues[number]
    return {"deleted": number, "comments_deleted": len(tracker.comments.pop(number))}


def create_event(tracker: Tracker, *, title: str, start: str, end: str, attendees: Sequence[str]) -> Event:
    """Put a meeting into the calendar of everybody named, if all of them are free."""
    since, until = iso(parse_time(start, "start")), iso(parse_time(end, "end"))
    if since >= until:
        raise unprocessable(f"start {start!r} is not before end {end!r}")
    people = sorted(set(attendees))
    for login in people:
        tracker.person(login)
    for other in tracker.events.values():
        busy = sorted(set(people) & set(other["attendees"]))
        if busy and other["start"] < until and other["end"] > since:
            raise conflict(f"{', '.join(busy)} has {other['title']!r} from {other['start']} to {other['end']}")
    tracker.last_event_id += 1
    event: Event = {
        "id": tracker.last_event_id,
        "title": title,
        "start": since,
        "end": until,
        "attendees": people,
    }
    tracker.events[event["id"]] = event
    return event


def cancel_event(tracker: Tracker, *, event_id: int) -> CancelledEvent:
    """Take a meeting out of every calendar."""
    tracker.event(event_id)
    del tracker.events[event_id]
    return {"cancelled": event_id}


def _check_assignable(tracker: Tracker, login: str) -> None:
    person = tracker.person(login)
    if not person["active"]:
        raise unprocessable(f"{login} is no longer active; assign somebody of team {person['team']}")

"""The table of the tracker's tools: what each is called, says of itself, takes, returns and runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portal.demo import _changes as changes
from portal.demo import _queries as queries
from portal.demo import _schemas as s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typegen import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerTool:
    """One row of the table.

    ``answer`` is called with the tracker and the arguments by keyword, once they are valid by ``takes``; it returns an
    object as ``returns`` says, or raises ``TrackerError``.
    """

    name: str
    title: str
    description: str
    takes: JsonObject
    returns: JsonObject
    answer: Callable[..., Mapping[str, object]]
    is_read_only: bool = False
    is_destructive: bool = False
    is_idempotent: bool = False


_NUMBER: Final = s.whole("Issue number", minimum=1)
_START: Final = s.text("ISO 8601 time or date, UTC unless it says otherwise")
_END: Final = s.text("As start; must be later")

_READS: Final = (
    TrackerTool(
        name="list_people",
        title="List people",
        description="List the people of a team, or everybody, with time zone and working hours.",
        takes=s.arguments(
            team=s.text("A component's name, or a customer's company"),
            include_inactive=s.flag("Also list people who left", default=False),
        ),
        returns=s.record(people=s.listing(s.PERSON)),
        answer=queries.list_people,
        is_read_only=True,
    ),
    TrackerTool(
        name="get_person",
        title="Get a person",
        description="Get one person by login.",
        takes=s.arguments("login", login=s.LOGIN),
        returns=s.PERSON,
        answer=queries.get_person,
        is_read_only=True,
    ),
    TrackerTool(
        name="list_components",
        title="List components",
        description="List the parts of the product, who leads each, and the words that commit messages use for it.",
        takes=s.arguments(),
        returns=s.record(components=s.listing(s.COMPONENT_RECORD)),
        answer=queries.list_components,
        is_read_only=True,
    ),
    TrackerTool(
        name="search_issues",
        title="Search issues",
        description="Find issues by words and fields; everything given must match. Answers one page and the total.",
        takes=s.arguments(
            query=s.text("Words that title or text must contain", default=""),
            state=s.STATE,
            priority=s.listing(s.PRIORITY, "Any of these", minItems=1),
            component=s.text("Name of a component"),
            label=s.text("One label"),
            assignee=s.LOGIN,
            reporter=s.LOGIN,
            sort=s.SORT,
            page=s.whole("Page, from 1", minimum=1, default=1),
            per_page=s.whole("Issues a page", minimum=1, maximum=queries.MAX_PER_PAGE, default=queries.PER_PAGE),
        ),
        returns=s.record(
            total=s.whole("How many match on all pages"),
            page=s.whole(),
            next_page=s.or_null(s.whole()),
            issues=s.listing(s.ISSUE_SUMMARY),
        ),
        answer=queries.search_issues,
        is_read_only=True,
    ),
    TrackerTool(
        name="get_issue",
        title="Get an issue",
        description="Get one issue with its text.",
        takes=s.arguments("number", number=_NUMBER),
        returns=s.ISSUE,
        answer=queries.get_issue,
        is_read_only=True,
    ),
    TrackerTool(
        name="list_comments",
        title="List comments",
        description="List the comments of an issue, oldest first.",
        takes=s.arguments("number", number=_NUMBER),
        returns=s.record(issue=s.whole(), comments=s.listing(s.COMMENT)),
        answer=queries.list_comments,
        is_read_only=True,
    ),
    TrackerTool(
        name="list_events",
        title="List calendar events",
        description="List the meetings that overlap a span of time, of one person or of everybody.",
        takes=s.arguments("start", "end", start=_START, end=_END, attendee=s.LOGIN),
        returns=s.record(events=s.listing(s.EVENT)),
        answer=queries.list_events,
        is_read_only=True,
    ),
)

_CHANGES: Final = (
    TrackerTool(
        name="create_issue",
        title="Create an issue",
        description="Open an issue.",
        takes=s.arguments(
            "title",
            "component",
            "reporter",
            title=s.text("One line", minLength=1, maxLength=200),
            component=s.text("Name of a component"),
            reporter=s.LOGIN,
            body=s.text("Text of the report", default=""),
            priority={**s.PRIORITY, "default": "normal"},
            labels=s.listing(s.LABEL, "Labels to set", uniqueItems=True),
            assignee=s.LOGIN,
        ),
        returns=s.ISSUE,
        answer=changes.create_issue,
    ),
    TrackerTool(
        name="update_issue",
        title="Update an issue",
        description="Change the given fields of an issue; close or reopen it with state.",
        takes=s.arguments(
            "number",
            number=_NUMBER,
            title=s.text("One line", minLength=1, maxLength=200),
            state=s.STATE,
            priority=s.PRIORITY,
            labels=s.listing(s.LABEL, "All labels it shall have", uniqueItems=True),
            assignee=s.LOGIN,
        ),
        returns=s.ISSUE,
        answer=changes.update_issue,
    ),
    TrackerTool(
        name="add_comment",
        title="Add a comment",
        description="Add a comment to an issue.",
        takes=s.arguments("number", "author", "body", number=_NUMBER, author=s.LOGIN, body=s.text("Text", minLength=1)),
        returns=s.COMMENT,
        answer=changes.add_comment,
    ),
    TrackerTool(
        name="delete_issue",
        title="Delete an issue",
        description="Remove an issue and its comments for good. To finish one, close it with update_issue.",
        takes=s.arguments("number", number=_NUMBER),
        returns=s.record(deleted=s.whole(), comments_deleted=s.whole()),
        answer=changes.delete_issue,
        is_destructive=True,
        is_idempotent=True,
    ),
    TrackerTool(
        name="create_event",
        title="Create a calendar event",
        description="Put a meeting into the calendar of everybody named; fails if somebody is busy.",
        takes=s.arguments(
            "title",
            "start",
            "end",
            "attendees",
            title=s.text("One line", minLength=1, maxLength=200),
            start=_START,
            end=_END,
            attendees=s.listing(s.LOGIN, "Logins", minItems=1, uniqueItems=True),
        ),
        returns=s.EVENT,
        answer=changes.create_event,
    ),
    TrackerTool(
        name="cancel_event",
        title="Cancel a calendar event",
        description="Take a meeting out of every calendar.",
        takes=s.arguments("event_id", event_id=s.whole("Id of the event", minimum=1)),
        returns=s.record(cancelled=s.whole()),
        answer=changes.cancel_event,
        is_destructive=True,
        is_idempotent=True,
    ),
)

TOOLS: Final[tuple[TrackerTool, ...]] = _READS + _CHANGES

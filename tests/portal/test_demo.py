"""The demo upstream, asked as every upstream is: by an MCP client."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from mcp import Client, MCPError

from portal.demo import build_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FRIDAY = date(2026, 11, 20)


class Tracker:
    """A client of one tracker; answers as Python values, failures as their text."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def ask(self, tool: str, **arguments: object) -> dict[str, Any]:
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        return dict(result.structured_content or {})

    async def refusal(self, tool: str, **arguments: object) -> str:
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error
        return str(getattr(result.content[0], "text", ""))


@asynccontextmanager
async def connected(today: date = FRIDAY) -> AsyncIterator[Tracker]:
    async with Client(build_server(today=today)) as client:
        yield Tracker(client)


@pytest.fixture
async def tracker() -> AsyncIterator[Tracker]:
    async with connected() as tracker:
        yield tracker


async def test_every_tool_says_what_it_takes_and_returns_and_whether_it_changes_anything(tracker: Tracker) -> None:
    tools = (await tracker.client.list_tools()).tools

    assert len(tools) == 13
    assert all(tool.description and tool.output_schema and tool.annotations for tool in tools)
    assert {tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint} == {
        "list_people",
        "get_person",
        "list_components",
        "search_issues",
        "get_issue",
        "list_comments",
        "list_events",
    }
    assert {tool.name for tool in tools if tool.annotations and tool.annotations.destructive_hint} == {
        "delete_issue",
        "cancel_event",
    }


async def test_every_answer_is_as_its_output_schema_says(tracker: Tracker) -> None:
    asked: dict[str, dict[str, object]] = {
        "list_people": {"include_inactive": True},
        "get_person": {"login": "ines"},
        "list_components": {},
        "search_issues": {"per_page": 100},
        "get_issue": {"number": 500},
        "list_comments": {"number": 433},
        "list_events": {"start": "2026-11-23", "end": "2026-11-25"},
        "create_issue": {"title": "New", "component": "docs", "reporter": "maria", "labels": ["bug"]},
        "update_issue": {"number": 501, "state": "closed"},
        "add_comment": {"number": 501, "author": "priya", "body": "Done."},
        "delete_issue": {"number": 501},
        "create_event": {"title": "Talk", "start": "2026-11-28T09:00", "end": "2026-11-28T10:00", "attendees": ["mei"]},
        "cancel_event": {"event_id": 1},
    }
    schemas = {tool.name: tool.output_schema or False for tool in (await tracker.client.list_tools()).tools}

    answers = {tool: await tracker.ask(tool, **arguments) for tool, arguments in asked.items()}

    assert answers.keys() == schemas.keys()
    assert [tool for tool, answer in answers.items() if not jsonschema_rs.is_valid(schemas[tool], answer)] == []


async def test_there_are_five_hundred_issues_and_pages_list_each_once(tracker: Tracker) -> None:
    numbers: list[int] = []
    page: int | None = 1
    while page is not None:
        answer = await tracker.ask("search_issues", per_page=100, page=page)
        numbers += [issue["number"] for issue in answer["issues"]]
        page = answer["next_page"]

    assert sorted(numbers) == list(range(1, 501))


async def test_two_trackers_of_one_day_are_equal_and_share_nothing(tracker: Tracker) -> None:
    await tracker.ask("delete_issue", number=500)

    async with connected() as other:
        mine, theirs = [await one.ask("search_issues", sort="oldest", per_page=100) for one in (tracker, other)]

    assert mine["issues"] == theirs["issues"]
    assert (mine["total"], theirs["total"]) == (499, 500)


async def test_all_days_of_a_week_see_the_same_issues(tracker: Tracker) -> None:
    async with connected(date(2026, 11, 16)) as monday:
        earlier = await monday.ask("search_issues", per_page=100)

    assert await tracker.ask("search_issues", per_page=100) == earlier


async def test_a_search_answers_what_matches_everything_asked_for(tracker: Tracker) -> None:
    found = await tracker.ask(
        "search_issues", query="stack TRAP", component="sandbox", state="open", priority=["urgent", "high"]
    )

    assert found["total"] >= 1
    assert all(
        "Stack overflow is reported as a trap" in issue["title"]
        and issue["component"] == "sandbox"
        and issue["state"] == "open"
        and issue["priority"] in {"urgent", "high"}
        for issue in found["issues"]
    )


async def test_issues_sort_by_priority_with_the_oldest_first_among_equals(tracker: Tracker) -> None:
    found = await tracker.ask("search_issues", sort="priority", per_page=100)

    order = ["urgent", "high", "normal", "low"]
    keys = [(order.index(issue["priority"]), issue["number"]) for issue in found["issues"]]
    assert keys == sorted(keys)


async def test_the_comment_count_of_an_issue_is_the_number_of_its_comments(tracker: Tracker) -> None:
    issues = (await tracker.ask("search_issues", per_page=100))["issues"]

    threads = [await tracker.ask("list_comments", number=issue["number"]) for issue in issues]

    assert [len(thread["comments"]) for thread in threads] == [issue["comments"] for issue in issues]
    assert any(thread["comments"] for thread in threads)


async def test_the_calendar_of_one_person_shows_no_overlap(tracker: Tracker) -> None:
    events = (await tracker.ask("list_events", start="2026-11-16", end="2026-12-05", attendee="jonas"))["events"]

    assert len(events) > 15
    assert all(one["end"] <= other["start"] for one, other in pairwise(events))


async def test_a_change_is_seen_by_the_next_read(tracker: Tracker) -> None:
    created = await tracker.ask("create_issue", title="Answer is late", component="engine", reporter="ben")
    await tracker.ask("add_comment", number=created["number"], author="tomas", body="Looking.")
    await tracker.ask("update_issue", number=created["number"], state="closed", labels=["bug"])

    issue = await tracker.ask("get_issue", number=created["number"])

    assert (issue["number"], issue["state"], issue["comments"], issue["labels"]) == (501, "closed", 1, ["bug"])
    assert issue["closed_at"] == issue["updated_at"]


async def test_a_meeting_is_refused_when_somebody_is_busy(tracker: Tracker) -> None:
    meeting = {"title": "Talk", "start": "2026-11-28T09:00:00Z", "end": "2026-11-28T10:00:00Z", "attendees": ["mei"]}
    await tracker.ask("create_event", **meeting)

    refusal = await tracker.refusal("create_event", **meeting)

    assert refusal == "409 Conflict: mei has 'Talk' from 2026-11-28T09:00:00Z to 2026-11-28T10:00:00Z"


@pytest.mark.parametrize(
    ("tool", "arguments", "text"),
    [
        ("get_issue", {"number": 9999}, "404 Not Found: issue 9999 does not exist; the newest is 500"),
        ("get_person", {"login": "zoe"}, "404 Not Found: nobody has the login 'zoe'; list_people lists everybody"),
        ("search_issues", {"component": "ui"}, "404 Not Found: no component 'ui'; there are sandbox, engine, typegen,"),
        ("search_issues", {"state": "done"}, '422 Unprocessable Entity: state: "done" is not one of'),
        ("search_issues", {"per_page": 101}, "422 Unprocessable Entity: per_page: 101 is greater than the maximum"),
        ("get_issue", {"id": 7}, "422 Unprocessable Entity: arguments: Additional properties are not allowed"),
        ("get_issue", {}, '422 Unprocessable Entity: arguments: "number" is a required property'),
        ("list_events", {"start": "soon", "end": "2026-11-25"}, "422 Unprocessable Entity: start is 'soon'; write"),
        (
            "list_events",
            {"start": "2026-11-25", "end": "2026-11-25"},
            "422 Unprocessable Entity: start '2026-11-25' is",
        ),
        ("list_events", {"start": "2026-11-16", "end": "2026-12-16"}, "422 Unprocessable Entity: "),
        ("list_people", {"team": "ui"}, "422 Unprocessable Entity: no team 'ui'; there are acme,"),
        ("update_issue", {"number": 500}, "422 Unprocessable Entity: nothing to change; give at least one of"),
        ("update_issue", {"number": 500, "assignee": "wei"}, "422 Unprocessable Entity: wei is no longer active;"),
        ("add_comment", {"number": 1, "author": "ines", "body": "Hm"}, "403 Forbidden: issue 1 is locked"),
        ("cancel_event", {"event_id": 99999}, "404 Not Found: event 99999 does not exist or was cancelled"),
    ],
)
async def test_a_refusal_says_what_to_do_instead(
    tracker: Tracker, tool: str, arguments: dict[str, object], text: str
) -> None:
    assert (await tracker.refusal(tool, **arguments)).startswith(text)


async def test_a_refused_change_changes_nothing(tracker: Tracker) -> None:
    before = await tracker.ask("get_issue", number=499)

    await tracker.refusal("update_issue", number=499, priority="low", title="Other", assignee="nobody")

    assert await tracker.ask("get_issue", number=499) == before


async def test_the_number_of_a_deleted_issue_is_not_used_again(tracker: Tracker) -> None:
    await tracker.ask("delete_issue", number=500)

    created = await tracker.ask("create_issue", title="New", component="docs", reporter="maria")

    assert created["number"] == 501


async def test_an_unknown_tool_is_a_protocol_error(tracker: Tracker) -> None:
    """MCP 2026-07-28, server/tools, "Error Handling": unknown tools are JSON-RPC errors."""
    with pytest.raises(MCPError, match="Unknown tool: close_issue"):
        await tracker.client.call_tool("close_issue", {"number": 1})

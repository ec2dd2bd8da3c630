"""The one tool of code mode: its cost in context, and what it depends on."""

from __future__ import annotations

import orjson
import pytest

from engine import code_tool, portal_instructions
from portal._tokens import count_tokens

SERVERS = {
    "one server": ["tracker"],
    "ten servers": [f"server-{number}" for number in range(10)],
    "a thousand servers": [f"server-{number}" for number in range(1000)],
    "ids that cost many tokens": [f"q{number}z{number}w-x9" for number in range(1000)],
    "one very long id": ["x9-" * 200],
    "no server yet": [],
}


@pytest.mark.parametrize("servers", SERVERS.values(), ids=SERVERS)
def test_the_whole_list_of_tools_costs_at_most_450_tokens(servers: list[str]) -> None:
    listed = orjson.dumps({"tools": [code_tool(servers)]}).decode()

    assert count_tokens(listed) <= 450
    assert count_tokens(portal_instructions(servers)) <= 160


def test_servers_are_named_in_order_as_far_as_they_fit_and_the_rest_counted() -> None:
    description = str(code_tool(["time", "git", "tracker"])["description"])
    crowded = str(code_tool([f"server-{number:03}" for number in range(100)])["description"])

    assert "of these servers: git, time, tracker." in description
    assert "server-000, server-001, " in crowded
    assert " more. Only" in crowded


def test_the_schema_is_one_flat_object() -> None:
    """Model APIs refuse oneOf, anyOf and allOf at the top of an input schema (facts of clients)."""
    schema = code_tool(["tracker"])["inputSchema"]

    assert isinstance(schema, dict)
    assert set(schema) == {"type", "properties", "required", "additionalProperties"}

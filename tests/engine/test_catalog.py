"""The set of tools that a caller may use."""

from __future__ import annotations

from engine import Catalog, ServerTools
from tests.engine.conftest import TOOLS
from typegen import Tool


def test_equal_catalogs_have_equal_digests_and_any_change_makes_another() -> None:
    catalog, same = (Catalog.build([ServerTools(id="tracker", tools=TOOLS)]) for _ in range(2))
    changed = (Tool(name=TOOLS[0].name, description="Other words.", input_schema=TOOLS[0].input_schema), *TOOLS[1:])
    others = [
        ServerTools(id="tracker", tools=changed),
        ServerTools(id="tracker", tools=TOOLS[:-1]),
        ServerTools(id="tracker", tools=TOOLS, status="waiting"),
        ServerTools(id="other", tools=TOOLS),
    ]

    digests = {Catalog.build([server]).digest for server in others}

    assert catalog.digest == same.digest
    assert len(digests | {catalog.digest}) == 5


def test_a_tool_that_its_portal_renamed_is_found_by_the_new_name_and_known_by_its_own() -> None:
    tools = (Tool(name="find", input_schema={"type": "object"}),)
    catalog, plain = (
        Catalog.build([ServerTools(id="tracker", tools=tools, own_names=own_names)])
        for own_names in ({"find": "search_issues"}, {})
    )

    entry = catalog.tools["tracker_find"]

    assert (entry.name, entry.tool.name) == ("search_issues", "find")
    assert catalog.at("tracker", "search_issues") is entry
    assert (catalog.at("tracker", "find"), catalog.find("Tracker.Find")) == (None, entry)
    assert catalog.digest != plain.digest

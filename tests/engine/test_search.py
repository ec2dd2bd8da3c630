"""What a search finds, in which order, and when it finds nothing."""

from __future__ import annotations

import gc
import time
import tracemalloc

import pytest

from engine import CallError, Catalog, JsonObject, ServerTools
from engine._words import parts, stem
from typegen import Tool


def tool(name: str, description: str = "", /, **properties: JsonObject) -> Tool:
    return Tool(name=name, description=description, input_schema={"type": "object", "properties": dict(properties)})


def catalog(*tools: Tool, **servers: tuple[Tool, ...]) -> Catalog:
    own = [ServerTools(id="hub", tools=tools)] if tools else []
    return Catalog.build([*own, *(ServerTools(id=name, tools=offered) for name, offered in servers.items())])


def names(found: Catalog, query: str | list[str], *, server: str | None = None, limit: int = 8) -> list[str]:
    return [entry.name for entry in found.search(query, server=server, limit=limit)]


@pytest.fixture(scope="module")
def hub() -> Catalog:
    return catalog(
        tool("create_issue", "Create a new issue in a repository.", title={"type": "string"}),
        tool("list_issues", "List the issues of a repository.", state={"enum": ["open", "closed", "stale"]}),
        tool("create_issue_comment", "Comment on an issue."),
        tool("listPullRequests", "The pull requests of a repository, newest first."),
        tool("delete_repository", "Delete a repository for good."),
        tool("get_user", "A person's profile.", login={"type": "string", "description": "Handle, without the at sign"}),
        tool("render_chart", "Draw numbers as a picture."),
        tool("convert_currency", "Convert an amount of money between currencies."),
    )


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("create issue", "create_issue"),
        ("issue comment", "create_issue_comment"),
        ("pull requests", "listPullRequests"),
        ("pullrequests", "listPullRequests"),
        ("listPullRequests", "listPullRequests"),
        ("hub_get_user", "get_user"),
        ("Please could you show me all the open issues of my repository?", "list_issues"),
        ("I want to remove a repo", "delete_repository"),
        ("currency conversion", "convert_currency"),
        ("convert 20 dollars to euros", "convert_currency"),
    ],
)
def test_phrases_and_whole_requests_find_the_tool_they_mean(hub: Catalog, query: str, best: str) -> None:
    assert names(hub, query)[0] == best


def test_the_tool_of_that_name_comes_before_longer_names_and_mere_mentions() -> None:
    found = catalog(
        tool("list_user_secrets_of_organization", "Get user, get user, get user."),
        tool("get_user_status", "The status of a user."),
        tool("get_user", "A person."),
    )

    assert names(found, "get user")[0] == "get_user"


@pytest.mark.parametrize(
    ("query", "best"), [("stale", "list_issues"), ("login", "get_user"), ("handle at sign", "get_user")]
)
def test_parameters_their_descriptions_and_enum_values_are_searched(hub: Catalog, query: str, best: str) -> None:
    assert names(hub, query) == [best]


def test_the_words_of_nested_parameters_and_local_references_are_searched() -> None:
    nested: JsonObject = {"type": "array", "items": {"$ref": "#/$defs/Row"}}
    schema: JsonObject = {
        "type": "object",
        "properties": {"rows": nested},
        "$defs": {"Row": {"type": "object", "properties": {"postcode": {"type": "string", "enum": ["unverified"]}}}},
    }
    found = catalog(Tool(name="save", input_schema=schema), tool("load", "Load what was saved."))

    assert [names(found, query) for query in ("postcode", "unverified")] == [["save"], ["save"]]


def test_a_schema_that_refers_to_itself_or_makes_no_sense_is_read_as_far_as_it_goes() -> None:
    odd: JsonObject = {
        "properties": {"node": {"$ref": "#"}, "far": {"$ref": "https://example.com/x"}, "bad": 7},
        "enum": 3,
    }

    assert names(catalog(Tool(name="walk", input_schema=odd)), "node") == ["walk"]


@pytest.mark.parametrize("query", ["create isue", "repositry delete", "curency", "repos"])
def test_a_slip_of_the_finger_or_the_head_of_a_word_still_finds(hub: Catalog, query: str) -> None:
    assert names(hub, query)


@pytest.mark.parametrize("query", ["", " ", "?!", "bake a chocolate cake", "xyzzy plugh", "hello there", "42"])
def test_a_query_that_no_tool_answers_finds_nothing(hub: Catalog, query: str) -> None:
    assert names(hub, query) == []


def test_a_query_of_stop_words_alone_is_taken_at_its_word() -> None:
    assert names(catalog(tool("who_am_i", "The caller."), tool("other")), "who am I") == ["who_am_i"]


def test_the_nearest_names_are_told_for_an_unknown_one(hub: Catalog) -> None:
    assert hub.nearest("hub create isue")[0] == "hub_create_issue"
    assert hub.nearest("zzzz") == []


def test_only_the_named_server_is_searched() -> None:
    found = catalog(alpha=(tool("create_issue"),), beta=(tool("create_issue"),))

    assert [entry.server_id for entry in found.search("create issue", server="beta")] == ["beta"]


def test_the_name_of_a_server_is_part_of_what_is_searched() -> None:
    found = catalog(github=(tool("create_issue"),), linear=(tool("create_issue"),))

    assert found.search("create a GitHub issue")[0].server_id == "github"
    assert found.search("linear issue")[0].server_id == "linear"


def test_several_queries_take_turns_and_name_no_tool_twice(hub: Catalog) -> None:
    found = names(hub, ["delete repository", "get user", "delete repository"], limit=2)

    assert found[:2] == ["delete_repository", "get_user"]
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/^create_/", ["create_issue", "create_issue_comment"]),
        ("/^hub_get/", ["get_user"]),
        ("/PULL/i", ["listPullRequests"]),
        ("/^login$/", ["get_user"]),
        ("/money|picture/", ["render_chart", "convert_currency"]),
        ("/nowhere/", []),
    ],
)
def test_a_pattern_searches_names_parameters_and_descriptions(hub: Catalog, pattern: str, found: list[str]) -> None:
    assert names(hub, pattern) == found


def test_a_match_in_the_name_comes_first() -> None:
    found = catalog(tool("first", "About issues."), tool("second", issue={}), tool("issue_third"))

    assert names(found, "/issue/") == ["issue_third", "second", "first"]


@pytest.mark.parametrize("pattern", ["/(/", "/(?=x)/", r"/(a)\1/", f"/{'a' * 2000}/", "/((a{1,999}){1,999}){1,999}/"])
def test_what_cannot_be_matched_in_linear_time_is_refused_with_the_reason(hub: Catalog, pattern: str) -> None:
    with pytest.raises(CallError, match="search: ") as raised:
        hub.search(pattern)

    assert raised.value.name == "TypeError"


def test_a_pattern_that_ruins_backtracking_engines_is_answered() -> None:
    """A bound on liveness, not on speed: a backtracking engine needs longer than the age of the universe for it."""
    found = catalog(tool("long", "a" * 5000))
    started = time.monotonic()

    assert names(found, "/(a*)*(a*)*b$/") == []
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("query", ["a" * 1_000_000, "issue " * 200_000, "/" * 1000, "\x00\ud800issue", "(" * 5000])
def test_a_query_of_any_size_or_characters_is_answered(hub: Catalog, query: str) -> None:
    assert len(names(hub, query)) <= 8


@pytest.mark.parametrize("name", ["x" * 3_000_000, "x-" * 1_500_000])
@pytest.mark.parametrize("method", ["find", "nearest", "search", "unknown_tool_message"])
def test_of_names_and_queries_of_megabytes_the_head_is_looked_at(hub: Catalog, method: str, name: str) -> None:
    ask = getattr(hub, method)
    ask("warm")
    tracemalloc.start()

    answer = ask(name)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most_bytes < 300_000
    assert len(answer or "") < 1_000


def test_a_tool_with_a_very_long_name_is_found_by_it_however_it_is_separated() -> None:
    found = catalog(tool("a_long.name-" * 100))

    assert found.find("hub_" + "aLong_Name." * 100) is not None
    assert found.find("hub" + "-a-long--name" * 100) is not None
    assert found.find("hub" + "a_long_name" * 101) is None


def test_words_of_a_million_letters_take_no_room_once_their_catalog_is_gone() -> None:
    tracemalloc.start()

    for letter in "abcd":
        names(catalog(tool("long", **{letter * 1_000_000: {}})), "long")
    gc.collect()
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held_bytes < 1_000_000


def test_other_scripts_and_accents_are_searched() -> None:
    found = catalog(
        tool("weather", "查询城市的天气预报"), tool("resume", "Un résumé."), tool("погода", "Прогноз погоды")
    )

    assert names(found, "北京的天气预报") == ["weather"]
    assert names(found, "RÉSUMÉ") == ["resume"]
    assert names(found, "прогноз") == ["погода"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("getUserByID", ["get", "user", "by", "id"]),
        ("list_DNSRecords-v2", ["list", "dns", "records", "v2"]),
        ("HTTPServer2 ipv4", ["http", "server2", "ipv4"]),
        ("userIDs", ["user", "ids"]),
    ],
)
def test_names_split_at_case_and_separators(text: str, words: list[str]) -> None:
    assert list(parts(text)) == words


@pytest.mark.parametrize(
    "family",
    [
        "issue issues",
        "repository repositories",
        "calculate calculation calculator calculates",
        "run running",
        "address addresses",
        "delete deletes deleted deleting deletion",
        "manage manager management",
        "id ids",
    ],
)
def test_the_forms_of_one_word_share_a_stem(family: str) -> None:
    assert len({stem(word) for word in family.split()}) == 1

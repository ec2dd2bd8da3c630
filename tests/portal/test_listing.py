"""What one portal lists: names, aliases, descriptions, permissions, prompts, and resources told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import Fleet, PortalConfig, PortalServer, Rules, ServerConfig, Wording
from portal.server import MAX_NAME_CHARS, OWN_SERVER_ID, Listing, Mode, listed_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typegen import JsonObject, JsonValue

OWN = ["portal_list_servers", "portal_toggle_servers", "portal_toggle_single_server"]
READS: JsonObject = {"readOnlyHint": True}
DESTROYS: JsonObject = {"destructiveHint": True}


def tool(name: str, **fields: JsonValue) -> JsonObject:
    return {"name": name, "inputSchema": {"type": "object"}, **fields}


def resource(uri: str, name: str = "a resource") -> JsonObject:
    return {"uri": uri, "name": name}


def template(uri: str) -> JsonObject:
    return {"uriTemplate": uri, "name": "a template"}


def listing(
    kept: Mapping[str, Mapping[str, list[JsonObject]]],
    *rules: PortalServer,
    wording: Wording | None = None,
    prefix: bool = True,
) -> Listing:
    """What a portal lists of servers that listed ``kept``, before any of them is connected."""
    servers = [
        ServerConfig(id=server_id, transport="demo", tools=wording or Wording(), prompts=wording or Wording())
        for server_id in kept
    ]
    fleet = Fleet(servers)
    fleet.restore(
        {server_id: {kind: list(listed) for kind, listed in kinds.items()} for server_id, kinds in kept.items()}
    )
    ruled = {rule.id: rule for rule in rules}
    portal = PortalConfig(servers=tuple(ruled.get(key, PortalServer(id=key)) for key in kept), prefix=prefix)
    return Listing.of(portal, fleet)


def names_in(listing: Listing, mode: Mode = Mode.LIST) -> list[JsonValue]:
    tools = listing.answer(mode, is_modern=True)["tools"]
    assert isinstance(tools, list)
    return [each["name"] for each in tools if isinstance(each, dict) and each["name"] not in OWN]


@pytest.mark.parametrize("length", [MAX_NAME_CHARS - 1, MAX_NAME_CHARS])
def test_a_name_up_to_the_limit_is_kept(length: int) -> None:
    name = "t" * (length - len("up_"))

    assert listed_name("up", name) == f"up_{name}"


def test_a_longer_name_is_shortened_with_a_hash_and_keeps_its_server() -> None:
    one, two = (listed_name("my-server", "x" * 60 + end) for end in "12")

    assert len(one) == len(two) == MAX_NAME_CHARS
    assert one != two
    assert one.startswith("my-server_xxx")


def test_the_longest_server_id_leaves_room_for_the_tool() -> None:
    name = listed_name("s" * 32, "get_the_quarterly_report")

    assert name.startswith(f"{'s' * 32}_get_the_")


def test_an_alias_is_the_name_in_lists_and_the_identifier_in_programs() -> None:
    rules = PortalServer(id="files", tools=Rules(wording=Wording(rename={"read_text_file": "read"})))

    files = listing({"files": {"tools": [tool("read_text_file"), tool("other")]}}, rules)

    assert names_in(files) == ["files_read", "files_other"]
    entry = files.catalog.tools["files_read"]
    assert (entry.name, entry.tool.name) == ("read_text_file", "read")
    assert files.catalog.find("files_read_text_file") is None
    assert [found.identifier for found in files.catalog.search("read", limit=1)] == ["files_read"]


def test_an_alias_of_the_portal_counts_before_one_of_the_server_and_that_before_the_tools_name() -> None:
    rules = PortalServer(id="up", tools=Rules(wording=Wording(rename={"a": "first"})))
    kept = {"up": {"tools": [tool("a"), tool("b"), tool("c")]}}

    curated = listing(kept, rules, wording=Wording(rename={"a": "second", "b": "shared"}))

    assert names_in(curated) == ["up_first", "up_shared", "up_c"]


def test_a_description_is_replaced_in_lists_and_for_programs() -> None:
    rules = PortalServer(id="up", tools=Rules(wording=Wording(describe={"a": "Said anew."})))

    curated = listing({"up": {"tools": [tool("a", description="As it was.", _meta={"kept": 1})]}}, rules)

    for is_modern in (False, True):
        tools = curated.answer(Mode.LIST, is_modern=is_modern)["tools"]
        assert isinstance(tools, list)
        assert tools[0] == tool("up_a", description="Said anew.", _meta={"kept": 1})
    entry = curated.catalog.tools["up_a"]
    assert "Said anew." in curated.catalog.declaration(entry).text


def test_two_tools_may_change_names() -> None:
    rules = PortalServer(id="up", tools=Rules(wording=Wording(rename={"a": "b", "b": "a"})))

    curated = listing({"up": {"tools": [tool("a"), tool("b")]}}, rules)

    assert {name: curated.tools[name].entry.name for name in ("up_a", "up_b")} == {"up_a": "b", "up_b": "a"}


def test_a_tool_that_comes_with_the_alias_of_another_as_its_name_does_not_take_its_place() -> None:
    """A program written for the alias must never call the newcomer."""
    rules = PortalServer(id="up", tools=Rules(wording=Wording(rename={"read_file": "read"})))

    curated = listing({"up": {"tools": [tool("read"), tool("read_file")]}}, rules)

    assert curated.tools["up_read"].entry.name == "read_file"
    assert curated.catalog.tools["up_read"].name == "read_file"
    newcomer = next(found for found in curated.tools.values() if found.entry.name == "read")
    assert newcomer.name.startswith("up_read_")


def test_an_alias_of_a_tool_that_is_gone_takes_no_name() -> None:
    rules = PortalServer(id="up", tools=Rules(wording=Wording(rename={"gone": "read"})))

    assert names_in(listing({"up": {"tools": [tool("read")]}}, rules)) == ["up_read"]


def test_tools_that_are_denied_are_in_no_list_and_no_catalog() -> None:
    rules = PortalServer(id="up", tools=Rules(deny=("erase", "drop_*")))

    curated = listing({"up": {"tools": [tool("erase"), tool("drop_all"), tool("read")]}}, rules)

    assert names_in(curated) == ["up_read"]
    assert list(curated.catalog.tools)[-1:] == ["up_read"]
    assert curated.catalog.find("up_erase") is None


def test_a_default_of_deny_offers_what_is_named_alone() -> None:
    rules = PortalServer(id="up", default="deny", tools=Rules(allow=("read_*",), ask=("move",)))

    curated = listing({"up": {"tools": [tool("read_one"), tool("move"), tool("new")]}}, rules)

    assert names_in(curated) == ["up_read_one", "up_move"]


@pytest.mark.parametrize(
    ("rules", "annotations", "direct", "in_program"),
    [
        (PortalServer(id="up"), {}, "allow", "allow"),
        (PortalServer(id="up"), READS, "allow", "allow"),
        (PortalServer(id="up"), DESTROYS, "allow", "ask"),
        (PortalServer(id="up"), {"destructiveHint": False}, "allow", "allow"),
        (PortalServer(id="up", tools=Rules(allow=("a",))), DESTROYS, "allow", "allow"),
        (PortalServer(id="up", tools=Rules(allow=("*",))), DESTROYS, "allow", "allow"),
        (PortalServer(id="up", default="allow"), DESTROYS, "allow", "allow"),
        (PortalServer(id="up", default="ask"), READS, "ask", "ask"),
        (PortalServer(id="up", default="ask", tools=Rules(allow=("a",))), DESTROYS, "allow", "allow"),
        (PortalServer(id="up", default="allow", tools=Rules(ask=("a",))), READS, "ask", "ask"),
        (PortalServer(id="up", default="deny", tools=Rules(ask=("a",))), {}, "ask", "ask"),
    ],
)
def test_who_is_asked_before_a_call(rules: PortalServer, annotations: JsonObject, direct: str, in_program: str) -> None:
    """DESIGN section 6: in code mode ask is the default for tools that say destructiveHint: true themselves."""
    listed = listing({"up": {"tools": [tool("a", annotations=annotations)]}}, rules).tools["up_a"]

    assert (listed.permission(in_program=False), listed.permission(in_program=True)) == (direct, in_program)


def test_the_portals_own_tools_are_always_allowed() -> None:
    own = [listing({"up": {}}).tools[name] for name in OWN]

    assert {each.permission(in_program=True) for each in own} == {"allow"}


def test_without_a_prefix_tools_and_prompts_keep_their_names_however_long() -> None:
    long = "x" * 60

    bare = listing({"up": {"tools": [tool("a"), tool(long)], "prompts": [{"name": "p"}]}}, prefix=False)

    assert names_in(bare) == ["a", long]
    assert list(bare.prompts) == ["p"]
    assert bare.remarks == ()


def test_without_a_prefix_the_later_of_two_equal_names_gets_its_prefix_and_a_remark() -> None:
    bare = listing({"one": {"tools": [tool("a"), tool("b")]}, "two": {"tools": [tool("a")]}}, prefix=False)

    assert names_in(bare) == ["a", "b", "two_a"]
    assert bare.remarks == ('portal default, server two: the tool "a" is listed as "two_a", as its name is taken.',)


@pytest.mark.parametrize("mode", [Mode.LIST, Mode.NAMES])
def test_without_a_prefix_clients_are_not_told_of_one(mode: Mode) -> None:
    kept = {"up": {"tools": [tool("a")]}}

    assert "{server}_{tool}" in listing(kept).instructions(mode)
    assert "{server}" not in listing(kept, prefix=False).instructions(mode)


def test_without_a_prefix_no_tool_takes_the_name_of_one_of_the_portals_own() -> None:
    bare = listing({"up": {"tools": [tool("portal_list_servers"), tool("query")]}}, prefix=False)

    assert [bare.tools[name].entry.server_id for name in OWN] == [OWN_SERVER_ID] * 3
    assert names_in(bare) == ["up_portal_list_servers", "up_query"]


def test_a_name_means_the_same_tool_in_every_view_of_a_portal() -> None:
    """With one of the servers switched off, the other's tool does not slip into its name."""
    bare = listing({"one": {"tools": [tool("a")]}, "two": {"tools": [tool("a", annotations=READS)]}}, prefix=False)

    assert names_in(bare.without(frozenset({"one"}))) == ["two_a"]
    assert names_in(bare.read_only) == ["two_a"]


NAMES = st.text("ab_-.", min_size=1, max_size=3) | st.sampled_from(["x" * 60, "x" * 61, "query", "a" * 46])


@given(st.dictionaries(st.sampled_from(["a", "a-b", "b"]), st.lists(NAMES, max_size=6, unique=True)), st.booleans())
def test_every_tool_has_a_name_and_an_identifier_of_its_own(kept: dict[str, list[str]], prefix: bool) -> None:
    whole = listing({key: {"tools": [tool(name) for name in names]} for key, names in kept.items()}, prefix=prefix)

    listed = [each for each in whole.tools.values() if each.entry.server_id != OWN_SERVER_ID]
    assert sorted((each.entry.server_id, each.entry.name) for each in listed) == sorted(
        (key, name) for key, names in kept.items() for name in names
    )
    assert all(whole.tools[each.name] is each for each in listed)
    assert len({each.entry.identifier for each in listed}) == len(listed)


@given(
    st.lists(NAMES, min_size=1, max_size=6, unique=True),
    st.dictionaries(st.text("ab", min_size=1, max_size=2), st.sampled_from(["a", "b", "ab", "ba", "c"]), max_size=4),
)
def test_an_alias_always_means_its_tool(names: list[str], rename: dict[str, str]) -> None:
    unique = {name: alias for alias, name in {alias: name for name, alias in rename.items()}.items()}
    rules = PortalServer(id="up", tools=Rules(wording=Wording(rename=unique)))

    curated = listing({"up": {"tools": [tool(name) for name in names]}}, rules)

    assert sorted(each.entry.name for each in curated.tools.values() if each.entry.server_id == "up") == sorted(names)
    for name in names:
        if name in unique:
            assert curated.tools[f"up_{unique[name]}"].entry.name == name


def test_prompts_are_named_by_their_server_and_curated_as_tools_are() -> None:
    prompts: list[JsonObject] = [
        {"name": "sum", "title": "Sum"},
        {"name": "open", "_meta": {"x": 1}},
        {"name": "secret"},
    ]
    wording = Wording(rename={"open": "start"}, describe={"open": "Begin."})
    rules = PortalServer(id="up", prompts=Rules(deny=("secret",), wording=wording))

    curated = listing({"up": {"prompts": prompts}, "other": {"prompts": [{"name": "sum"}]}}, rules)

    assert curated.answer_to("prompts/list", Mode.CODE, is_modern=True) == {
        "prompts": [
            {"name": "up_sum", "title": "Sum"},
            {"name": "up_start", "_meta": {"x": 1}, "description": "Begin."},
            {"name": "other_sum"},
        ]
    }
    assert (curated.prompts["up_start"].server_id, curated.prompts["up_start"].own_name) == ("up", "open")


@pytest.mark.parametrize("hint", ["false", "true", 1, {}, None])
def test_a_read_only_view_has_only_tools_that_say_true_of_themselves(hint: JsonValue) -> None:
    kept = {"up": {"tools": [tool("read", annotations=READS), tool("write", annotations={"readOnlyHint": hint})]}}

    assert names_in(listing(kept).read_only) == ["up_read"]


def test_prompts_and_resources_stay_in_read_only_views_and_go_with_their_server() -> None:
    whole = listing({"up": {"prompts": [{"name": "p"}], "resources": [resource("file:///a")]}, "other": {}})

    assert (list(whole.read_only.prompts), list(whole.read_only.resources)) == (["up_p"], ["file:///a"])
    without = whole.without(frozenset({"up"}))
    assert (list(without.prompts), list(without.resources)) == ([], [])


def test_a_uri_that_one_server_alone_lists_stays_as_it_is() -> None:
    whole = listing({"up": {"resources": [resource("file:///a")], "templates": [template("file:///{path}")]}})

    assert whole.answer_to("resources/list", Mode.LIST, is_modern=True) == {"resources": [resource("file:///a")]}
    assert whole.answer_to("resources/templates/list", Mode.LIST, is_modern=True) == {
        "resourceTemplates": [template("file:///{path}")]
    }
    assert whole.route_resource("file:///a") == (("up", "file:///a"),)


def test_a_uri_that_several_servers_list_is_told_apart() -> None:
    uri = "file:///a?b=%20#c"
    whole = listing({"one": {"resources": [resource(uri, "1")]}, "two": {"resources": [resource(uri, "2")]}})

    assert list(whole.resources) == [uri, f"portico://two/{uri}"]
    assert whole.resources[f"portico://two/{uri}"].definition == resource(f"portico://two/{uri}", "2")
    assert whole.route_resource(uri) == (("one", uri),)
    assert whole.route_resource(f"portico://two/{uri}") == (("two", uri),)
    assert [whole.listed_uri(key, uri) for key in ("one", "two")] == [uri, f"portico://two/{uri}"]
    assert list(whole.without(frozenset({"one"})).resources) == [f"portico://two/{uri}"]


def test_a_template_that_several_servers_list_is_told_apart_and_leads_to_its_server() -> None:
    same = template("log://{day}/{hour}")
    whole = listing({"one": {"templates": [same]}, "two": {"templates": [same]}})

    assert list(whole.templates) == ["log://{day}/{hour}", "portico://two/log://{day}/{hour}"]
    assert whole.templates["portico://two/log://{day}/{hour}"].own_uri == "log://{day}/{hour}"
    assert whole.route_resource("portico://two/log://1%2F2/3") == (("two", "log://1%2F2/3"),)


def test_a_uri_that_is_not_listed_leads_to_the_servers_with_a_template_for_it() -> None:
    whole = listing(
        {
            "files": {"templates": [template("file:///{path}")]},
            "logs": {"templates": [template("log://{day}/hour")]},
            "more": {"templates": [template("file:///home/{path}")]},
        }
    )

    assert whole.route_resource("file:///home/a") == (("files", "file:///home/a"), ("more", "file:///home/a"))
    assert whole.route_resource("log://1/hour") == (("logs", "log://1/hour"),)


def test_a_uri_that_fits_nothing_may_be_any_servers_with_resources() -> None:
    kept = {"files": {"templates": [template("file:///{path}")]}, "tools": {"tools": [tool("a")]}}

    assert listing(kept).route_resource("odd:x") == (("files", "odd:x"),)
    assert listing({"tools": {"tools": [tool("a")]}}).route_resource("odd:x") == ()


@pytest.mark.parametrize("server_id", ["portal", "up", "other"])
def test_a_uri_of_a_server_without_resources_leads_nowhere(server_id: str) -> None:
    assert listing({"up": {"tools": [tool("read")]}}).route_resource(f"portico://{server_id}/x") == ()


def test_a_server_that_is_switched_off_is_asked_for_no_resource() -> None:
    kept = {"files": {"templates": [template("file:///{path}")]}, "other": {"resources": [resource("x:1")]}}

    without = listing(kept).without(frozenset({"files"}))

    assert without.route_resource("file:///a") == (("other", "file:///a"),)
    assert without.route_resource("portico://files/file:///a") == ()


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]),
        st.lists(st.sampled_from(["u:1", "u:2", "portico://b/u:1", "portico://c/u:2"]), max_size=4, unique=True),
    )
)
def test_every_resource_is_listed_once_and_leads_to_its_server(kept: dict[str, list[str]]) -> None:
    whole = listing({key: {"resources": [resource(uri) for uri in uris]} for key, uris in kept.items()})

    places = [whole.route_resource(uri) for uri in whole.resources]
    assert sorted(place[0] for place in places) == sorted((key, uri) for key, uris in kept.items() for uri in uris)

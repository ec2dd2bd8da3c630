"""Rules for single tools and prompts: who may call them, and what they are called."""

from __future__ import annotations

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import ConfigError, Rules, ServerConfig, Wording
from portal._config import Config, PortalConfig, PortalServer
from portal._glob import matches_glob


@given(st.text("ab*"), st.text("ab"))
def test_a_star_stands_for_anything_and_for_nothing(pattern: str, name: str) -> None:
    assert matches_glob(pattern, name) == fnmatch.fnmatchcase(name, pattern)


def test_every_other_character_of_a_pattern_stands_for_itself() -> None:
    assert matches_glob("get_[a]?", "get_[a]?")
    assert not matches_glob("get_[a]?", "get_ab")


def test_a_pattern_of_many_stars_costs_no_time() -> None:
    """A regular expression made from it would try exponentially many ways to fit."""
    started = time.perf_counter()

    assert not matches_glob("*a" * 200 + "*b", "a" * 20_000)
    assert time.perf_counter() - started < 5


def test_a_rule_that_names_a_tool_counts_before_one_with_a_star() -> None:
    rules = Rules(deny=("*",), ask=("write_*",), allow=("write_file", "read_*"))

    assert [rules.permission(name) for name in ("write_file", "write_all", "other")] == ["allow", "deny", "deny"]


def test_of_several_patterns_the_strictest_counts() -> None:
    rules = Rules(ask=("*_file",), allow=("read_*",))

    assert [rules.permission(name) for name in ("read_file", "read_all", "other")] == ["ask", "allow", None]


def test_a_name_cannot_stand_in_two_rules() -> None:
    with pytest.raises(ConfigError, match='"wipe" stands in both deny and allow'):
        Rules(allow=("wipe",), deny=("wipe",))
    with pytest.raises(ConfigError, match='"wipe" stands in both deny and ask'):
        Rules(ask=("wipe",), deny=("wipe",))
    with pytest.raises(ConfigError, match='"wipe" stands in both ask and allow'):
        Rules(allow=("wipe",), ask=("wipe",))


def test_an_empty_name_in_a_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match="deny holds an empty name"):
        Rules(deny=("",))


@pytest.mark.parametrize("alias", ["a", "a" * 40, "read-file", "Read_File2", "a_b-c"])
def test_an_alias_is_letters_and_digits_with_single_separators_between(alias: str) -> None:
    assert Wording(rename={"x": alias}).rename == {"x": alias}


@pytest.mark.parametrize("alias", ["", "a" * 41, "_a", "a_", "a__b", "a.b", "a b", "ä", "a\n"])
def test_anything_else_is_no_alias(alias: str) -> None:
    with pytest.raises(ConfigError, match="cannot be an alias") as caught:
        Wording(rename={"x": alias})

    assert caught.value.key == "x"


def test_two_tools_cannot_have_one_alias() -> None:
    with pytest.raises(ConfigError, match='one and two are all renamed to "same"'):
        Wording(rename={"one": "same", "two": "same"})


def test_the_word_of_a_portal_counts_before_that_of_the_server() -> None:
    portal = Wording(rename={"a": "mine"}, describe={"b": "B, here"})
    server = Wording(rename={"a": "theirs", "c": "see"}, describe={"a": "A", "b": "B"})

    assert portal.over(server) == Wording(rename={"a": "mine", "c": "see"}, describe={"a": "A", "b": "B, here"})


def test_an_alias_of_a_portal_cannot_be_one_that_the_server_gives_to_another_tool() -> None:
    server = ServerConfig(id="files", command="cat", tools=Wording(rename={"a": "same"}))
    offered = PortalServer(id="files", tools=Rules(wording=Wording(rename={"b": "same"})))

    with pytest.raises(ConfigError, match='all renamed to "same"'):
        Config(servers=(server,), portals=(PortalConfig(servers=(offered,)),))


def test_a_default_is_one_of_the_three_permissions() -> None:
    with pytest.raises(ConfigError, match='default "never" is not one of allow, ask and deny'):
        PortalServer(id="files", default="never")  # type: ignore[arg-type]  # a file may hold it

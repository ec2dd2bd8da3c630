"""Identifiers: safe, stable, free of collisions."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from typegen import assign_identifiers, fold_name, identifier_for

NAMES = st.one_of(st.text(max_size=80), st.text("ab-_. A1", max_size=6))


@pytest.mark.parametrize(
    ("server", "tool", "identifier"),
    [
        ("my-server", "get-data", "my_server_get_data"),
        ("github", "issues/list.for repo", "github_issues_list_for_repo"),
        ("s", "getUser", "s_getUser"),
        ("s", "it's", "s_it_s"),
        ("s", "__proto__", "s___proto__"),
        ("3d", "print", "_3d_print"),
        ("s", "café", "s_cafe"),
        ("", "delete", "delete_"),
        ("", "then", "then_"),
        ("", "__proto__", "__proto___"),
    ],
)
def test_a_name_keeps_what_it_can(server: str, tool: str, identifier: str) -> None:
    assert identifier_for(server, tool) == identifier


@pytest.mark.parametrize("tool", ["", " ", "天气", "🚀", "x" * 300, "..", "\ud800", "\u200b"])
def test_a_name_that_cannot_be_kept_gets_a_hash_of_its_own(tool: str) -> None:
    identifier = identifier_for("s", tool)

    assert re.fullmatch(r"s_(x+_)?[0-9a-f]{6}", identifier)
    assert len(identifier) <= 64
    assert identifier != identifier_for("s", tool + "天")


@given(server=NAMES, tool=NAMES)
def test_every_identifier_is_a_plain_javascript_name(server: str, tool: str) -> None:
    identifier = identifier_for(server, tool)

    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,65}", identifier)
    assert identifier not in {"then", "delete", "__proto__", "constructor", "search", "default"}


@given(pairs=st.lists(st.tuples(NAMES, NAMES), max_size=30), seed=st.integers())
def test_identifiers_never_collide_and_do_not_depend_on_order(pairs: list[tuple[str, str]], seed: int) -> None:
    shuffled = pairs.copy()
    random.Random(seed).shuffle(shuffled)

    assigned = assign_identifiers(pairs)

    assert len(set(assigned.values())) == len(set(pairs))
    assert assigned == assign_identifiers(shuffled)


def test_tools_that_would_share_a_name_each_get_their_own() -> None:
    """``get-user`` and ``get_user``, and two servers that could pass for each other."""
    pairs = [("s", "get-user"), ("s", "get_user"), ("my-server", "x"), ("my", "server_x")]

    assigned = assign_identifiers(pairs)

    assert len(set(assigned.values())) == 4
    assert "my_server_x" not in assigned.values()  # neither server takes the other's name


def test_a_tool_keeps_its_name_when_others_come_and_go() -> None:
    alone = assign_identifiers([("s", "list"), ("s", "get-user"), ("s", "get_user")])

    with_others = assign_identifiers(
        [("s", "list"), ("s", "get-user"), ("s", "get_user"), ("s", "get.user"), ("t", "list")]
    )

    assert with_others | alone == with_others


def test_a_name_with_a_hash_is_not_taken_by_a_tool_that_is_called_so() -> None:
    clashing = [("s", "get-user"), ("s", "get_user")]
    taken = assign_identifiers(clashing)[clashing[0]]

    assigned = assign_identifiers([*clashing, ("s", taken.removeprefix("s_"))])

    assert len(set(assigned.values())) == 3


@pytest.mark.parametrize("written", ["github_get_issue", "github.getIssue", "GITHUB-get-issue", "githubGetIssue"])
def test_names_that_differ_in_case_and_separators_fold_to_one(written: str) -> None:
    assert fold_name(written) == "githubgetissue"

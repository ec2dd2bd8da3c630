"""What a client sees, by the query of its URL and the portal's policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal.server import BadQuery, Mode, view_of

if TYPE_CHECKING:
    from portal._config import CodeMode


@pytest.mark.parametrize(
    ("query", "code_mode", "expected"),
    [
        ([], "opt_in", Mode.LIST),
        ([("codemode", "search_and_execute")], "opt_in", Mode.CODE),
        ([("codemode", "off")], "opt_in", Mode.LIST),
        ([], "default_on", Mode.CODE),
        ([("codemode", "off")], "default_on", Mode.LIST),
        ([("codemode", "off")], "enforced", Mode.CODE),
        ([("codemode", "search_and_execute")], "off", Mode.LIST),
        ([("optimize_context", "minimize_tools")], "opt_in", Mode.NAMES),
        ([("optimize_context", "search_and_execute")], "opt_in", Mode.QUERY),
        ([("optimize_context", "minimize_tools")], "default_on", Mode.NAMES),
        ([("optimize_context", "minimize_tools")], "off", Mode.NAMES),
        ([("optimize_context", "search_and_execute")], "enforced", Mode.CODE),
        ([("access", "read")], "default_on", Mode.CODE),
        ([("access", "read"), ("optimize_context", "minimize_tools")], "opt_in", Mode.NAMES),
    ],
)
def test_the_query_and_the_policy_make_the_mode(
    query: list[tuple[str, str]], code_mode: CodeMode, expected: Mode
) -> None:
    view = view_of(query, code_mode)

    assert view.mode is expected
    assert view.is_read_only == (("access", "read") in query)
    assert view.has_programs == (code_mode != "off")


@pytest.mark.parametrize("code_mode", ["off", "opt_in", "default_on", "enforced"])
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ([("codemod", "off")], "There is no option 'codemod'. The options are ?codemode=search_and_execute"),
        ([("codemode", "on")], "codemode cannot be 'on'; use codemode=search_and_execute or codemode=off."),
        ([("codemode", "")], "codemode cannot be ''"),
        ([("codemode", "off"), ("codemode", "off")], "The option 'codemode' is given more than once; give it once."),
        (
            [("codemode", "off"), ("optimize_context", "minimize_tools")],
            "The options codemode and optimize_context exclude each other; keep one.",
        ),
        ([("access", "write")], "access cannot be 'write'; use access=read."),
    ],
)
def test_a_query_that_is_wrong_is_wrong_under_every_policy_and_names_the_right_ones(
    query: list[tuple[str, str]], message: str, code_mode: CodeMode
) -> None:
    with pytest.raises(BadQuery) as mistake:
        view_of(query, code_mode)

    assert str(mistake.value).startswith(message)

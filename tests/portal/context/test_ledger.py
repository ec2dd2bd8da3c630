"""A job by tool calls is counted as its model is given, writes and reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal._tokens import count_tokens
from portal.context import Exchange, bill

if TYPE_CHECKING:
    from typegen import JsonObject

TOOL: JsonObject = {
    "name": "get",
    "title": "Get",
    "description": "Get it.",
    "inputSchema": {"type": "object"},
    "outputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": True},
}
DEFINITION = '{"name":"get","description":"Get it.","input_schema":{"type":"object"}}'
EXCHANGE = Exchange(tool="get", arguments={"id": 7}, answer="seven")
WRITTEN = count_tokens('{"name":"get","arguments":{"id":7}}')
READ = count_tokens("seven")


def test_a_definition_counts_as_what_model_apis_take() -> None:
    assert bill([TOOL], []).definitions == count_tokens(DEFINITION)


def test_a_call_counts_what_the_model_writes_and_what_it_reads() -> None:
    cost = bill([TOOL], [[EXCHANGE, EXCHANGE], [EXCHANGE]])

    assert (cost.calls, cost.turns, cost.tools) == (3, 2, 1)
    assert (cost.written, cost.read) == (3 * WRITTEN, 3 * READ)
    assert cost.context == count_tokens(DEFINITION) + 3 * (WRITTEN + READ)


def test_every_turn_sends_all_that_came_before_it_again() -> None:
    definition, exchange = count_tokens(DEFINITION), WRITTEN + READ

    cost = bill([TOOL], [[EXCHANGE], [EXCHANGE]])

    assert cost.billed_input == definition + (definition + exchange) + (definition + 2 * exchange)


def test_another_encoding_counts_otherwise() -> None:
    text = "お誕生日おめでとう"

    by_default = bill([], [[Exchange(tool="say", arguments={}, answer=text)]])
    by_another = bill([], [[Exchange(tool="say", arguments={}, answer=text)]], encoding="cl100k_base")

    assert (by_default.read, by_another.read) == (8, 9)


def test_an_unknown_encoding_is_an_error() -> None:
    with pytest.raises(KeyError, match="p50k_base"):
        bill([TOOL], [], encoding="p50k_base")

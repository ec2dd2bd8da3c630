"""What a portal of thousands of tools costs in context: GitHub's REST operations and those of AWS."""

from __future__ import annotations

import random
import statistics
from typing import TYPE_CHECKING

import pytest

from engine import Engine
from portal._tokens import ENCODING, count_tokens
from portal.context._lists import mode_costs
from portal.server import Listing
from portal.upstream import read_tools
from sandbox import Sandbox
from tests.typegen._catalogues import aws_tools, github_tools

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portal.upstream import UpstreamTool
    from typegen import JsonObject, Tool

QUERIES = 500


def offered(server: str, tools: Iterable[Tool]) -> tuple[UpstreamTool, ...]:
    listed = []
    for tool in tools:
        definition: JsonObject = {"name": tool.name, "description": tool.description}
        definition["inputSchema"] = dict(tool.input_schema)
        if tool.output_schema is not None:
            definition["outputSchema"] = dict(tool.output_schema)
        listed.append(definition)
    return read_tools(listed, upstream=server)


@pytest.fixture(scope="module")
def large() -> Listing:
    return Listing.of_tools({"aws": offered("aws", aws_tools()), "github": offered("github", github_tools())})


def test_a_query_answers_in_few_tokens(large: Listing) -> None:
    """500 first lines of operations: at most 1,200 tokens at the median and 2,500 at the 95th percentile."""
    engine = Engine(Sandbox())
    lines = [first for entry in large.catalog.tools.values() if (first := entry.tool.description.partition("\n")[0])]
    asked = random.Random(3).sample(lines, QUERIES)

    tokens = [count_tokens(engine.query(text[:200], catalog=large.catalog)) for text in asked]

    assert statistics.median(tokens) <= 1_200
    assert statistics.quantiles(tokens, n=20)[-1] <= 2_500


def test_names_and_a_query_take_a_fortieth_of_github_s_list() -> None:
    costs = mode_costs(Listing.of_tools({"github": offered("github", github_tools())}), ENCODING)

    whole = {cost.query: cost.whole for cost in costs}
    assert whole[""] >= 40 * whole["?optimize_context=minimize_tools"]


def test_code_mode_takes_the_same_few_tokens_however_many_tools(large: Listing) -> None:
    few = Listing.of_tools({"aws": offered("aws", aws_tools()[:5]), "github": offered("github", github_tools()[:5])})

    code, small = (mode_costs(listing, ENCODING)[-1] for listing in (large, few))

    assert code.tokens == small.tokens <= 450

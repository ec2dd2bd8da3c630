"""A program's calls are counted as a model would have made them: in turns, each call written and each answer read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from portal import Config, LimitsConfig, Portal
from portal._tokens import count_tokens
from portal.context import ProgramFailed, measure
from portal.context._program import text_of
from sandbox import Sandbox, SandboxConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from typegen import JsonObject

READY_S = 20.0
PLACES = 4


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Portal]:
    """The demo, with room for four calls at once."""
    config = replace(Config.demo({}), data_dir=tmp_path, limits=LimitsConfig(concurrent_calls=PLACES))
    async with Sandbox(SandboxConfig(workers=1)) as sandbox, Portal(config, sandbox=sandbox) as portal:
        await portal.wait_ready(READY_S)
        yield portal


IN_TWO_STEPS = """
const [one, two] = await Promise.all([1, 2].map(number => codemode.tracker_get_issue({ number })));
await Promise.all([one, two].map(({ reporter: login }) => codemode.tracker_get_person({ login })))
"""


@pytest.mark.parametrize(
    ("program", "calls", "turns"),
    [
        ("1 + 1", 0, 0),
        ("codemode.tracker_get_issue({ number: 1 })", 1, 1),
        ("for (const number of [1, 2, 3]) await codemode.tracker_get_issue({ number })", 3, 3),
        ("Promise.all([1, 2, 3].map(number => codemode.tracker_get_issue({ number })))", 3, 1),
        # More than there is room for: those that wait for a place were asked for at once all the same.
        ("Promise.all(Array.from({ length: 30 }, (_, at) => codemode.tracker_get_issue({ number: at + 1 })))", 30, 1),
        (IN_TWO_STEPS, 4, 2),
    ],
)
async def test_calls_under_way_together_are_one_turn(demo: Portal, program: str, calls: int, turns: int) -> None:
    report = await measure(demo, "default", encoding="o200k_base", program=program)

    assert report.program is not None
    direct, one_by_one = report.program.direct, report.program.one_by_one
    assert (direct.calls, direct.turns, one_by_one.turns) == (calls, turns, calls)


async def test_a_call_that_failed_and_was_caught_is_read_too(demo: Portal) -> None:
    program = "codemode.tracker_get_person({ login: 'nobody' }).catch(error => error.message.length)"

    report = await measure(demo, "default", encoding="o200k_base", program=program)

    assert report.program is not None
    assert report.program.direct.read > 5
    assert report.program.direct.written == count_tokens('{"name":"tracker_get_person","arguments":{"login":"nobody"}}')


async def test_more_names_than_one_search_takes_are_all_looked_for(demo: Portal) -> None:
    queries = [f"word{number}" for number in range(20)] + ["get one person"]

    report = await measure(demo, "default", encoding="o200k_base", program="1 + 1", queries=queries)

    assert report.program is not None
    search, catalog, invoker = report.program.search, demo.catalog(), demo.invoker("default")
    found = await demo.engine.code(search, catalog=catalog, invoker=invoker)
    assert "tracker_get_person" in found.text
    assert search.count("codemode.search(") == 2


async def test_a_program_that_fails_is_not_compared(demo: Portal) -> None:
    with pytest.raises(ProgramFailed, match="nothing to compare"):
        await measure(demo, "default", encoding="o200k_base", program="codemode.tracker_get_issue({ number: 0.5 })")


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "a\nb"),
        ({"content": [{"type": "text", "text": "a"}], "structuredContent": {"n": 1}}, "a"),
        ({"content": [], "structuredContent": {"n": 1}}, '{"n":1}'),
        ({"content": [{"type": "image", "data": "AAAA", "mimeType": "image/png"}]}, ""),
    ],
)
def test_a_model_reads_the_text_of_a_result(result: JsonObject, text: str) -> None:
    assert text_of(result) == text

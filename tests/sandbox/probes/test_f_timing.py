"""Probes 64 to 66: what time and randomness tell."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import pytest

from engine import Catalog
from tests.sandbox.probes._rule import probe
from tests.sandbox.probes._upstream import TRACKER

if TYPE_CHECKING:
    from engine import JsonValue
    from tests.sandbox.probes._rule import Attack, Rule


@probe(64)
@pytest.mark.parametrize("clock", ["Date.now()", "performance.now()", "+new Date()", "new Date().getMilliseconds()"])
async def test_no_clock_moves_while_a_program_computes(attack: Attack, clock: str) -> None:
    """The choice: a turn has one time. What a program can measure are its own waits."""
    ended = await attack(f"const a = {clock}; for (let i = 0; i < 1e6; i++); {clock} - a")

    assert ended.value == 0


@probe(64)
async def test_a_loop_cannot_be_timed_against_a_timer_or_a_call(attack: Attack) -> None:
    """A counter in one promise sees no tick from another while it counts: there is one thread, and turns."""
    ended = await attack("""
        let ticks = 0;
        setInterval(() => ticks++, 0);
        codemode.tracker_greet({name: "x"}).then(() => ticks++);
        for (let i = 0; i < 1e6; i++);
        return ticks
    """)

    assert ended.text.startswith("0")


@probe(65)
async def test_no_two_isolates_draw_the_same_numbers(rule: Rule) -> None:
    drawn: list[JsonValue] = []

    async with rule() as probe:
        for _ in range(50):
            source = "[Math.random(), crypto.randomUUID(), crypto.getRandomValues(new Uint32Array(2)).join()]"
            drawn.append((await probe.run(source)).text)

    assert len(set(map(str, drawn))) == 50


@probe(65)
async def test_numbers_drawn_by_one_isolate_do_not_repeat(attack: Attack) -> None:
    ended = await attack(
        "new Set(Array.from({length: 1e4}, () => crypto.getRandomValues(new Uint32Array(2)).join())).size"
    )

    assert ended.value == 10_000


@probe(66)
async def test_a_tool_of_others_is_answered_like_no_tool_in_text_and_time(rule: Rule) -> None:
    """What a caller may not use is not in its catalog: there is no second way through the code that could be slower."""
    mine = Catalog.build([TRACKER])
    took: dict[str, list[float]] = {"files_read_file": [], "files_seek_file": []}

    async with rule() as probe:
        for _ in range(25):
            for name, times in took.items():
                began = time.perf_counter()
                await probe.run(
                    f"const name = '{name}'.trim(); await codemode.raw(name, {{}}).catch(e => e.message)", catalog=mine
                )
                times.append(time.perf_counter() - began)
    hidden, absent = (statistics.median(times) for times in took.values())
    texts = {answer.replace("read", "").replace("seek", "") for answer in probe.answers}

    assert len(texts) == 1
    assert 0.2 < hidden / absent < 5

"""The tasks of the benchmark, both ways over real servers: right answers, and figures that are those of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks._task_run import measure
from benchmarks.tasks import report
from portal._tokens import count_tokens

if TYPE_CHECKING:
    from benchmarks._task_run import Measured, Way
    from portal.context import Exchange

TASKS = ("T1", "T2", "T3", "T4", "T5", "T6", "T7", "T11")
CONTROLS = ("T6", "T7")


@pytest.fixture(scope="module")
def measured() -> dict[str, Measured]:
    """Every task done once both ways through one running portal."""
    return {one.task.id: one for one in measure()}


def exchanges(way: Way) -> list[Exchange]:
    return [exchange for turn in way.turns for exchange in turn]


def test_the_tasks_are_the_eight_of_the_benchmark_with_two_controls(measured: dict[str, Measured]) -> None:
    assert tuple(measured) == TASKS
    assert tuple(name for name, one in measured.items() if one.task.is_control) == CONTROLS


@pytest.mark.parametrize("name", TASKS)
def test_both_ways_give_the_answer_that_was_counted_when_the_data_was_made(
    measured: dict[str, Measured], name: str
) -> None:
    one = measured[name]

    assert one.code.answer == one.gold
    assert one.direct.answer == one.gold


@pytest.mark.parametrize("name", TASKS)
def test_the_search_that_is_counted_brings_every_tool_that_the_programs_call(
    measured: dict[str, Measured], name: str
) -> None:
    one = measured[name]
    found = exchanges(one.code)[0].answer

    assert one.tools
    assert [tool for tool in one.tools if f"\n{tool}(" not in f"\n{found}"] == []


@pytest.mark.parametrize("name", TASKS)
def test_the_tokens_are_those_of_what_was_defined_written_and_read(measured: dict[str, Measured], name: str) -> None:
    for way in (measured[name].code, measured[name].direct):
        answers = sum(count_tokens(exchange.answer) for exchange in exchanges(way))

        assert way.bill.read == answers
        assert way.bill.calls == len(exchanges(way)) == way.bill_one_by_one.turns
        assert way.bill.context == way.bill.definitions + way.payload == way.bill_one_by_one.context
        assert way.bill.definitions * (way.bill.turns + 1) < way.bill.billed_input
        assert way.bill.billed_input <= way.bill_one_by_one.billed_input


def test_direct_calls_read_every_file_and_code_mode_reads_none(measured: dict[str, Measured]) -> None:
    lines = [exchange.answer.count("\n") for exchange in exchanges(measured["T1"].direct)]

    assert len(lines) == 21
    assert sum(lines) > 20 * 60
    assert max(exchange.answer.count("\n") for exchange in exchanges(measured["T1"].code)) < 25


def test_direct_calls_are_offered_the_tools_of_five_servers_and_code_mode_one(measured: dict[str, Measured]) -> None:
    one = measured["T1"]

    assert len({str(tool["name"]).partition("_")[0] for tool in one.direct.definitions}) == 5
    assert [tool["name"] for tool in one.code.definitions] == ["code"]


@pytest.mark.parametrize("name", TASKS)
def test_code_mode_leaves_less_in_the_context_even_where_its_payload_is_larger(
    measured: dict[str, Measured], name: str
) -> None:
    one = measured[name]

    assert one.code.bill.context < one.direct.bill.context
    assert one.code.bill.billed_input < one.direct.bill.billed_input
    assert (one.code.payload > one.direct.payload) is (name in CONTROLS)


def test_the_page_shows_the_figures_of_each_task_and_marks_the_controls(measured: dict[str, Measured]) -> None:
    page = report(list(measured.values())).text

    for name, one in measured.items():
        label = f"{name} (control)" if name in CONTROLS else name
        cost = one.direct.bill
        figures = f"{cost.definitions:,} | {one.direct.payload:,} | {cost.context:,}"
        assert f"| {label} | direct calls | {cost.calls} | {figures} |" in page
    assert "upper bound" in page

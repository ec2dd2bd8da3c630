"""Eight tasks end to end over real servers: the tokens of direct calls beside those of code mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks._section import Section
from benchmarks._task_run import measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks._task_run import Measured, Way


def run() -> Section:
    """Do every task both ways; a wrong answer stops the benchmark."""
    measured = measure()
    wrong = [one.task.id for one in measured if not one.gold == one.code.answer == one.direct.answer]
    if wrong:
        raise ValueError(f"wrong answers: {', '.join(wrong)}")
    return report(measured)


def report(measured: Sequence[Measured]) -> Section:
    """Write ``measured`` as a section of the page."""
    code, direct = measured[0].code.bill, measured[0].direct.bill
    offered = (
        f"The definitions are {direct.definitions:,} tokens for {direct.tools} tools of five servers, and "
        f"{code.definitions:,} for the one tool of code mode."
    )
    lines = [
        _METHOD,
        "",
        offered,
        "",
        "| task | way | calls | definitions | payload | context at the end | input, one by one | input, batched |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
        *(line for one in measured for line in _rows(one)),
        *_totals(measured),
        "",
        *(f"* **{_label(one)}** {one.task.question}" for one in measured),
    ]
    return Section(title="Tasks, end to end", text="\n".join(lines))


_METHOD = """\
Every call is really made, through one running portal over server-filesystem, server-everything and server-memory (npm),
mcp-server-git and mcp-server-sqlite (PyPI), and both ways give the answer that was counted when the data was made.
Tokens are o200k. A definition counts as name, description and input schema; the payload is what the model writes in
calls and reads in answers, as text. "Input" is what a provider counts over all turns without caching, where each turn
sends everything before it again: with a turn for each call, and with calls that do not depend on each other in one turn
(which is also about what one call that reads many files would cost). The calls of code mode are those of the tool
`code`: a search for the tools, then one or two programs; the tool calls that the programs made stand in brackets.

**The saving is an upper bound.** Both ways were written by hand, by somebody who knew the answers: the direct calls
open nothing in vain and the arithmetic of the model is taken as right; the searches ask well and no program fails.
Prompt caching makes repeated input cheaper, and there is more of it in direct calls. T6 and T7 are controls, for which
one SQL query is enough: there code mode takes more payload than direct calls, and all that it saves is definitions,
which a client that loads definitions when they are needed saves as well."""


def _label(one: Measured) -> str:
    return f"{one.task.id} (control)" if one.task.is_control else one.task.id


def _rows(one: Measured) -> Iterator[str]:
    inner = sum(one.tools.values())
    yield _row(_label(one), "direct calls", str(one.direct.bill.calls), _figures(one.direct))
    yield _row("", "code mode", f"{one.code.bill.calls} ({inner})", _figures(one.code))


def _figures(way: Way) -> tuple[int, ...]:
    cost = way.bill
    return cost.definitions, way.payload, cost.context, way.bill_one_by_one.billed_input, cost.billed_input


def _row(label: str, way: str, calls: str, figures: Iterable[int]) -> str:
    return f"| {label} | {way} | {calls} | {' | '.join(f'{figure:,}' for figure in figures)} |"


def _totals(measured: Sequence[Measured]) -> Iterator[str]:
    sums = []
    for name, ways in (
        ("direct calls", [one.direct for one in measured]),
        ("code mode", [one.code for one in measured]),
    ):
        columns = tuple(sum(column) for column in zip(*map(_figures, ways), strict=True))
        sums.append(columns)
        yield _row("all" if name == "direct calls" else "", name, str(sum(way.bill.calls for way in ways)), columns)
    direct, code = sums
    yield f"| | times less | | {' | '.join(f'{a / b:.1f}' for a, b in zip(direct, code, strict=True))} |"

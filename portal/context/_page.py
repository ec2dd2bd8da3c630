"""The measurement as one HTML page that needs nothing beside itself: no script, no font, no address."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from portal.context._charts import Bar, bars, legend
from portal.context._wording import (
    HOW_LISTS_ARE_COUNTED,
    HOW_PROGRAMS_ARE_COUNTED,
    how_found,
    program_rows,
    ratio,
    share,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from portal.context._discovery import Discovery
    from portal.context._program import ProgramCost
    from portal.context._report import ContextReport

_TOOLS_DRAWN: Final = 30
_BILL_PARTS: Final = ("tool definitions", "written in calls", "read in answers")


def page(report: ContextReport, *, made: str) -> str:
    """Write the page; ``made`` says with what and when it was measured."""
    parts = [_figures(report), _modes(report), _servers(report), _tools(report)]
    if report.discovery is not None:
        parts.append(_discovery(report.discovery))
    if report.program is not None:
        parts.insert(1, _program(report.program))
    style = (files("portal.context") / "report.css").read_text(encoding="utf-8")
    title = f"What the tools of the portal {report.portal} cost in context"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>\n{style}</style></head>\n<body><main>\n"
        f'<h1>{escape(title)}</h1>\n<p class="lead">In {escape(report.encoding)} tokens. {escape(made)}</p>\n'
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def _figures(report: ContextReport) -> str:
    plain, code = report.modes[0], report.modes[-1]
    cards = [
        (f"{plain.tokens:,}", f"tokens to list {plain.tools:,} tools", ""),
        (f"{code.tokens:,}", "tokens in code mode", "mark"),
        (ratio(code.tokens, plain.tokens), "smaller than the plain list", ""),
    ]
    if report.program is not None:
        gain = ratio(report.program.code.context, report.program.direct.context)
        cards.append((gain, "less context for one program than for its calls", ""))
    shown = "".join(f'<div><b class="{kind}">{value}</b><span>{text}</span></div>' for value, text, kind in cards)
    return f'<div class="figures">{shown}</div>'


def _modes(report: ContextReport) -> str:
    plain = report.modes[0]
    chart = bars(
        [Bar(label=mode.name, parts=(mode.tokens,), value=f"{mode.tokens:,}") for mode in report.modes],
        description="Tokens of tools/list in each mode",
    )
    rows = [
        (
            mode.name,
            mode.query or "-",
            f"{mode.tools:,}",
            f"{mode.tokens:,}",
            ratio(mode.tokens, plain.tokens),
            f"{mode.whole:,}",
        )
        for mode in report.modes
    ]
    table = _table(("mode", "asked for by", "tools", "tokens", "", "whole list"), rows, texts=2)
    return _section("tools/list in each mode", chart, table, _note(HOW_LISTS_ARE_COUNTED))


def _servers(report: ContextReport) -> str:
    total = report.modes[0].tokens
    chart = bars(
        [
            Bar(label=server.id, parts=(server.tokens,), value=f"{server.tokens:,} ({share(server.tokens, total)})")
            for server in report.servers
        ],
        description="Tokens of the plain list by server",
    )
    rows = [
        (server.id, server.name, server.status, f"{server.tools:,}", f"{server.tokens:,}", f"{server.whole:,}")
        for server in report.servers
    ]
    table = _table(("server", "name", "status", "tools", "tokens", "whole list"), rows, texts=3)
    return _section("By server", chart, table)


def _tools(report: ContextReport) -> str:
    drawn = report.tools[:_TOOLS_DRAWN]
    chart = bars(
        [
            Bar(
                label=tool.name,
                parts=(tool.description, tool.input_schema),
                value=f"{tool.tokens:,}",
                title=f"{tool.name}: description {tool.description:,}, input schema {tool.input_schema:,}",
            )
            for tool in drawn
        ],
        description="Tokens of the largest tools",
    )
    rows = [
        (tool.name, tool.server, *(f"{n:,}" for n in (tool.tokens, tool.description, tool.input_schema, tool.whole)))
        for tool in report.tools
    ]
    table = _table(("tool", "server", "tokens", "description", "input schema", "whole"), rows, texts=2)
    everything = f"<details><summary>All {len(report.tools):,} tools</summary>{table}</details>"
    title = f"The {len(drawn)} largest of {len(report.tools):,} tools"
    return _section(title, legend(("description", "input schema")), chart, everything)


def _discovery(found: Discovery) -> str:
    spreads = (
        ("codemode.search", found.search),
        ("codemode.describe, of one tool", found.describe),
        ("both", found.both),
        ("the tool query", found.query),
    )
    chart = bars(
        [Bar(label=name, parts=(spread.median,), value=f"{spread.median:,}") for name, spread in spreads],
        description="Median tokens to find a tool",
    )
    rows = [(name, f"{spread.median:,}", f"{spread.p95:,}", f"{spread.most:,}") for name, spread in spreads]
    table = _table(("written and read", "median", "95th percentile", "most"), rows)
    return _section("Finding a tool", chart, table, _note(how_found(found)))


def _program(program: ProgramCost) -> str:
    chart = bars(
        [
            Bar(label=name, parts=(cost.definitions, cost.written, cost.read), value=f"{cost.context:,}")
            for name, cost in (("code mode", program.code), ("the same calls made directly", program.direct))
        ],
        description="Tokens in the context after the job, in code mode and by direct calls",
    )
    rows = [(name, f"{code:,}", f"{direct:,}", ratio(code, direct)) for name, code, direct in program_rows(program)]
    table = _table(("", "code mode", "direct calls", ""), rows, strong="context at the end")
    calls = ", ".join(f"{name} x{count}" if count > 1 else name for name, count in program.calls) or "none"
    return _section(
        "One program, and the same calls made directly",
        legend(_BILL_PARTS),
        chart,
        table,
        _note(f"Calls: {calls}. {HOW_PROGRAMS_ARE_COUNTED}"),
        _unfolding("The program", program.source),
        _unfolding("Its answer", program.answer),
    )


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _unfolding(title: str, text: str) -> str:
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1, strong: str = "") -> str:
    """Write a table whose first ``texts`` columns are text and whose others are figures."""

    def cells(row: Sequence[str], tag: str) -> str:
        kinds = [' class="text"' if place < texts else "" for place in range(len(row))]
        return "".join(f"<{tag}{kind}>{escape(text)}</{tag}>" for kind, text in zip(kinds, row, strict=True))

    body = "".join(
        f"<tr{' class=strong' if strong and row[0] == strong else ''}>{cells(row, 'td')}</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{cells(titles, "th")}</tr></thead><tbody>{body}</tbody></table></div>'

"""The measurement as tables for a terminal; plain text in a pipe or a file."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from portal._printable import printable_line
from portal.context._wording import (
    HOW_LISTS_ARE_COUNTED,
    HOW_PROGRAMS_ARE_COUNTED,
    how_found,
    program_rows,
    ratio,
    share,
)

if TYPE_CHECKING:
    from rich.console import Console

    from portal.context._discovery import Discovery
    from portal.context._program import ProgramCost
    from portal.context._report import ContextReport

_PROSE_COLUMNS: Final = 100


def show_report(console: Console, report: ContextReport, *, top: int) -> None:
    """Print the report; of the tools the ``top`` largest."""
    _show_modes(console, report)
    _show_servers(console, report)
    _show_tools(console, report, top)
    if report.discovery is not None:
        _show_discovery(console, report.discovery)
    if report.program is not None:
        _show_program(console, report.program)


def _show_modes(console: Console, report: ContextReport) -> None:
    _heading(console, f"tools/list of the portal {report.portal}, in {report.encoding} tokens")
    table = _table("mode", "asked for by", "tools", "tokens", "", "whole list", left=2)
    plain = report.modes[0]
    for mode in report.modes:
        cells = (mode.name, mode.query or "-", f"{mode.tools:,}", f"{mode.tokens:,}")
        table.add_row(*cells, ratio(mode.tokens, plain.tokens), f"{mode.whole:,}")
    console.print(table)
    _prose(console, HOW_LISTS_ARE_COUNTED)


def _show_servers(console: Console, report: ContextReport) -> None:
    _heading(console, "By server")
    total = report.modes[0].tokens
    table = _table("server", "name", "status", "tools", "tokens", "share", "whole list", left=3)
    for server in report.servers:
        cells = (server.id, printable_line(server.name), server.status, f"{server.tools:,}", f"{server.tokens:,}")
        table.add_row(*cells, share(server.tokens, total), f"{server.whole:,}")
    console.print(table)


def _show_tools(console: Console, report: ContextReport, top: int) -> None:
    shown = report.tools[:top]
    _heading(console, f"The {len(shown)} largest of {len(report.tools):,} tools")
    table = _table("tool", "tokens", "description", "input schema", "whole", left=1)
    for tool in shown:
        figures = (tool.tokens, tool.description, tool.input_schema, tool.whole)
        table.add_row(printable_line(tool.name), *(f"{figure:,}" for figure in figures))
    console.print(table)


def _show_discovery(console: Console, found: Discovery) -> None:
    _heading(console, "Finding a tool: tokens written and read")
    table = _table("by", "median", "95th percentile", "most", left=1)
    for name, spread in (
        ("codemode.search", found.search),
        ("codemode.describe, of one tool", found.describe),
        ("both", found.both),
        ("the tool query", found.query),
    ):
        table.add_row(name, f"{spread.median:,}", f"{spread.p95:,}", f"{spread.most:,}")
    console.print(table)
    _prose(console, how_found(found))


def _show_program(console: Console, program: ProgramCost) -> None:
    _heading(console, "One program, and the same calls made directly")
    table = _table("tokens", "code mode", "direct calls", "", left=1)
    for name, code, direct in program_rows(program):
        gain = ratio(code, direct)
        table.add_row(name, f"{code:,}", f"{direct:,}", gain, style="bold" if name.startswith("context") else "")
    console.print(table)
    calls = ", ".join(f"{name} x{count}" if count > 1 else name for name, count in program.calls)
    _prose(console, printable_line(f"Calls: {calls or 'none'}."))
    _prose(console, HOW_PROGRAMS_ARE_COUNTED)


def _table(*titles: str, left: int) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number, title in enumerate(titles):
        table.add_column(title, justify="left" if number < left else "right", no_wrap=number >= left)
    return table


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold cyan"), soft_wrap=True)
    console.print()


def _prose(console: Console, text: str) -> None:
    console.print(Text(fill(text, _PROSE_COLUMNS), style="dim"), soft_wrap=True)

"""What the showing looks like: colours on a terminal, the same words as plain text in a pipe or a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from portal.showcase._job import QUESTION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from portal.showcase._job import Job
    from portal.showcase._showing import CodeRun, DirectRun
    from portal.upstream import ServerStatus
    from typegen import JsonValue

_PROSE_COLUMNS: Final = 100
_LINE_COLUMNS: Final = 118
_SHOWN_DECLARATION_LINES: Final = 6
_COUNTED: Final = (
    "Tokens are o200k. A definition counts as name, description and input schema; an answer as its text. "
    "The question and the model's closing words are in neither column. Direct calls that do not depend on each other "
    "are sent in one turn; a model that sends them one by one takes more turns, and works the answer out in its head."
)


def show_servers(console: Console, servers: Sequence[ServerStatus]) -> None:
    """Say which servers stand behind the portal, and how each is."""
    _heading(console, f"One portal, {len(servers)} MCP servers")
    table = Table.grid(padding=(0, 2, 0, 0))
    for server in servers:
        tools = f"{server.tools} tools" if server.cause is None else server.cause
        table.add_row(server.id, server.name, server.transport, server.status, tools)
    console.print(table)


def show_code_run(console: Console, job: Job, code: CodeRun) -> None:
    """Show the question, both programs, the answer, and what the run took."""
    _heading(console, "The question")
    console.print(Text(QUESTION), width=_PROSE_COLUMNS)
    _heading(console, "Code mode: the model sees one tool, code. It looks for tools first ...")
    _javascript(console, job.discovery)
    console.print()
    _declarations(console, code.found)
    _heading(console, "... and then sends one program")
    _javascript(console, job.program)
    _heading(console, "The answer")
    _code(console, _readable(code.answer), "json")
    console.print()
    console.print(Text(_took(code), style="bold"))


def show_comparison(console: Console, code: CodeRun, direct: DirectRun) -> None:
    """Show what both ways cost, and whether they agree."""
    _heading(console, "The same job by direct tool calls, made through the same portal")
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("tokens")
    for title in ("code mode", "direct calls", ""):
        table.add_column(title, justify="right")
    left, right = code.bill, direct.bill
    table.add_row("tool definitions", *_pair(left.definitions, right.definitions))
    table.add_row("written by the model in calls", *_pair(left.written, right.written))
    table.add_row("read by the model in answers", *_pair(left.read, right.read))
    table.add_row("context at the end", *_pair(left.context, right.context), style="bold")
    table.add_row("input over all turns, uncached", *_pair(left.billed_input, right.billed_input), style="bold")
    table.add_section()
    table.add_row("tools defined", str(left.tools), str(right.tools), "")
    table.add_row("model turns that call tools", str(left.turns), str(right.turns), "")
    table.add_row("tool calls by the model", str(left.calls), str(right.calls), "")
    console.print(table)
    if code.answer == direct.answer:
        console.print(Text("Both ways gave the same answer.", style="green"))
    else:  # a commit was made in between, or the clock went past midnight
        console.print(Text("The direct calls gave another answer:", style="red"))
        _code(console, _readable(direct.answer), "json")
    console.print(Text(_COUNTED, style="dim"), width=_PROSE_COLUMNS)


def show_clients(console: Console, url: str, snippets: Iterable[tuple[str, str, str]]) -> None:
    """Show the address and what to paste into each client: name, place and text."""
    _heading(console, "Use it from your own client")
    console.print(Text(url, style="bold"), soft_wrap=True)
    for name, place, text in snippets:
        console.print()
        console.print(Text.assemble((name, "bold"), f", {place}:"), soft_wrap=True)
        console.print(Text(text), soft_wrap=True)


def _took(code: CodeRun) -> str:
    tools = code.run.get("tools")
    calls = code.run.get("calls", 0)
    kinds = len(tools) if isinstance(tools, dict) else 0
    cpu = code.run.get("cpu_ms")
    isolate = f", of which the isolate computed {cpu:.0f} ms" if isinstance(cpu, int | float) else ""
    return f"{calls} tool calls to {kinds} tools by one program, in {code.duration_s * 1000:.0f} ms{isolate}."


def _readable(value: JsonValue, indent: str = "") -> str:
    """Write JSON as a person would: what fits a line is on one."""
    line = json.dumps(value, ensure_ascii=False)
    if not value or len(indent) + len(line) <= _PROSE_COLUMNS or not isinstance(value, dict | list):
        return line
    deeper = f"{indent}  "
    if isinstance(value, list):
        items = [f"{deeper}{_readable(item, deeper)}" for item in value]
        return "[\n" + ",\n".join(items) + f"\n{indent}]"
    items = [f"{deeper}{json.dumps(key, ensure_ascii=False)}: {_readable(item, deeper)}" for key, item in value.items()]
    return "{\n" + ",\n".join(items) + f"\n{indent}}}"


def _declarations(console: Console, found: str) -> None:
    lines = found.splitlines()
    shown = [
        line if len(line) <= _LINE_COLUMNS else f"{line[: _LINE_COLUMNS - 1]}…"
        for line in lines[:_SHOWN_DECLARATION_LINES]
    ]
    _code(console, "\n".join(shown), "typescript")
    if len(lines) > len(shown):
        console.print(Text(f"… and {len(lines) - len(shown)} more lines of declarations", style="dim"))


def _pair(code: int, direct: int) -> tuple[str, str, str]:
    ratio = f"{direct / code:.1f} x" if code and direct >= code else ""
    return f"{code:,}", f"{direct:,}", ratio


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold cyan"))
    console.print()


def _javascript(console: Console, source: str) -> None:
    _code(console, source, "javascript")


def _code(console: Console, source: str, language: str) -> None:
    # Highlighted as text and printed unwrapped: in a pipe it is the source as it is, ready to be copied.
    highlighted = Syntax("", language, theme="ansi_dark", background_color="default").highlight(source)
    highlighted.rstrip()
    console.print(highlighted, soft_wrap=True)

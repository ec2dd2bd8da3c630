"""What commands print: aligned tables for people, JSON for programs, and log lines on stderr."""

from __future__ import annotations

import json
import logging
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import typer

from portal._printable import printable, printable_json, printable_line
from portal.cli._log_thread import ThreadHandler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typegen import JsonValue

_TIME: Final = "%Y-%m-%dT%H:%M:%S%z"


def print_text(text: str, *, nl: bool = True) -> None:
    """Print a text of a server or a program on stdout: as it is for a program, ``printable`` on a terminal."""
    typer.echo(printable(text) if sys.stdout.isatty() else text, nl=nl)


def print_json(value: JsonValue) -> None:
    """Print one JSON document on stdout; what would steer a terminal is escaped in it."""
    typer.echo(printable_json(json.dumps(value, indent=2, ensure_ascii=False)))


def print_table(rows: Sequence[Sequence[str]], *, headings: Sequence[str] = ()) -> None:
    """Print rows with aligned columns on stdout; the last column is as long as it is."""
    table = [[printable_line(cell) for cell in row] for row in ([headings] if headings else []) + [*rows]]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))] if table else []
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        typer.echo("  ".join([*cells, row[-1]]).rstrip())


def note(message: str) -> None:
    """Say something beside the result, on stderr."""
    typer.echo(f"portico: {printable(message)}", err=True)


def plural(count: int, noun: str) -> str:
    """``1 server``, ``2 servers``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def start_logging(*, is_debug: bool, level: int, serves: bool = False) -> None:
    """Send the log to stderr, Portico's own from ``level`` on and the libraries' from a warning on at the earliest.

    An open portal keeps every configured secret out of it. A command that ``serves`` does not wait for who reads the
    log; the others do, so that their lines and what else they print come in order.
    """
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # no line tells them
    handler = ThreadHandler(sys.stderr.fileno()) if serves else logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    others = logging.DEBUG if is_debug else max(level, logging.WARNING)
    logging.basicConfig(level=others, handlers=[handler], force=True)
    if not is_debug:
        logging.getLogger("portico").setLevel(level)


class _Formatter(logging.Formatter):
    """One record, one line, and after it its traceback if it has one: no message can pass for another record.

    The line is put together here and not from a template, because every call writes one: 2 us in place of 5, measured.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = printable_line(
            f"{_time_of(int(record.created))} {record.levelname} {record.name}: {record.getMessage()}"
        )
        if record.exc_info:
            line = f"{line}\n{printable(self.formatException(record.exc_info))}"
        if record.stack_info:
            line = f"{line}\n{printable(self.formatStack(record.stack_info))}"
        return line


@lru_cache(maxsize=1)
def _time_of(second: int) -> str:
    return time.strftime(_TIME, time.localtime(second))

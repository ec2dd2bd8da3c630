"""What commands print: aligned tables for people, JSON for programs, and log lines on stderr."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typegen import JsonValue

_LINE: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_TIME: Final = "%Y-%m-%dT%H:%M:%S%z"


def print_json(value: JsonValue) -> None:
    """Print one JSON document on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[str]], *, headings: Sequence[str] = ()) -> None:
    """Print rows with aligned columns on stdout; the last column is as long as it is."""
    table = [*([list(headings)] if headings else []), *[list(row) for row in rows]]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))] if table else []
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        typer.echo("  ".join([*cells, row[-1]]).rstrip())


def note(message: str) -> None:
    """Say something beside the result, on stderr."""
    typer.echo(f"portico: {message}", err=True)


def plural(count: int, noun: str) -> str:
    """``1 server``, ``2 servers``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def start_logging(*, is_debug: bool, level: int) -> None:
    """Send the log to stderr, Portico's own from ``level`` on and the libraries' from a warning on at the earliest.

    An open portal keeps every configured secret out of it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_LINE, _TIME))
    others = logging.DEBUG if is_debug else max(level, logging.WARNING)
    logging.basicConfig(level=others, handlers=[handler], force=True)
    if not is_debug:
        logging.getLogger("portico").setLevel(level)

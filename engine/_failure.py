"""A program's failure in words: what happened, where in the agent's own source, and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine._quote import quoted_part
from engine._returned import returned_text
from sandbox import (
    CallLimitExceeded,
    CpuLimitExceeded,
    LimitExceeded,
    MemoryLimitExceeded,
    OutputLimitExceeded,
    ProgramError,
    ProgramSyntaxError,
    SourceTooLarge,
    StackLimitExceeded,
    UnsettledPromise,
    WallLimitExceeded,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine._catalog import Catalog, CatalogTool
    from sandbox import GuestError
    from typegen import JsonValue

_LINE_CHARS = 160
_MESSAGE_CHARS = 2_000
_NAME_CHARS = 100
_ERROR_NAME = re.compile(r"[A-Z][A-Za-z]*Error|Error")

_ADVICE: tuple[tuple[type[GuestError], str], ...] = (
    (CpuLimitExceeded, "Look for a loop that never ends, or do less work in one program."),
    (WallLimitExceeded, "Call less in one program, or run independent calls with Promise.all."),
    (MemoryLimitExceeded, "Hold less at once: filter each result as it comes."),
    (StackLimitExceeded, "Look for recursion without an end; use a loop for deep data."),
    (SourceTooLarge, "Send a shorter program; fetch data with a tool instead of pasting it."),
    (CallLimitExceeded, "Ask for more in each call, or split the work over several programs."),
    (OutputLimitExceeded, "Return or print a summary, not the data."),
    (UnsettledPromise, "A promise was awaited that nothing resolves: check each new Promise(...)."),
)


def failure_text(
    error: GuestError, *, source: str, catalog: Catalog, returned: Iterable[tuple[CatalogTool, JsonValue]] = ()
) -> str:
    """Write one failure, as in ``ToolError at 6:9: github_create_comment: 403 Forbidden``, with the line it was on.

    Where the program took a result for what it is not, the shapes of what its tools ``returned`` follow.
    """
    where = f" at {error.line}:{error.column}" if error.line is not None else ""
    message = quoted_part(error.message, _MESSAGE_CHARS)
    text = f"{error_name(error)}{where}: {_tool_prefix(error, catalog)}{message}"
    shown = _source_line(error, source)
    advice = next((words for kind, words in _ADVICE if isinstance(error, kind)), "")
    return "\n".join(part for part in (text, shown, advice, returned_text(error, returned)) if part)


def error_name(error: GuestError) -> str:
    """Return the name of an error as the agent reads it."""
    if isinstance(error, ProgramError):
        return quoted_part(error.name, _NAME_CHARS)
    if isinstance(error, ProgramSyntaxError):
        return "SyntaxError"
    if isinstance(error, LimitExceeded):
        return f"Stopped ({error.limit} limit)"
    return "Stopped"


def error_status(error: GuestError) -> str:
    """Return the name of an error as the record of its run has it: no word that a program may choose means another end.

    ``error.name = "ok"`` is an ``Error``.
    """
    name = error_name(error)
    return "Error" if isinstance(error, ProgramError) and not _ERROR_NAME.fullmatch(name) else name


def _tool_prefix(error: GuestError, catalog: Catalog) -> str:
    """Name the tool of an uncaught ``ToolError`` as the program calls it, where its message does not."""
    if not isinstance(error, ProgramError):
        return ""
    entry = catalog.at(error.fields.get("server"), error.fields.get("tool"))
    return f"{entry.identifier}: " if entry and not error.message.startswith(entry.identifier) else ""


def _source_line(error: GuestError, source: str) -> str:
    """Quote the line of the agent's source that the error names."""
    # The isolate says which line it was: any number at all.
    if error.line is None or not 1 <= error.line <= source.count("\n") + 1:
        return ""
    line = source.split("\n", error.line)[error.line - 1].strip()
    return f"  {error.line} | {line[:_LINE_CHARS]}" if line else ""

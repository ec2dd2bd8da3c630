"""Errors as the person at the terminal sees them: one message, and an exit code that says who can fix it."""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, Final, TextIO

import typer

from portal._errors import AddressInUse, ConfigError, StoreUnusable
from portal._printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILED: Final = 1  # the operation failed; the same command may work later
BAD_INPUT: Final = 2  # the command, the configuration or what it points to has to change first
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it

# The roots of the packages' errors, by name: importing them would cost every mistyped option half a second.
_ROOTS: Final = frozenset({"PortalError", "EngineError", "SandboxError"})

# Of a write to a descriptor; an error of a file that Portico opens itself names the file.
_OUTPUT_ERRORS: Final = frozenset({errno.ENOSPC, errno.EIO, errno.EDQUOT})


class UsageError(Exception):
    """The command line itself is wrong; the message says what to write instead."""


@contextmanager
def reported(*, shows_traceback: bool) -> Iterator[None]:
    """Turn an exception into a message on stderr and an exit code, with its traceback before it on demand.

    What an output cannot encode is written with backslashes.
    """
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, TextIOWrapper):
            output.reconfigure(errors="backslashreplace")
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 -- the outermost frame: reported here or nowhere
        raise SystemExit(_report(error, shows_traceback=shows_traceback)) from None


def _report(error: BaseException, *, shows_traceback: bool) -> int:
    """Say what happened, if there is something to say, and return the exit code."""
    for handler in logging.getLogger().handlers:
        handler.flush()  # the log says what came before
    leaves = list(_leaves(error))
    _give_up(sys.stdout)
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return INTERRUPTED
    # The reader (`| head`) has what it wanted. Rich has left by then, inside of whatever group.
    if any(isinstance(leaf, BrokenPipeError | SystemExit) for leaf in leaves):
        return FAILED
    message, code = explained(error)
    told = "".join(traceback.format_exception(error)) if shows_traceback else ""
    with suppress(OSError):
        typer.echo(printable(f"{told}portico: {message}"), err=True)
    _give_up(sys.stderr)
    return code


def _give_up(output: TextIO | None) -> None:
    """Keep Python from complaining while it shuts down when ``output`` takes nothing more."""
    if output is None:
        return
    try:
        output.flush()
    except OSError:
        discard(output)


def discard(output: TextIO) -> None:
    """Send what is still to be printed nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())


def explained(error: BaseException) -> tuple[str, int]:
    """The message for ``error`` and the exit code; the first known error inside a group speaks for the group."""
    leaves = list(_leaves(error))
    if any(isinstance(leaf, FileNotFoundError) for leaf in leaves) and _is_current_folder_gone():
        return "the current folder is gone: change to another.", BAD_INPUT
    for leaf in leaves:
        if isinstance(leaf, ConfigError | AddressInUse | StoreUnusable | UsageError):
            return str(leaf), BAD_INPUT
    for leaf in leaves:
        if any(kind.__name__ in _ROOTS for kind in type(leaf).__mro__):
            return str(leaf) or type(leaf).__name__, FAILED
    for leaf in leaves:
        if isinstance(leaf, OSError) and leaf.errno in _OUTPUT_ERRORS and leaf.filename is None:
            return f"the output cannot be written: {leaf.strerror}", FAILED
    unknown = f"unexpected {type(leaves[0]).__name__}: {leaves[0]}"
    return f"{unknown}\nThis is a fault in Portico: the same command with --debug shows where.", FAILED


def _is_current_folder_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 -- Path.cwd is the same
    except FileNotFoundError:
        return True
    return False


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error

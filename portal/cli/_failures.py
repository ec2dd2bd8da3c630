"""Errors as the person at the terminal sees them: one message, and an exit code that says who can fix it."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

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


class UsageError(Exception):
    """The command line itself is wrong; the message says what to write instead."""


@contextmanager
def reported(*, shows_traceback: bool) -> Iterator[None]:
    """Turn an exception into a message on stderr and an exit code, with its traceback before it on demand."""
    try:
        yield
    except BrokenPipeError:
        discard_stdout()  # the reader (`| head`) has what it wanted
        raise SystemExit(FAILED) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:  # noqa: BLE001 -- the outermost frame: reported here or nowhere
        for handler in logging.getLogger().handlers:
            handler.flush()  # the log says what came before
        if shows_traceback:
            typer.echo(printable(traceback.format_exc()), err=True, nl=False)
        message, code = explained(error)
        typer.echo(f"portico: {printable(message)}", err=True)
        raise SystemExit(code) from None


def discard_stdout() -> None:
    """Send what is still to be printed nowhere, which keeps Python from complaining again while it shuts down."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def explained(error: BaseException) -> tuple[str, int]:
    """The message for ``error`` and the exit code; the first known error inside a group speaks for the group."""
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, ConfigError | AddressInUse | StoreUnusable | UsageError):
            return str(leaf), BAD_INPUT
    for leaf in leaves:
        if any(kind.__name__ in _ROOTS for kind in type(leaf).__mro__):
            return str(leaf) or type(leaf).__name__, FAILED
    unknown = f"unexpected {type(leaves[0]).__name__}: {leaves[0]}"
    return f"{unknown}\nThis is a fault in Portico: the same command with --debug shows where.", FAILED


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error

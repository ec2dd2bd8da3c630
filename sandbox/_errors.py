"""What can go wrong in a sandbox, split by who can fix it.

::

    SandboxError
    |-- GuestError                     the submitted program; returned in an Outcome, never raised by execute
    |   |-- ProgramSyntaxError         it does not parse
    |   |-- ProgramError               it threw, and nothing in it caught that
    |   |-- UnsettledPromise           it waits for something that can never happen
    |   `-- LimitExceeded              it used more than it was given
    |       |-- CpuLimitExceeded       processor time
    |       |-- WallLimitExceeded      time on the clock, waits for host calls included
    |       |-- MemoryLimitExceeded    memory of the isolate
    |       |-- StackLimitExceeded     depth of calls, or of nesting in what it parses
    |       |-- SourceTooLarge         its own text
    |       |-- CallLimitExceeded      number, size or depth of its host calls
    |       `-- OutputLimitExceeded    console lines, or the value it returned
    `-- HostError                      us; raised
        |-- WorkerLost                 the process that held the run died
        |-- ProtocolError              a worker or an isolate sent what it never should
        |-- RunCancelled               its clock was told that nobody waits for the run any more
        |-- Overloaded                 too much is going on, of this user or of all: to be sent again later
        |-- IsolationUnavailable       the operator asked for kernel isolation and this kernel gives none
        `-- SandboxClosed              used before it was opened or after it was closed
"""

# ruff: noqa: N818 - named for what happened; the two branches of the tree say Error
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox._json import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class StackFrame:
    """One call on the program's stack, in the program's own source (line and column count from 1)."""

    function: str
    line: int
    column: int


class SandboxError(Exception):
    """The root of everything this package raises or returns."""


class GuestError(SandboxError):
    """The program failed; ``line`` and ``column`` count from 1 in its own source, where they are known."""

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


class ProgramSyntaxError(GuestError):
    """The program does not parse; ``source_line`` is the text of the line that says so."""

    def __init__(
        self, message: str, *, line: int | None = None, column: int | None = None, source_line: str = ""
    ) -> None:
        super().__init__(message, line=line, column=column)
        self.source_line = source_line


class ProgramError(GuestError):
    """The program threw; ``name`` and ``fields`` are those of the thrown error, ``frames`` its own stack."""

    def __init__(
        self,
        message: str,
        *,
        name: str = "Error",
        line: int | None = None,
        column: int | None = None,
        fields: Mapping[str, JsonValue] | None = None,
        frames: tuple[StackFrame, ...] = (),
    ) -> None:
        super().__init__(message, line=line, column=column)
        self.name = name
        self.fields: Mapping[str, JsonValue] = fields or {}
        self.frames = frames


class UnsettledPromise(GuestError):
    """The program waits for a promise that nothing is left to settle: no host call, no timer."""


class LimitExceeded(GuestError):
    """The program went past ``limit`` (a field of ``Limits``): ``used`` where ``max`` was allowed."""

    def __init__(
        self,
        message: str,
        *,
        limit: str,
        max: float,  # noqa: A002 - the word that the guest's own LimitError uses
        used: float | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        super().__init__(message, line=line, column=column)
        self.limit = limit
        self.max = max
        self.used = used


class CpuLimitExceeded(LimitExceeded):
    """The program used its processor time."""


class WallLimitExceeded(LimitExceeded):
    """The program used its time on the clock; time with the run's clock paused does not count."""


class MemoryLimitExceeded(LimitExceeded):
    """The isolate's memory was full."""


class StackLimitExceeded(LimitExceeded):
    """Calls, or the nesting of something parsed, went too deep."""


class SourceTooLarge(LimitExceeded):
    """The program's text was refused before anything parsed it."""


class CallLimitExceeded(LimitExceeded):
    """Too many host calls, or one with too many or too deeply nested argument bytes."""


class OutputLimitExceeded(LimitExceeded):
    """Too many bytes of console lines, or of returned value."""


class HostError(SandboxError):
    """The sandbox failed, not the program."""


class WorkerLost(HostError):
    """The worker process died; ``calls`` host calls of this run had been made and are not undone."""

    def __init__(self, message: str, *, calls: int = 0) -> None:
        super().__init__(message)
        self.calls = calls


class ProtocolError(HostError):
    """A worker or an isolate sent bytes that break the protocol; the run is stopped and nothing of it is used."""


class RunCancelled(HostError):
    """``RunClock.cancel`` ended the run."""


class Overloaded(HostError):
    """The run has not begun, because of ``bound`` (a field of ``Bounds``); it may after ``retry_after_s``."""

    def __init__(self, message: str, *, bound: str, max: float, retry_after_s: float) -> None:  # noqa: A002 - as above
        super().__init__(message)
        self.bound = bound
        self.max = max
        self.retry_after_s = retry_after_s


class IsolationUnavailable(HostError):
    """Kernel isolation was required and no layer of it is available here."""


class SandboxClosed(HostError):
    """The sandbox is not open."""

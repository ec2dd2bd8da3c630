"""What a run came to: its value or its error, what it said, and what it used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox._errors import GuestError


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One console call: ``level`` is the method's name, ``text`` may hold several lines."""

    level: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnhandledRejection:
    """A promise that rejected with nobody to see it; ``method`` where it was that of a host call."""

    name: str
    message: str
    line: int | None = None
    column: int | None = None
    method: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnawaitedCall:
    """A host call whose promise nothing waited for when the program's main promise settled."""

    method: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a run used: ``wall_s`` leaves out paused time, ``memory_bytes`` is what its heap held at the end."""

    cpu_s: float
    wall_s: float
    calls: int
    turns: int
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of a run. ``value`` is JSON text; ``None`` when the program failed or returned ``undefined``.

    A program that failed has an ``error``; the console lines up to then are kept. ``unawaited`` and ``unhandled`` are
    bounded lists, ``unawaited_count`` the true number. ``dropped_timers`` were still waiting when the run ended.
    """

    value: bytes | None
    error: GuestError | None
    logs: tuple[LogLine, ...]
    unhandled: tuple[UnhandledRejection, ...]
    unawaited: tuple[UnawaitedCall, ...]
    unawaited_count: int
    dropped_timers: int
    usage: Usage

"""Host calls: what a program asks of its host, and how the host answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox._json import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCall:
    """One call of a program: ``namespace.method(...args)``.

    ``args`` is the text of a JSON array, at most ``Limits.call_bytes`` long, and not yet parsed by anyone on this side.
    ``line`` and ``column`` say where in the program's source, counted from 1. ``turn`` counts the turns of the program
    from 1: it made the calls of one turn together, before it was given an answer to any of them.
    """

    id: int
    method: str
    args: bytes
    line: int | None = None
    column: int | None = None
    turn: int = 1


class Rejection(Exception):  # noqa: N818 - it is not an error of this side: it is an answer
    """Raised by a handler to reject the program's promise with an error of class ``name`` that has ``fields``.

    ``message`` and ``fields`` reach the program as they are: they must hold nothing that it may not see.
    """

    def __init__(self, message: str, *, name: str = "Error", fields: Mapping[str, JsonValue] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.name = name
        self.fields: Mapping[str, JsonValue] = fields or {}


HostCallHandler: TypeAlias = Callable[[HostCall], Awaitable[bytes]]
"""Answers a host call with JSON text, or raises ``Rejection``; any other exception ends the run and is raised."""

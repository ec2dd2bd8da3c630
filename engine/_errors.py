"""What can go wrong around a program, by who can fix it.

::

    EngineError
    ├── UpstreamError      the far server, or the way to it; a program sees it as a ``ToolError``
    ├── CallError          the program's own call: an unknown name, arguments that do not fit
    ├── UnknownRunError         the agent asked to resume a run of which nothing is kept
    ├── ToolFailure        a Python function that says in its own words why its call failed
    └── ToolDefinitionError     the developer: a Python function from which no tool can be made
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine._quote import quoted_part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typegen import JsonValue


class EngineError(Exception):
    """Root of the engine's errors."""


class UpstreamError(EngineError):
    """Raised by an invoker when a tool call reached no result: no connection, a protocol error, a refusal.

    ``message`` is read by the agent, so it never holds a credential. ``code`` is the JSON-RPC or HTTP code, if any.
    """

    def __init__(
        self, message: str, *, server: str, tool: str, code: int | str | None = None, data: JsonValue = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.server = server
        self.tool = tool
        self.code = code
        self.data = data


class CallError(EngineError):
    """Raised when a program's host call cannot be made as it stands; nothing has left the engine.

    ``name`` is the JavaScript error's name: ``ToolError`` for a tool that is unknown or was given wrong arguments,
    ``TypeError`` for a misuse of ``codemode`` itself. ``fields`` become the error's own properties.
    """

    def __init__(self, message: str, *, name: str = "ToolError", fields: Mapping[str, JsonValue] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.name = name
        self.fields: Mapping[str, JsonValue] = fields or {}


class UnknownRunError(EngineError):
    """Raised when nothing is kept of the run to resume: it never failed, was long ago, or is somebody else's."""

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"nothing is kept of run {quoted_part(run_id)!r}: send the program without resume to start anew"
        )
        self.run_id = run_id


class ToolFailure(EngineError):  # noqa: N818 -- named for what happened: to the program it is a ``ToolError``
    """Raise it in a Python function to say why its call failed; the program catches a ``ToolError`` that says so.

    ``message`` and ``data`` are read by the agent. ``code`` is for the program to tell failures apart; it stands in the
    error's ``data`` too.
    """

    def __init__(
        self, message: str, *, code: int | str | None = None, data: Mapping[str, JsonValue] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.data: Mapping[str, JsonValue] = data or {}


class ToolDefinitionError(EngineError):
    """Raised when no tool can be made of a Python function; the message says what to change. ``tool`` is its name."""

    def __init__(self, message: str, *, tool: str | None = None) -> None:
        super().__init__(message)
        self.tool = tool

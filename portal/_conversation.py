"""The client's side of one request that the portal serves: what it can do, what it is asked and told meanwhile.

An upstream that asks for an elicitation, a sampling or the roots asks through the conversation of the call that made
it ask; so does the portal itself for a tool that needs the user's word. How a question reaches the client, and how its
answer comes back, differs by protocol version and transport: that is the conversation's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from portal._errors import ClientCannot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typegen import JsonObject, JsonValue

ASKING_CAPABILITIES: Final = frozenset({"elicitation", "sampling", "roots"})
"""The capabilities of a client that let a server ask it something."""


class Conversation(Protocol):
    """What the one who serves a request may do with the client that made it."""

    @property
    def capabilities(self) -> Mapping[str, JsonValue]:
        """The client's capabilities as it declared them (MCP, ``ClientCapabilities``); empty for none."""
        ...

    @property
    def log_level(self) -> str | None:
        """The least level of log messages that the client wants of this request; None for none."""
        ...

    @property
    def wants_progress(self) -> bool:
        """Whether the client asked for progress."""
        ...

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        """Send the client a request (``elicitation/create``, ``sampling/createMessage``, ``roots/list``).

        Returns its result as it came, however long that takes. Raises ``ClientCannot`` when it did not declare the
        capability or is gone, ``wire.RpcError`` with the client's own error.
        """
        ...

    async def report_progress(self, report: JsonObject) -> None:
        """Tell the client how far the request is, if it asked for that; a client that is gone is no error.

        ``report`` are the params of ``notifications/progress`` but for the token: ``progress``, and what else there is.
        """

    async def notify(self, method: str, params: JsonObject) -> None:
        """Send the client a notification that belongs to this request, such as ``notifications/message``."""


class NoConversation:
    """A conversation with nobody: a program of the command line, or a call of the portal's own."""

    capabilities: Mapping[str, JsonValue] = {}
    log_level: str | None = None
    wants_progress = False

    async def ask(self, method: str, params: JsonObject) -> JsonObject:  # noqa: ARG002 -- a Conversation
        """Refuse."""
        raise ClientCannot(f"there is nobody to answer {method}")

    async def report_progress(self, report: JsonObject) -> None:
        """Tell nobody."""

    async def notify(self, method: str, params: JsonObject) -> None:
        """Tell nobody."""


def require_declared(capabilities: Mapping[str, JsonValue], method: str, params: JsonObject) -> None:
    """Raise ``ClientCannot`` unless a client with these capabilities may be sent this request.

    An elicitation declared without a mode is one of forms (MCP 2025-11-25, elicitation, capabilities).
    """
    name, part = _asked_capability(method, params)
    declared = capabilities.get(name)
    if not isinstance(declared, dict):
        raise ClientCannot(f"the client has not declared the capability {name}")
    if part is None or part in declared or (part == "form" and "url" not in declared):
        return
    raise ClientCannot(f"the client has not declared the capability {name}.{part}")


def can_be_asked(capabilities: Mapping[str, JsonValue]) -> bool:
    """Whether a client with these capabilities can be asked anything at all."""
    return bool(capabilities) and any(isinstance(capabilities.get(name), dict) for name in ASKING_CAPABILITIES)


def _asked_capability(method: str, params: JsonObject) -> tuple[str, str | None]:
    match method:
        case "elicitation/create":
            return "elicitation", "url" if params.get("mode") == "url" else "form"
        case "sampling/createMessage":
            return "sampling", "tools" if "tools" in params or "toolChoice" in params else None
        case "roots/list":
            return "roots", None
        case _:
            return method, None

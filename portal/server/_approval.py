"""Tools that may be called only with the user's word: what is shown, what may be answered, and where nobody can ask.

In code mode one tool, ``code``, is allowed once and for all, and with it the client's own question before each call is
gone. So the portal asks, and shows the exact arguments.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from portal._errors import CallDenied, ClientCannot
from portal.wire import RpcError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import CatalogTool
    from portal._conversation import Conversation
    from typegen import JsonObject, JsonValue

SHOWN_CHARS: Final = 4_000
"""Of the arguments; a person reads no more before answering, and clients show dialogs of about a screen."""
TEXT_CHARS: Final = 400
ITEMS: Final = 20

_YES: Final[JsonObject] = {"type": "object", "properties": {}}
"""The form that is asked for: nothing to fill in, so that accepting it is the answer."""


async def approve(
    entry: CatalogTool,
    arguments: Mapping[str, JsonValue],
    conversation: Conversation,
    *,
    portal_id: str,
    in_program: bool,
) -> None:
    """Ask the user whether this call may be made, and return when the answer is yes. Raises ``CallDenied``."""
    question: JsonObject = {
        "message": _message(entry, arguments, in_program=in_program),
        "requestedSchema": _YES,
    }
    tool = f"{entry.server_id}_{entry.name}"
    try:
        answer = await conversation.ask("elicitation/create", question)
    except (ClientCannot, RpcError) as refusal:
        line = allowing_line(entry, portal_id=portal_id)
        message = (
            f"{tool} was not called: it needs the user's word, and the user cannot be asked ({refusal}). "
            f"An administrator allows it without asking in Portico's configuration: {line}"
        )
        raise CallDenied(message, server=entry.server_id, tool=entry.name, reason="cannot_ask") from refusal
    if answer.get("action") != "accept":
        message = f"{tool} was not called: declined by the user. Do not try it again unless the user says so"
        raise CallDenied(message, server=entry.server_id, tool=entry.name, reason="declined")


def allowing_line(entry: CatalogTool, *, portal_id: str) -> str:
    """Return the line of a configuration that allows the tool without asking."""
    server = f"{{id: {entry.server_id}, tools: {{allow: [{json.dumps(entry.name)}]}}}}"
    return f"portals: [{{id: {portal_id}, servers: [{server}]}}]"


def _message(entry: CatalogTool, arguments: Mapping[str, JsonValue], *, in_program: bool) -> str:
    who = "A program wants to call" if in_program else "Call"
    title = f" ({entry.tool.title})" if entry.tool.title and entry.tool.title != entry.name else ""
    named = _visible(f"{who} {entry.name}{title} of the server {entry.server_id}")
    return f"{named}{'' if in_program else '?'}\n\n{shown_arguments(arguments)}"


def shown_arguments(arguments: Mapping[str, JsonValue]) -> str:
    """Return the arguments for a person to read: as they are, or cut with a word on everything that is left out."""
    whole = _text(dict(arguments))
    if len(whole) <= SHOWN_CHARS:
        return whole
    shortened = _text(_shortened(dict(arguments)))
    if len(shortened) <= SHOWN_CHARS:
        return shortened
    left_out = len(shortened) - SHOWN_CHARS
    return f"{shortened[:SHOWN_CHARS]}\n… and {left_out:,} more characters that are not shown, of {len(whole):,} in all"


def _text(value: JsonValue) -> str:
    return _visible(json.dumps(value, ensure_ascii=False, indent=2))


def _visible(text: str) -> str:
    """Write what does not show as an escape: a character that turns the reading direction could hide the rest."""
    return "".join(
        mark if mark == "\n" or mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text
    )


def _shortened(value: JsonValue) -> JsonValue:
    """Shorten long texts and lists, saying of each by how much."""
    if isinstance(value, str):
        more = len(value) - TEXT_CHARS
        return value if more <= 0 else f"{value[:TEXT_CHARS]}… [{more:,} more characters not shown]"
    if isinstance(value, list):
        items = [_shortened(item) for item in value[:ITEMS]]
        more = len(value) - ITEMS
        return items if more <= 0 else [*items, f"[{more:,} more items not shown]"]
    if isinstance(value, dict):
        members = {name: _shortened(member) for name, member in list(value.items())[:ITEMS]}
        more = len(value) - ITEMS
        return members if more <= 0 else {**members, "…": f"[{more:,} more members not shown]"}
    return value

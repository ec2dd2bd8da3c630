"""The user's word on a terminal, for the tools that need it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import typer

from portal._conversation import NoConversation
from portal._errors import ClientCannot

if TYPE_CHECKING:
    from typegen import JsonObject

HINT = "allow it for this once with --allow TOOL, or run the command on a terminal"


class TerminalConversation(NoConversation):
    """Asks whoever sits at the terminal for a yes or a no, one question after the other.

    Nothing else can be asked here, so that no capability is declared to any server.
    """

    def __init__(self) -> None:
        self._one_at_a_time = anyio.Lock()

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        """Ask for the user's word. Raises ``ClientCannot`` where nobody can answer, and for any other question."""
        schema, message = params.get("requestedSchema"), params.get("message")
        is_a_word = isinstance(schema, dict) and not schema.get("properties")
        if method != "elicitation/create" or not is_a_word or not isinstance(message, str):
            return await super().ask(method, params)
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise ClientCannot(HINT)
        async with self._one_at_a_time:
            # Abandoned when the command ends: a thread that waits for a key must not keep it.
            accepts = await anyio.to_thread.run_sync(_confirm, message, abandon_on_cancel=True)
        return {"action": "accept" if accepts else "decline"}


def _confirm(message: str) -> bool:
    typer.echo(f"\n{message}", err=True)
    try:
        return typer.confirm("Allow this call?", default=False, err=True)
    except typer.Abort:
        return False

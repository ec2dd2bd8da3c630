"""The user's word on a terminal, for the tools that need it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import anyio
import typer

from portal._conversation import NoConversation
from portal._errors import ClientCannot

if TYPE_CHECKING:
    from typegen import JsonObject

HINT = "allow it for this once with --allow TOOL, or run the command on a terminal"
_LINE_BYTES: Final = 4_096  # a terminal hands over no longer line


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
            accepts = await _confirmed(message)
        return {"action": "accept" if accepts else "decline"}


async def _confirmed(message: str) -> bool:
    """Ask until there is a yes or a no; the end of the input is a no.

    It waits in the event loop: an interrupt ends no thread that reads from a terminal.
    """
    typer.echo(f"\n{message}", err=True)
    while True:
        typer.echo("Allow this call? [y/N]: ", nl=False, err=True)
        await anyio.wait_readable(sys.stdin)
        line = os.read(sys.stdin.fileno(), _LINE_BYTES)
        word = line.decode(errors="replace").strip().lower()
        if word in {"y", "yes"}:
            return True
        if word in {"", "n", "no"}:
            return False
        typer.echo("Answer y or n.", err=True)

"""Tool calls over MCP as a model makes them: in turns, each a batch, with what was written and read kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from mcp_types import TextContent

from portal._errors import PortalError
from portal.context import Exchange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp import Client
    from mcp_types import CallToolResult

    from typegen import JsonObject


class CallFailed(PortalError):  # noqa: N818 -- named for what happened, as the portal's other errors are
    """Raised when a call of the showing failed; ``text`` is what came back."""

    def __init__(self, tool: str, text: str) -> None:
        super().__init__(f"{tool} failed: {text}")
        self.tool = tool
        self.text = text


class Caller:
    """Makes the calls of one job and keeps them by turn."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.turns: list[list[Exchange]] = []

    async def call(self, tool: str, arguments: JsonObject) -> CallToolResult:
        """Make one call, a turn of its own. Raises ``CallFailed``."""
        (result,) = await self.batch([(tool, arguments)])
        if result.is_error:
            raise CallFailed(tool, text_of(result))
        return result

    async def batch(self, calls: Sequence[tuple[str, JsonObject]]) -> list[CallToolResult]:
        """Make all ``calls`` at once, in one turn, and return the results in order, errors too."""
        results: dict[int, CallToolResult] = {}

        async def make(place: int, tool: str, arguments: JsonObject) -> None:
            results[place] = await self._client.call_tool(tool, arguments)

        async with anyio.create_task_group() as tasks:
            for place, (tool, arguments) in enumerate(calls):
                tasks.start_soon(make, place, tool, arguments)
        ordered = [results[place] for place in range(len(calls))]
        self.turns.append(
            [
                Exchange(tool=tool, arguments=arguments, answer=text_of(result))
                for (tool, arguments), result in zip(calls, ordered, strict=True)
            ]
        )
        return ordered


def text_of(result: CallToolResult) -> str:
    """Return the text that a model reads of ``result``."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))

"""A client that answers questions, and the eras in which it and the servers behind the portal may speak."""
# ruff: noqa: ARG002 -- the SDK hands its context to every callback

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import mcp_types as types
import pytest
from mcp import Client
from pydantic import FileUrl

if TYPE_CHECKING:
    from mcp.client import ClientRequestContext

Era = Literal["legacy", "auto"]
CODE = "?codemode=search_and_execute"
OLD = "2025-11-25"
BOTH = pytest.mark.parametrize("version", [OLD, None], ids=["old-upstream", "new-upstream"])
ERAS = pytest.mark.parametrize("era", ["legacy", "auto"], ids=["old-client", "new-client"])


@dataclass
class Person:
    """What somebody answers at a client, and what was asked and told."""

    action: Literal["accept", "decline", "cancel"] = "accept"
    asked: list[Any] = field(default_factory=list)
    told: list[types.LoggingMessageNotificationParams] = field(default_factory=list)

    async def elicit(self, context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        self.asked.append(params)
        is_filled = params.mode == "form" and self.action == "accept"
        return types.ElicitResult(action=self.action, content={"colour": "blue"} if is_filled else None)

    async def sample(
        self, context: ClientRequestContext, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult:
        self.asked.append(params)
        return types.CreateMessageResult(role="assistant", content=types.TextContent(text="hi"), model="m")

    async def roots(self, context: ClientRequestContext) -> types.ListRootsResult:
        self.asked.append("roots")
        return types.ListRootsResult(roots=[types.Root(uri=FileUrl("file:///home"))])

    async def log(self, params: types.LoggingMessageNotificationParams) -> None:
        self.told.append(params)

    def client(self, url: str, era: Era) -> Client:
        return Client(
            url,
            mode=era,
            cache=None,
            elicitation_callback=self.elicit,
            sampling_callback=self.sample,
            list_roots_callback=self.roots,
            logging_callback=self.log,
        )


def text(result: types.CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, types.TextContent)
    return block.text

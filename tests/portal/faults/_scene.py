"""One portal over the upstream that a fault is about, ``up``, and a healthy one, ``well``, that is used meanwhile."""
# ruff: noqa: ANN401 -- a message may hold anything

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import httpx2

from portal._server_config import ServerConfig
from tests.portal.clients.conftest import RawClient
from tests.portal.faults._plain_http import exchange, modern_call
from tests.portal.faults._traces import resident_bytes
from tests.portal.upstream.conftest import serving_scripted
from tests.portal.upstream.offering import Offering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from portal import Portal
    from tests.portal.conftest import PortalAt

JSON: TypeAlias = dict[str, Any]
InScene: TypeAlias = "Callable[..., AbstractAsyncContextManager[Scene]]"

PATIENCE_S = 60.0
EACH_S = 0.02
"""The pause between two calls of the healthy upstream."""


@dataclass
class Neighbour:
    """Somebody who uses the healthy upstream meanwhile; ``peak_bytes`` is the most memory that was seen."""

    calls: int = 0
    failed: list[JSON] = field(default_factory=list)
    peak_bytes: int = 0


@dataclass
class Scene:
    """``raw`` is a client of the portal, which calls ``up_echo`` and, as a neighbour does meanwhile, ``well_echo``."""

    portal: Portal
    origin: str
    raw: RawClient
    neighbour: Neighbour

    async def call(self, tool: str = "up_echo", **arguments: Any) -> JSON:
        """Call a tool as a client of MCP 2026-07-28; returns the whole answer."""
        return answer_in(await self.raw.modern("tools/call", {"name": tool, "arguments": arguments}))

    async def call_often(self, times: int, tool: str = "up_echo") -> list[JSON]:
        """Call a tool so often at once."""
        port = int(self.origin.rpartition(":")[2])
        answers: list[JSON] = []

        async def one(number: int) -> None:
            answers.append((await exchange(port, *modern_call(tool, number=number))).answer)

        async with anyio.create_task_group() as tasks:
            for number in range(times):
                tasks.start_soon(one, number)
        return answers

    async def names(self) -> list[str]:
        """List the names of the tools, without those of the portal itself."""
        tools = answer_in(await self.raw.modern("tools/list"))["result"]["tools"]
        return [tool["name"] for tool in tools if tool["name"].startswith(("up_", "well_"))]

    def cause(self) -> str | None:
        """Why ``up`` does not work."""
        return next(server.cause for server in self.portal.fleet.status() if server.id == "up")

    def status(self) -> str:
        """How ``up`` is."""
        return next(server.status for server in self.portal.fleet.status() if server.id == "up")


def answer_in(response: httpx2.Response) -> JSON:
    """Return the answer that a response holds, be it JSON or the last event of a stream."""
    if response.headers["content-type"].startswith("text/event-stream"):
        data = [line.removeprefix("data:").strip() for line in response.text.splitlines() if line.startswith("data:")]
        answer: JSON = json.loads(data[-1])
    else:
        answer = response.json()
    return answer


def text_of(answer: JSON) -> str:
    """Return the text of a result, or of an error."""
    if "error" in answer:
        return str(answer["error"]["message"])
    return str(answer["result"]["content"][0]["text"])


def is_error(answer: JSON) -> bool:
    """Whether the answer is one of a call that failed."""
    return "error" in answer or bool(answer["result"].get("isError"))


@asynccontextmanager
async def scene_at(portal_at: PortalAt, url: str, *, limits: JSON | None = None, **fields: Any) -> AsyncIterator[Scene]:
    """Open a portal over ``up`` at this address and a healthy ``well``, and be its clients."""
    well = Offering.of(None)
    up_config = ServerConfig(id="up", url=url, **(limits or {}))
    with anyio.fail_after(PATIENCE_S):
        async with (
            serving_scripted(well.scripted) as well_url,
            portal_at(up_config, ServerConfig(id="well", url=well_url), **fields) as (portal, origin),
            httpx2.AsyncClient(timeout=PATIENCE_S) as http,
        ):
            scene = Scene(portal, origin, RawClient(http, f"{origin}/mcp"), Neighbour())
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_use, scene)
                yield scene
                tasks.cancel_scope.cancel()
            assert scene.neighbour.failed == []


async def _use(scene: Scene) -> None:
    neighbour = scene.neighbour
    while True:
        answer = await scene.call("well_echo")
        neighbour.calls += 1
        neighbour.peak_bytes = max(neighbour.peak_bytes, resident_bytes())
        if is_error(answer):
            neighbour.failed.append(answer)
        await anyio.sleep(EACH_S)

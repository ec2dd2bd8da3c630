"""An upstream of either era with lists of everything, that tells of changes on the streams that are open to it."""
# ruff: noqa: ANN401 -- a message may hold anything

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from portal._server_config import ServerConfig
from portal.upstream import Upstream
from tests.portal.upstream.conftest import HELLO, JSON, PATIENCE_S, Scripted, serving_scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.portal.upstream.conftest import Asked

EVERYTHING: JSON = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
}
LISTS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}
SCHEMA: JSON = {"type": "object"}


@dataclass
class Offering:
    """``lists`` are answered as they are; ``streams`` are those that are open for announcements."""

    scripted: Scripted
    lists: dict[str, list[Any]] = field(
        default_factory=lambda: {
            "tools/list": [{"name": "echo", "inputSchema": SCHEMA}],
            "prompts/list": [{"name": "greet", "arguments": [{"name": "who"}]}],
            "resources/list": [{"uri": "a://1", "name": "one"}],
            "resources/templates/list": [{"uriTemplate": "a://{n}", "name": "any"}],
        }
    )
    listed: Counter[str] = field(default_factory=Counter)
    streams: list[Asked] = field(default_factory=list)
    holds: dict[str, anyio.Event] = field(default_factory=dict)

    @classmethod
    def of(cls, version: str | None) -> Offering:
        """A server of MCP 2026-07-28, or of the handshake version given."""
        offering = cls(Scripted(version=version, capabilities=EVERYTHING))
        answers = {
            **dict.fromkeys(LISTS, offering.list),
            "tools/call": offering.call,
            "subscriptions/listen": offering.listen,
            "GET": offering.listen,
            "resources/subscribe": offering.take,
            "resources/unsubscribe": offering.take,
            "ping": offering.take,
        }
        offering.scripted.answers.update(answers)
        return offering

    async def list(self, asked: Asked) -> None:
        """Answer one list, as it was when the request came."""
        method = asked.message["method"]
        self.listed[method] += 1
        items = list(self.lists[method])
        if method in self.holds:
            await self.holds[method].wait()
        await asked.result({LISTS[method]: items, "resultType": "complete"})

    async def call(self, asked: Asked) -> None:
        """Answer any tool."""
        await asked.result({**HELLO, "resultType": "complete"})

    async def take(self, asked: Asked) -> None:
        """Answer with nothing."""
        await asked.result({})

    async def listen(self, asked: Asked) -> None:
        """Hold a stream open."""
        await asked.stream()
        if "id" in asked.message:
            meta = {"io.modelcontextprotocol/subscriptionId": asked.id}
            filters = asked.message["params"]["notifications"]
            params = {"notifications": filters, "_meta": meta}
            await asked.event({"method": "notifications/subscriptions/acknowledged", "params": params})
        self.streams.append(asked)
        try:
            await asked.until_gone()
        finally:
            self.streams.remove(asked)

    async def announce(self, method: str, **params: Any) -> None:
        """Say something on every stream."""
        for stream in list(self.streams):
            meta = {"_meta": {"io.modelcontextprotocol/subscriptionId": stream.id}} if "id" in stream.message else {}
            await stream.event({"method": method, "params": {**params, **meta}})

    async def heard(self) -> None:
        """Wait until somebody listens."""
        while not self.streams:  # noqa: ASYNC110 -- the connections are tasks of their own
            await anyio.sleep(0.005)


@asynccontextmanager
async def owned(config: ServerConfig, **fields: Any) -> AsyncIterator[Upstream]:
    """Run an upstream's owner; the block starts when its first attempt has succeeded or failed."""
    upstream = Upstream(config, **fields)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(upstream.run)
        with anyio.fail_after(2 * PATIENCE_S):
            await upstream.wait_settled()
            yield upstream
        upstream.stop()


@asynccontextmanager
async def connected(offering: Offering, *, settings: JSON | None = None, **fields: Any) -> AsyncIterator[Upstream]:
    """Serve ``offering`` and own a session with it; ``settings`` are those of the configuration."""
    async with (
        serving_scripted(offering.scripted) as url,
        owned(ServerConfig(id="up", url=url, **(settings or {})), **fields) as upstream,
    ):
        yield upstream

"""A portal without servers of its own, asked by requests that are written out."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx2
import pytest

from portal import ServerConfig
from tests.portal.passing._asking import Asking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from tests.portal.conftest import PortalAt, Serving

JSON = dict[str, Any]
BOTH = "application/json, text/event-stream"
MODERN = "2026-07-28"
RawAt: TypeAlias = "Callable[..., AbstractAsyncContextManager[RawClient]]"
AskedClient: TypeAlias = "Callable[[], AbstractAsyncContextManager[RawClient]]"
PATIENCE_S = 20.0


@dataclass
class RawClient:
    """Sends requests as they are written, with the headers of a version and of a session."""

    http: httpx2.AsyncClient
    url: str
    headers: dict[str, str] = field(default_factory=dict)

    async def post(self, body: object, headers: dict[str, str] | None = None) -> httpx2.Response:
        sent = {"accept": BOTH, **self.headers, **(headers or {})}
        if isinstance(body, bytes):
            return await self.http.post(self.url, content=body, headers={"content-type": "application/json", **sent})
        return await self.http.post(self.url, json=body, headers=sent)

    async def begin(self, version: str = "2025-11-25", capabilities: JSON | None = None) -> httpx2.Response:
        """Initialize, and send the session's headers from now on."""
        params = {
            "protocolVersion": version,
            "capabilities": capabilities or {},
            "clientInfo": {"name": "raw", "version": "1"},
        }
        response = await self.post(request("initialize", params))
        self.headers["mcp-session-id"] = response.headers["mcp-session-id"]
        self.headers["mcp-protocol-version"] = version
        await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return response

    async def modern(
        self, method: str, params: JSON | None = None, *, headers: dict[str, str] | None = None, **meta: object
    ) -> httpx2.Response:
        body, sent = modern_request(method, params, **meta)
        return await self.post(body, {**sent, **(headers or {})})

    def stream(
        self, method: str, body: JSON | None = None, headers: dict[str, str] | None = None
    ) -> AbstractAsyncContextManager[httpx2.Response]:
        sent = {"accept": BOTH, **self.headers, **(headers or {})}
        return self.http.stream(method, self.url, json=body, headers=sent)


def request(method: str, params: JSON | None = None, request_id: object = 1) -> JSON:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params or {}}


def modern_request(
    method: str, params: JSON | None = None, *, request_id: object = 1, **meta: object
) -> tuple[JSON, dict[str, str]]:
    """A request of MCP 2026-07-28 and its headers."""
    envelope = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        **meta,
    }
    headers = {"mcp-protocol-version": MODERN, "mcp-method": method}
    name = (params or {}).get("name", (params or {}).get("uri"))
    if isinstance(name, str):
        headers["mcp-name"] = name
    return request(method, {**(params or {}), "_meta": envelope}, request_id), headers


async def events(response: httpx2.Response) -> AsyncIterator[JSON]:
    """Yield the events of a stream, each with its fields."""
    found: JSON = {}
    async for line in response.aiter_lines():
        if not line and found:
            yield found
            found = {}
        name, _, value = line.partition(": ")
        if name.rstrip(":") in {"id", "event", "data", "retry"}:
            found[name.rstrip(":")] = value


@pytest.fixture
def raw_client() -> RawAt:
    """Open a raw client of a portal at an origin."""

    @asynccontextmanager
    async def open_client(origin: str, path: str = "/mcp") -> AsyncIterator[RawClient]:
        async with httpx2.AsyncClient(timeout=PATIENCE_S) as http:
            yield RawClient(http, origin + path)

    return open_client


CONFIRM = request("tools/call", {"name": "up_confirm", "arguments": {}}, 5)
"""A call that makes ``Asking`` ask its client."""


@pytest.fixture
def asked_client(portal_at: PortalAt, serving: Serving, raw_client: RawAt) -> AskedClient:
    """Open a client of a portal before ``Asking``, of the era of handshakes, that takes elicitations."""

    @asynccontextmanager
    async def begun() -> AsyncIterator[RawClient]:
        async with (
            serving(Asking("2025-06-18")) as url,
            portal_at(ServerConfig(id="up", url=url)) as (_, origin),
            raw_client(origin) as raw,
        ):
            await raw.begin(capabilities={"elicitation": {}})
            yield raw

    return begun

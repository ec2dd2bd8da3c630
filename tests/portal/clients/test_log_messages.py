"""Log messages of servers whose session clients share: which client gets which of them."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from portal import PortalConfig, PortalServer, ServerConfig
from portal.server import LOCAL_USER
from portal.upstream import Caller
from tests.portal.clients.conftest import PATIENCE_S, events, request
from tests.portal.conftest import until
from tests.portal.upstream.conftest import serving_scripted
from tests.portal.upstream.offering import EVERYTHING, Offering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portal import Portal
    from tests.portal.clients.conftest import JSON, RawAt, RawClient
    from tests.portal.conftest import PortalAt, StdioServer

OLD = "2025-11-25"
CHANGES = {f"notifications/{kind}/list_changed" for kind in ("tools", "prompts", "resources")}


def calling(count: int) -> JSON:
    return request("tools/call", {"name": "child_log", "arguments": {"count": count}}, "the-call")


async def ping(portal: Portal, user: str = LOCAL_USER) -> None:
    """Ask the process for a sign of life, on behalf of no client; meanwhile it logs."""
    await portal.fleet.upstream("child", Caller(user=user)).request("ping", {})


async def streamed(raw: RawClient, body: JSON) -> list[Any]:
    """Send a request, and return every message that its answer brings."""
    async with raw.stream("POST", body, {"accept": "text/event-stream, application/json"}) as response:
        return [json.loads(found["data"]) async for found in events(response) if found.get("data")]


@asynccontextmanager
async def told(raw: RawClient) -> AsyncIterator[list[Any]]:
    """Hold the stream of a session open; gives what comes on it."""
    messages: list[Any] = []

    async def read() -> None:
        async with raw.stream("GET", headers={"accept": "text/event-stream"}) as response:
            is_open.set()
            async for found in events(response):
                messages.extend(json.loads(data) for data in [found.get("data")] if data)

    is_open = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        with anyio.fail_after(PATIENCE_S):
            await is_open.wait()
            yield messages
        tasks.cancel_scope.cancel()


def data_of(messages: list[Any]) -> list[Any]:
    return [message["params"]["data"] for message in messages if message.get("method") == "notifications/message"]


async def test_what_a_process_logs_during_a_call_comes_with_its_answer_message_for_message(
    portal_at: PortalAt, stdio_server: StdioServer, raw_client: RawAt
) -> None:
    async with portal_at(stdio_server("talkative.py")) as (_, origin), raw_client(origin) as raw:
        await raw.begin(OLD)
        with anyio.fail_after(PATIENCE_S):
            messages = await streamed(raw, calling(1000))

    assert data_of(messages) == list(range(1000))
    assert messages[-1]["id"] == "the-call"


async def test_a_client_that_wants_severe_messages_only_is_spared_the_others(
    portal_at: PortalAt, stdio_server: StdioServer, raw_client: RawAt
) -> None:
    async with portal_at(stdio_server("talkative.py")) as (_, origin), raw_client(origin) as raw:
        await raw.begin(OLD)
        await raw.post(request("logging/setLevel", {"level": "error"}))
        messages = await streamed(raw, calling(3))

    assert data_of(messages) == []


async def test_what_a_process_logs_between_calls_comes_to_every_client_of_the_portals_that_have_it(
    portal_at: PortalAt, stdio_server: StdioServer, raw_client: RawAt
) -> None:
    portals = (PortalConfig(servers=(PortalServer(id="child"),)), PortalConfig(id="docs", servers=()))
    async with (
        portal_at(stdio_server("talkative.py"), portals=portals) as (portal, origin),
        raw_client(origin) as one,
        raw_client(origin) as two,
        raw_client(origin, "/docs/mcp") as without,
    ):
        for raw in (one, two, without):
            await raw.begin(OLD)
        async with told(one) as first, told(two) as second, told(without) as third:
            await ping(portal)
            await until(lambda: len(data_of(first)) == 1000 and len(data_of(second)) == 1000)

    assert data_of(first) == data_of(second) == list(range(1000))
    assert data_of(third) == []


async def test_what_comes_on_the_stream_of_a_shared_session_comes_to_every_client(
    portal_at: PortalAt, raw_client: RawAt
) -> None:
    offering = Offering.of(OLD)
    offering.scripted.capabilities = {**EVERYTHING, "logging": {}}
    offering.scripted.answers["logging/setLevel"] = offering.take
    async with (
        serving_scripted(offering.scripted) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        raw_client(origin) as raw,
    ):
        await raw.begin(OLD)
        await offering.heard()
        async with told(raw) as messages:
            await offering.announce("notifications/message", level="info", data="x")
            await until(lambda: bool(messages))

    assert data_of(messages) == ["x"]


async def test_what_is_logged_for_a_client_without_a_stream_leaves_room_for_the_news_of_changes(
    portal_at: PortalAt, stdio_server: StdioServer, raw_client: RawAt
) -> None:
    async with portal_at(stdio_server("talkative.py")) as (portal, origin), raw_client(origin) as raw:
        await raw.begin(OLD)
        await ping(portal)
        hub = portal._servers["default"].announcements
        hub.switched(LOCAL_USER)
        with anyio.fail_after(PATIENCE_S):
            await until(lambda: not hub._single and not hub._queues)
        async with told(raw) as messages:
            await until(lambda: {message["method"] for message in messages} >= CHANGES)

    waited = data_of(messages)
    assert 30 <= len(waited) <= 32  # beside what else may have changed since the start
    assert waited == list(range(len(waited)))


async def test_nothing_that_a_process_logs_reaches_anybody_when_several_users_share_it(
    portal_at: PortalAt, stdio_server: StdioServer, raw_client: RawAt
) -> None:
    """Isolation: nothing in such a message tells whose it is, and a call that was given up may still log."""
    async with portal_at(stdio_server("talkative.py")) as (portal, origin), raw_client(origin) as raw:
        await raw.begin(OLD)
        async with told(raw) as standing:
            await ping(portal, "somebody else")
            during = await streamed(raw, calling(3))

    assert data_of(during) == []
    assert data_of(standing) == []

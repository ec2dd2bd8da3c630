"""``logging/setLevel`` of a client, and what the servers behind the portal are told of it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import anyio
import pytest

from portal import PortalConfig, PortalServer, ServerConfig
from tests.portal.clients.conftest import PATIENCE_S, request
from tests.portal.conftest import until
from tests.portal.upstream.conftest import serving_scripted
from tests.portal.upstream.offering import EVERYTHING, Offering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from tests.portal.clients.conftest import JSON, RawAt, RawClient
    from tests.portal.conftest import PortalAt
    from tests.portal.upstream.conftest import Asked

OLD = "2025-11-25"
ClientOf: TypeAlias = "Callable[[Offering], AbstractAsyncContextManager[RawClient]]"


@pytest.fixture
def client_of(portal_at: PortalAt, raw_client: RawAt) -> ClientOf:
    """Open a client, past its handshake, of a portal with this one server."""

    @asynccontextmanager
    async def open_client(offering: Offering) -> AsyncIterator[RawClient]:
        async with (
            serving_scripted(offering.scripted) as url,
            portal_at(ServerConfig(id="up", url=url)) as (_, origin),
            raw_client(origin) as raw,
        ):
            await raw.begin(OLD)
            yield raw

    return open_client


def logging_server() -> Offering:
    offering = Offering.of(OLD)
    offering.scripted.capabilities = {**EVERYTHING, "logging": {}}
    offering.scripted.answers["logging/setLevel"] = offering.take
    return offering


def wanted(level: str) -> JSON:
    return request("logging/setLevel", {"level": level})


def levels_told(offering: Offering) -> list[str]:
    return [asked.message["params"]["level"] for asked in offering.scripted.of("logging/setLevel")]


async def test_a_server_that_does_not_answer_keeps_no_client_waiting_for_its_level(
    client_of: ClientOf,
) -> None:
    silent = logging_server()

    async def never(_: Asked) -> None:
        await anyio.sleep_forever()

    silent.scripted.answers["logging/setLevel"] = never
    async with client_of(silent) as raw:
        with anyio.fail_after(PATIENCE_S):
            answer = await raw.post(wanted("warning"))
            await silent.scripted.reached("logging/setLevel")

    assert answer.json()["result"] == {}


async def test_each_new_session_with_a_server_is_told_the_level(client_of: ClientOf) -> None:
    offering = logging_server()

    async def forget_once(asked: Asked) -> None:
        if len(offering.scripted.of("tools/call")) == 1:
            await asked.reply(404)
        else:
            await offering.call(asked)

    offering.scripted.answers["tools/call"] = forget_once
    async with client_of(offering) as raw:
        with anyio.fail_after(PATIENCE_S):
            await raw.post(wanted("warning"))
            await offering.scripted.reached("logging/setLevel")
            await raw.post(request("tools/call", {"name": "up_echo", "arguments": {}}))
            await offering.scripted.reached("logging/setLevel", 2)

    assert levels_told(offering) == ["warning", "warning"]


async def test_a_server_that_refuses_a_level_is_told_the_next_one(client_of: ClientOf) -> None:
    offering = logging_server()

    async def refuse(asked: Asked) -> None:
        await asked.error(-32603, "Not now")

    offering.scripted.answers["logging/setLevel"] = refuse
    async with client_of(offering) as raw:
        with anyio.fail_after(PATIENCE_S):
            await raw.post(wanted("warning"))
            await offering.scripted.reached("logging/setLevel")
            await raw.post(wanted("info"))
            await offering.scripted.reached("logging/setLevel", 2)

    assert levels_told(offering) == ["warning", "info"]


async def test_a_session_that_portals_share_has_the_least_level_that_a_client_of_any_wants(
    portal_at: PortalAt, raw_client: RawAt
) -> None:
    offering = logging_server()
    up = (PortalServer(id="up"),)
    portals = (PortalConfig(servers=up), PortalConfig(id="docs", servers=up))
    async with (
        serving_scripted(offering.scripted) as url,
        portal_at(ServerConfig(id="up", url=url), portals=portals) as (_, origin),
        raw_client(origin) as one,
        raw_client(origin, "/docs/mcp") as two,
    ):
        await one.begin(OLD)
        await two.begin(OLD)
        with anyio.fail_after(PATIENCE_S):
            await one.post(wanted("info"))
            await until(lambda: levels_told(offering) == ["info"])
            await two.post(wanted("error"))
            await two.post(wanted("debug"))
            await until(lambda: levels_told(offering)[-1] == "debug")

    assert levels_told(offering) == ["info", "debug"]

"""Resources that clients watch, and the subscriptions with upstreams that follow from that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from portal import ServerConfig
from tests.portal.clients.conftest import PATIENCE_S, modern_request, request
from tests.portal.conftest import until
from tests.portal.upstream.conftest import serving_scripted
from tests.portal.upstream.offering import Offering

if TYPE_CHECKING:
    from tests.portal.clients.conftest import RawAt
    from tests.portal.conftest import PortalAt
    from tests.portal.upstream.conftest import Asked

OLD = "2025-11-25"


async def test_a_stream_that_ends_before_its_server_has_subscribed_leaves_no_subscription(
    portal_at: PortalAt, raw_client: RawAt
) -> None:
    offering, is_left = Offering.of(OLD), anyio.Event()

    async def slow(asked: Asked) -> None:
        await is_left.wait()
        await asked.result({})

    offering.scripted.answers["resources/subscribe"] = slow
    wishes = {"notifications": {"resourceSubscriptions": ["a://1", "a://2"]}}
    body, headers = modern_request("subscriptions/listen", wishes)
    async with (
        serving_scripted(offering.scripted) as url,
        portal_at(ServerConfig(id="up", url=url)) as (portal, origin),
        raw_client(origin) as raw,
    ):
        with anyio.fail_after(PATIENCE_S):
            async with raw.stream("POST", body, headers):
                await offering.scripted.reached("resources/subscribe")
            await until(lambda: len(portal._servers["default"].announcements) == 0)
            is_left.set()
            given_back = await offering.scripted.reached("resources/unsubscribe")
            await until(lambda: not portal.fleet.listing("up").is_busy)

    assert given_back.message["params"]["uri"] == "a://1"
    assert len(offering.scripted.of("resources/subscribe")) == 1


async def test_a_resource_that_is_not_listed_is_watched_at_the_server_that_has_it(
    portal_at: PortalAt, raw_client: RawAt
) -> None:
    first, second = Offering.of(OLD), Offering.of(OLD)

    async def not_here(asked: Asked) -> None:
        await asked.error(-32002, "Resource not found")

    first.scripted.answers["resources/subscribe"] = not_here
    async with (
        serving_scripted(first.scripted) as one,
        serving_scripted(second.scripted) as two,
        portal_at(ServerConfig(id="a", url=one), ServerConfig(id="b", url=two)) as (_, origin),
        raw_client(origin) as raw,
    ):
        await raw.begin(OLD)
        answer = await raw.post(request("resources/subscribe", {"uri": "a://unlisted"}))
        [asked] = second.scripted.of("resources/subscribe")

    assert answer.json()["result"] == {}
    assert asked.message["params"]["uri"] == "a://unlisted"


async def test_a_resource_that_no_server_has_cannot_be_watched_and_is_refused_in_a_servers_words(
    portal_at: PortalAt, raw_client: RawAt
) -> None:
    offering = Offering.of(OLD)

    async def not_here(asked: Asked) -> None:
        await asked.error(-32002, "It is not here")

    offering.scripted.answers["resources/subscribe"] = not_here
    async with (
        serving_scripted(offering.scripted) as url,
        portal_at(ServerConfig(id="up", url=url)) as (portal, origin),
        raw_client(origin) as raw,
    ):
        await raw.begin(OLD)
        answer = await raw.post(request("resources/subscribe", {"uri": "a://unlisted"}))
        is_busy = portal.fleet.listing("up").is_busy

    assert answer.json()["error"] == {"code": -32002, "message": "It is not here"}
    assert not is_busy

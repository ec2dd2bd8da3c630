"""What a portal keeps made of its lists, and what not."""

from __future__ import annotations

import pytest

from portal import Fleet, PortalConfig, PortalServer, ServerConfig
from portal._conversation import NoConversation
from portal.server import Mode, View
from portal.server._lists import MAX_LISTINGS, Lists
from portal.server._request import ClientRequest
from portal.server._switches import Switches
from portal.upstream import Caller

IDS = tuple(f"s{number}" for number in range(MAX_LISTINGS + 1))


@pytest.fixture
def switches() -> Switches:
    """The switches of its users."""
    return Switches()


@pytest.fixture
def lists(switches: Switches) -> Lists:
    """The lists of a portal with as many servers as views are kept, and one more."""
    servers = [ServerConfig(id=server_id, transport="demo") for server_id in IDS]
    config = PortalConfig(servers=tuple(PortalServer(id=server_id) for server_id in IDS))
    return Lists(config=config, fleet=Fleet(servers), switches=switches)


def request_of(user: str) -> ClientRequest:
    return ClientRequest(
        view=View(mode=Mode.LIST),
        caller=Caller(user=user),
        protocol_version="2026-07-28",
        conversation=NoConversation(),
    )


def test_a_method_that_is_only_named_like_a_list_is_not_remembered(lists: Lists) -> None:
    lists.serialised("tools/list", request_of("ada"))
    before = len(lists)

    unknown = [lists.serialised(f"{number}/list", request_of("ada")) for number in range(10)]

    assert unknown == [None] * 10
    assert len(lists) == before


def test_views_are_kept_up_to_a_number_and_the_whole_portal_is_always_among_them(
    lists: Lists, switches: Switches
) -> None:
    whole = lists.whole
    for server_id in IDS:
        switches.switch(server_id, server_id, is_on=False)  # a user of the same name
        lists.serialised("tools/list", request_of(server_id))

    assert len(lists) == MAX_LISTINGS + (MAX_LISTINGS - 1)  # of the whole portal nobody asked for a list
    assert lists.whole is whole
    assert lists.of(Caller(user=IDS[-1]), is_read_only=False).server_ids == IDS[:-1]

"""A list of more than 10,000 tokens is warned about, with what costs less."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import pytest

from portal import PortalConfig, PortalServer, ServerConfig
from portal._tokens import count_tokens
from portal.server import LONG_LIST_TOKENS, Listing, long_list_warning
from portal.upstream import read_tools

if TYPE_CHECKING:
    from tests.portal.conftest import PortalAt, Serving, Upstreamed
    from typegen import JsonObject, JsonValue

SENTENCE = "Find the invoices of a customer that were paid late. "


def portal(code_mode: Literal["off", "opt_in", "default_on", "enforced"]) -> PortalConfig:
    return PortalConfig(servers=(PortalServer(id="up"),), code_mode=code_mode)


def described(upstream: Upstreamed, tokens: int) -> Upstreamed:
    """Offer tools whose descriptions have so many tokens together."""
    upstream.definitions.clear()
    each = SENTENCE * 20
    for number in range(tokens // count_tokens(each)):
        upstream.offer(f"find_{number}", description=each)
    return upstream


async def test_a_list_of_more_than_ten_thousand_tokens_is_warned_about(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving
) -> None:
    large = described(upstream, 40_000)
    async with serving(large) as url, portal_at(ServerConfig(id="up", url=url)) as (home, _):
        warning = long_list_warning(home.listing(), portal("opt_in"))

    found = re.search(r"about ([\d,]+) tokens on them; code mode costs about ([\d,]+):", warning or "")
    assert found is not None
    whole, code = (int(figure.replace(",", "")) for figure in found.groups())
    assert 40_000 <= whole <= 48_000
    assert code <= 450


@pytest.mark.parametrize("code_mode", ["default_on", "enforced"])
async def test_nobody_is_warned_of_a_list_that_no_client_gets_by_itself(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, code_mode: Literal["default_on", "enforced"]
) -> None:
    large = described(upstream, 2 * LONG_LIST_TOKENS)
    async with serving(large) as url, portal_at(ServerConfig(id="up", url=url)) as (home, _):
        assert long_list_warning(home.listing(), portal(code_mode)) is None


async def test_a_portal_without_programs_is_told_of_the_names_alone(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving
) -> None:
    large = described(upstream, 2 * LONG_LIST_TOKENS)
    async with serving(large) as url, portal_at(ServerConfig(id="up", url=url)) as (home, _):
        warning = long_list_warning(home.listing(), portal("off"))

    assert "?optimize_context=minimize_tools costs about" in (warning or "")


def test_a_schema_with_integers_beyond_64_bits_is_estimated_too() -> None:
    below: JsonObject = {"type": "object", "properties": {"n": {"type": "integer", "exclusiveMaximum": 2**64}}}
    offered: list[JsonValue] = [
        {"name": f"t{number}", "description": SENTENCE * 20, "inputSchema": below} for number in range(200)
    ]
    listing = Listing.of_tools({"up": read_tools(offered, upstream="up")})

    warning = long_list_warning(listing, portal("opt_in"))

    assert "200 tools spends about" in (warning or "")


async def test_a_short_list_is_not_warned_about(portal_at: PortalAt, upstream: Upstreamed, serving: Serving) -> None:
    short = described(upstream, LONG_LIST_TOKENS * 3 // 4)
    async with serving(short) as url, portal_at(ServerConfig(id="up", url=url)) as (home, _):
        assert long_list_warning(home.listing(), portal("opt_in")) is None

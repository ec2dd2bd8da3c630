"""Host and Origin of a portal that has a public address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from portal import Config, PortalConfig, Secret
from portal.server import HostGate, is_loopback_host

if TYPE_CHECKING:
    from starlette.types import ASGIApp


@pytest.fixture
def gate() -> ASGIApp:
    config = Config(host="0.0.0.0", public_url="https://tools.example.com", token=Secret("x" * 32))
    return HostGate(PlainTextResponse("in"), config=config)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("tools.example.com", None, 200),
        ("TOOLS.example.com:443", None, 200),
        ("tools.example.com:80", None, 421),
        ("tools.example.com.attacker.example", None, 421),
        ("10.0.0.7:8808", None, 421),
        ("localhost:8808", None, 200),
        ("tools.example.com", "https://tools.example.com", 200),
        ("tools.example.com", "http://tools.example.com", 403),
        ("tools.example.com", "http://localhost:6274", 403),
        ("tools.example.com", "https://attacker.example", 403),
        ("localhost:8808", "http://localhost:6274", 200),
        ("localhost:8808", "http://[x", 403),
        ("localhost:8808", "null", 403),
    ],
)
async def test_only_the_public_name_and_its_own_pages_may_come_in(
    gate: ASGIApp, host: str, origin: str | None, status: int
) -> None:
    headers = {"host": host, **({"origin": origin} if origin else {})}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(gate)) as http:
        response = await http.post("http://any/mcp", headers=headers)

    assert response.status_code == status


async def test_a_portal_with_a_name_of_its_own_may_be_reached_by_it_and_from_its_pages() -> None:
    config = Config(portals=(PortalConfig(id="docs", hostname="docs.example.com"),))
    gate = HostGate(PlainTextResponse("in"), config=config)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(gate)) as http:
        statuses = [
            (await http.post("http://any/mcp", headers={"host": host, "origin": origin})).status_code
            for host, origin in [
                ("docs.example.com", "https://docs.example.com"),
                ("docs.example.com", "https://other.example.com"),
                ("other.example.com", "https://docs.example.com"),
            ]
        ]

    assert statuses == [200, 403, 421]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("localhost:1", True),
        ("127.0.0.1:8808", True),
        ("127.1.2.3", True),
        ("[::1]:8808", True),
        ("", False),
        ("0.0.0.0", False),
        ("[::1", False),
        ("localhost@attacker.example", False),
        ("127.0.0.1.nip.io", False),
    ],
)
def test_a_loopback_host_is_one_that_nobody_else_can_claim(host: str, expected: bool) -> None:
    assert is_loopback_host(host) is expected

"""Fault 13: upstreams whose certificate is no good, and whose name leads elsewhere by now."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import portal.upstream._owner as owning
from tests.portal.faults._numbers import fault
from tests.portal.faults._scene import is_error, scene_at
from tests.portal.upstream.conftest import Scripted, serving_scripted
from tests.portal.upstream.offering import Offering
from tests.portal.upstream.test_http import Authority, authority

if TYPE_CHECKING:
    from tests.portal.conftest import PortalAt

__all__ = ["authority"]  # a fixture

NAME = "tools.test"


@fault(13)
@pytest.mark.parametrize(
    ("made", "cause"),
    [
        ({"days": -1}, "its certificate has expired: it has to be renewed there"),
        ({"address": "127.0.0.9"}, "its certificate is for another host: check its url"),
    ],
    ids=["expired", "of another host"],
)
async def test_a_certificate_that_is_no_good_is_named(
    portal_at: PortalAt, authority: Authority, made: dict[str, Any], cause: str
) -> None:
    async with (
        serving_scripted(Scripted(), tls=authority.server(**made)) as url,
        scene_at(portal_at, url) as scene,
    ):
        told = scene.cause(), scene.status()

    assert told == (cause, "error")


@fault(13)
async def test_a_name_that_moved_is_found_at_its_new_address(
    portal_at: PortalAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute is allowed; a name is asked for with every connection."""
    monkeypatch.setattr(owning, "FIRST_RETRY_S", 0.05)
    address = "127.0.0.1"
    real = socket.getaddrinfo

    def resolve(host: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- as getaddrinfo
        return real(address if host == NAME else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    old, new = Offering.of(None), Offering.of(None)
    async with serving_scripted(new.scripted, host="127.0.0.2") as new_url:
        port = int(new_url.split(":")[2].partition("/")[0])
        async with (
            serving_scripted(old.scripted, port=port) as _,
            scene_at(portal_at, f"http://{NAME}:{port}/mcp") as scene,
        ):
            assert not is_error(await scene.call())
            address = "127.0.0.2"
            for connection in list(old.scripted.seen):
                connection.writer.transport.abort()
            old.scripted.answers.clear()
            with anyio.fail_after(15):
                while not new.scripted.of("tools/call"):
                    await scene.call()

    assert len(old.scripted.of("tools/call")) == 1

"""Faults 1 and 15: a hundred upstreams, thirty of them dead; and one that is asked for more than it can do."""

from __future__ import annotations

import socket
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio
import httpx2

from portal import Config, Portal, Secret, ServerConfig
from tests.portal.clients.conftest import RawClient
from tests.portal.conftest import until
from tests.portal.faults._numbers import fault
from tests.portal.faults._scene import PATIENCE_S, answer_in, is_error, scene_at, text_of
from tests.portal.faults._tiny_server import TinyServers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from sandbox import Sandbox
    from tests.portal.conftest import HttpServer, PortalAt

LIVE, ALL = range(70), range(100)
KINDS = ("refusing", "silent", "nameless")
NAME = "tools.test"
CONNECT_S = 3.0
LIST_S, SETTLED_S = 20.0, 40.0
"""Bounds on liveness; alone on a machine, the list is there in half a second."""


class Network:
    """Three addresses of servers that will die, each in its way, and one of those that live."""

    def __init__(self, servers: TinyServers, monkeypatch: pytest.MonkeyPatch) -> None:
        self.servers = servers
        self.ports: dict[str, int] = {}
        self._is_known = True
        real = socket.getaddrinfo

        def resolve(host: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- as getaddrinfo
            if host == NAME and not self._is_known:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return real("127.0.0.1" if host == NAME else host, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", resolve)

    def configs(self) -> list[ServerConfig]:
        """A hundred servers: seventy, and ten of each kind that will die."""
        return [
            ServerConfig(id=f"s{number}", url=self._url(number), connect_timeout_s=CONNECT_S, call_timeout_s=CONNECT_S)
            for number in ALL
        ]

    def _url(self, number: int) -> str:
        kind = "living" if number in LIVE else KINDS[number % 3]
        host = NAME if kind == "nameless" else "127.0.0.1"
        return f"http://{host}:{self.ports[kind]}/{number}/mcp"

    def forget_the_name(self) -> None:
        """Let nobody know the name any more."""
        self._is_known = False


@fault(1)
async def test_thirty_dead_upstreams_take_nothing_from_the_living_and_their_own_lists_stay(
    http_server: HttpServer, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten refuse the connection, ten take it and never answer, and of ten nobody knows the name any more."""
    network = Network(TinyServers(), monkeypatch)
    store = Secret(f"sqlite:///{tmp_path / 'portico.db'}")
    with anyio.fail_after(2 * PATIENCE_S):
        async with http_server(network.servers) as network.ports["living"]:
            async with AsyncExitStack() as dying:
                for kind in KINDS:
                    network.ports[kind] = await dying.enter_async_context(http_server(network.servers))
                config = Config(servers=tuple(network.configs()), store=store)
                async with Portal(config, sandbox=sandbox) as portal, http_server(portal.app) as port:
                    await portal.wait_ready()
                    await until(lambda: counted(portal) == {"ready": len(ALL)})
                    assert await listed(port) == len(ALL)

            network.forget_the_name()
            with socket.create_server(("127.0.0.1", network.ports["silent"]), backlog=64):
                began = time.monotonic()
                async with Portal(config, sandbox=sandbox) as portal, http_server(portal.app) as port:
                    listed_at_once = await listed(port)
                    listed_after_s = time.monotonic() - began
                    answers = await answers_of(port, LIVE)
                    await portal.wait_ready()
                    settled_after_s = time.monotonic() - began
                    listed_when_settled, states = await listed(port), counted(portal)
                    again = await answers_of(port, LIVE)

    assert (listed_at_once, listed_when_settled) == (len(ALL), len(ALL))
    assert answers == again == {f"{number}: hello" for number in LIVE}
    assert states == {"ready": len(LIVE), "error": len(ALL) - len(LIVE)}
    assert listed_after_s < LIST_S
    assert settled_after_s < SETTLED_S


async def listed(port: int) -> int:
    """Count the tools of servers in the list."""
    async for raw in raw_at(port):
        tools = answer_in(await raw.modern("tools/list"))["result"]["tools"]
        return sum(tool["name"].endswith("_echo") for tool in tools)
    raise AssertionError  # the loop returns


async def answers_of(port: int, numbers: range) -> set[str]:
    """Call one tool of each of these servers."""
    async for raw in raw_at(port):
        return {
            text_of(
                answer_in(await raw.modern("tools/call", {"name": f"s{number}_echo", "arguments": {"text": "hello"}}))
            )
            for number in numbers
        }
    raise AssertionError  # likewise


async def raw_at(port: int) -> AsyncIterator[RawClient]:
    async with httpx2.AsyncClient(timeout=PATIENCE_S) as http:
        yield RawClient(http, f"http://127.0.0.1:{port}/mcp")


def counted(portal: Portal) -> dict[str, int]:
    return dict(Counter(server.status for server in portal.fleet.status()))


REQUESTS, WIDTH, QUEUE = 1_000, 8, 256


@fault(15)
async def test_of_a_thousand_calls_of_a_slow_upstream_some_are_done_others_wait_and_the_rest_are_told_at_once(
    http_server: HttpServer, portal_at: PortalAt
) -> None:
    """A thousand at once, in place of a thousand in each second."""
    slow = TinyServers(delay_s=0.02)
    async with (
        http_server(slow) as port,
        scene_at(portal_at, f"http://127.0.0.1:{port}/slow/mcp", limits={"max_concurrent": WIDTH}) as scene,
    ):
        answers = await scene.call_often(REQUESTS)

    done = [answer for answer in answers if not is_error(answer)]
    refused = [text_of(answer) for answer in answers if is_error(answer)]
    assert slow.most_running == WIDTH
    assert slow.requests["slow", "tools/call"] == len(done)
    assert WIDTH + QUEUE <= len(done) < REQUESTS
    assert all(text.startswith("up is busy: 8 calls are on their way and 256 wait; try again") for text in refused)

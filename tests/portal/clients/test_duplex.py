"""HTTP+SSE for old clients, and stdio: one client on a channel that carries messages both ways."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client

from portal import Config, PortalConfig, Secret, ServerConfig
from portal._control import ask_status
from portal.server import Mode, View
from tests.portal.clients.conftest import JSON, events, modern_request, request
from tests.portal.conftest import until
from tests.portal.passing._asking import Asking
from tests.portal.passing._person import Person, text
from tests.portal.upstream.conftest import serving_scripted
from tests.portal.upstream.offering import Offering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from portal import Portal
    from tests.portal.clients.conftest import RawAt
    from tests.portal.conftest import PortalAt, Serving, Upstreamed
    from tests.portal.passing._person import Era
    from tests.portal.upstream.conftest import Asked

OLD = "2025-06-18"
PATIENCE_S = 60.0
ABOUT = {"protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
JSON_TYPE = {"Content_Type": "application/json"}
MODES = pytest.mark.parametrize(("mode", "tools"), [([], None), (["codemode=search_and_execute"], ["code"])])


@pytest.mark.parametrize("era", ["legacy", "auto"])
@MODES
async def test_a_client_over_sse_sees_the_mode_of_its_address(
    portal_at: PortalAt, era: Era, mode: list[str], tools: list[str] | None
) -> None:
    async with (
        portal_at() as (_, origin),
        Client(sse_client(f"{origin}/sse?{'&'.join(mode)}"), mode=era, cache=None) as client,
    ):
        listed = [tool.name for tool in (await client.list_tools()).tools]

    assert listed == (tools or ["portal_list_servers", "portal_toggle_servers", "portal_toggle_single_server"])


async def test_over_sse_questions_and_their_answers_cross_and_changes_are_told(
    portal_at: PortalAt, serving: Serving
) -> None:
    person = Person()
    async with (
        serving(Asking(OLD)) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(sse_client(f"{origin}/sse"), mode="legacy", cache=None, elicitation_callback=person.elicit) as client,
    ):
        answer = text(await client.call_tool("up_confirm", {}))
        chatty = text(await client.call_tool("up_chatty", {}))

    assert "'action': 'accept'" in answer
    assert chatty == "done"


async def test_messages_for_a_stream_are_taken_from_its_user_alone_and_while_it_is_open(
    portal_at: PortalAt, raw_client: RawAt
) -> None:
    portals = (PortalConfig(), PortalConfig(id="docs"))
    async with portal_at(token=Secret("x" * 32), portals=portals) as (_, origin), raw_client(origin) as raw:
        raw.headers["authorization"] = f"Bearer {'x' * 32}"
        raw.url = f"{origin}/docs/sse"
        async with raw.stream("GET") as response:
            found = events(response)  # held: the stream ends with it
            endpoint = await anext(found)
            raw.url = origin + endpoint["data"]
            taken = (await raw.post(request("ping"))).status_code
            broken = (await raw.post(b"{")).status_code
            raw.url = origin + endpoint["data"].replace("/docs/", "/")
            elsewhere = (await raw.post(request("ping"))).status_code
        raw.url = origin + endpoint["data"]
        with anyio.fail_after(10):
            while (after := (await raw.post(request("ping"))).status_code) == 202:  # noqa: ASYNC110 -- of a server
                await anyio.sleep(0.02)

    assert endpoint["event"] == "endpoint"
    assert endpoint["data"].startswith("/docs/messages/")
    assert (taken, broken, elsewhere, after) == (202, 400, 404, 404)


async def test_a_stream_that_ends_cancels_what_runs_for_it(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, raw_client: RawAt
) -> None:
    upstream.holds["echo"] = anyio.Event()
    body, _ = modern_request("tools/call", {"name": "up_echo", "arguments": {}})
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        raw_client(origin, "/sse") as raw,
    ):
        async with raw.stream("GET") as response:
            found = events(response)  # held: the stream ends with it
            raw.url = origin + (await anext(found))["data"]
            await raw.post(body)
            await upstream.entered.wait()
        with anyio.fail_after(10):
            await upstream.cancelled.wait()


@dataclass(frozen=True)
class Pipes:
    """A client of a portal over two pipes: it writes into ``sending`` and reads from ``receiving``."""

    source: int
    sending: int
    receiving: int
    target: int
    received: bytearray = field(default_factory=bytearray)

    def send(self, *messages: JSON) -> None:
        for message in messages:
            os.write(self.sending, json.dumps(message).encode() + b"\n")

    async def receive(self) -> JSON:
        while b"\n" not in self.received:
            await anyio.wait_readable(self.receiving)
            self.received.extend(os.read(self.receiving, 2**16))
        line, _, rest = bytes(self.received).partition(b"\n")
        self.received[:] = rest
        return dict(json.loads(line))

    @property
    def are_read(self) -> bool:
        """Whether the portal has taken everything."""
        return not select.select([self.source], [], [], 0)[0]

    @property
    def are_full(self) -> bool:
        """Whether the portal can write no more."""
        return not select.select([], [self.target], [], 0)[1]


@asynccontextmanager
async def over_pipes(portal: Portal) -> AsyncIterator[Pipes]:
    pipes = Pipes(*os.pipe(), *os.pipe())
    async with anyio.create_task_group() as tasks:
        tasks.cancel_scope.deadline = anyio.current_time() + PATIENCE_S
        serving = partial(portal.serve_stdio, View(mode=Mode.LIST), source=pipes.source, target=pipes.target)
        tasks.start_soon(serving)
        yield pipes
        os.close(pipes.sending)
    for descriptor in (pipes.source, pipes.receiving, pipes.target):
        os.close(descriptor)


def stdio_portal(tmp_path: Path, *arguments: str) -> StdioServerParameters:
    env = {**os.environ, "PORTICO_DATA_DIR": str(tmp_path)}
    return StdioServerParameters(command=sys.executable, args=["-m", "portico", "stdio", *arguments], env=env)


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_client_over_stdio_sees_the_mode_of_the_flags(tmp_path: Path, era: Era) -> None:
    with anyio.fail_after(PATIENCE_S):
        async with Client(stdio_portal(tmp_path), mode=era, cache=None) as client:
            every = [tool.name for tool in (await client.list_tools()).tools]
        async with Client(stdio_portal(tmp_path, "--codemode", "search_and_execute"), mode=era, cache=None) as client:
            only = [tool.name for tool in (await client.list_tools()).tools]
            ran = text(await client.call_tool("code", {"code": "return 6 * 7"}))

    assert "tracker_list_people" in every
    assert (only, ran) == (["code"], "42")


async def test_a_portal_over_stdio_heeds_commands_and_signals(tmp_path: Path) -> None:
    with anyio.fail_after(PATIENCE_S):
        async with Client(stdio_portal(tmp_path), mode="auto", cache=None) as client:
            config = Config.demo({"PORTICO_DATA_DIR": str(tmp_path)})
            # It may answer its client before it hears commands, and tells nobody when it does.
            while (report := await ask_status(config)) is None:  # noqa: ASYNC110 - see above
                await anyio.sleep(0.01)
            os.kill(report.pid, signal.SIGUSR1)
            listed = await client.list_tools()

    assert listed.tools
    assert [(one.status.id, one.status.status) for one in report.servers] == [("tracker", "ready")]


async def test_standard_output_holds_messages_alone_and_the_end_of_the_input_ends_the_process(tmp_path: Path) -> None:
    lines = [
        request("tools/list", {}, "too early"),
        request("initialize", ABOUT, 1),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        "no json",
        [request("ping")],
        {"jsonrpc": "2.0", "id": None, "method": "ping"},
        request("tools/call", {"name": "portal_list_servers", "arguments": {}}, 2),
    ]
    sent = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n\n" for line in lines)
    parameters = stdio_portal(tmp_path)
    with anyio.fail_after(PATIENCE_S):
        done = await anyio.run_process(
            [parameters.command, *parameters.args], input=sent.encode(), env=parameters.env, check=False
        )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    by_id = {str(answer["id"]): answer for answer in answers if "id" in answer}

    assert done.returncode == 0
    assert by_id["too early"]["error"]["message"] == "Begin with initialize"
    assert by_id["1"]["result"]["protocolVersion"] == OLD
    assert "Tracker" in by_id["2"]["result"]["content"][0]["text"]
    assert sorted(each["error"]["code"] for each in answers if each.get("id", 0) is None) == [-32700, -32600, -32600]


async def test_a_request_that_is_cancelled_while_its_answer_is_written_leaves_no_half_line(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving
) -> None:
    upstream.offer("long", {"content": [{"type": "text", "text": "x" * 2**20}]})
    given_up = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (portal, _),
        over_pipes(portal) as pipes,
    ):
        pipes.send(request("initialize", ABOUT, 1), request("tools/call", {"name": "up_long", "arguments": {}}, 2))
        await until(lambda: pipes.are_full)
        pipes.send(given_up, request("ping", {}, 3))
        await until(lambda: pipes.are_read)
        answers = [await pipes.receive() for _ in range(3)]

    assert [answer["id"] for answer in answers] == [1, 2, 3]


async def test_an_answer_that_cannot_be_written_is_an_error_of_its_request_alone(portal_at: PortalAt) -> None:
    async def deep(asked: Asked) -> None:
        nested = b"[" * 1_000 + b"]" * 1_000
        result = b'{"content":[],"structuredContent":{"a":%b}}' % nested
        await asked.reply(200, b'{"jsonrpc":"2.0","id":%d,"result":%b}' % (asked.id, result), **JSON_TYPE)

    offering = Offering.of("2025-11-25")
    offering.scripted.answers["tools/call"] = deep
    async with (
        serving_scripted(offering.scripted) as url,
        portal_at(ServerConfig(id="up", url=url)) as (portal, _),
        over_pipes(portal) as pipes,
    ):
        pipes.send(request("initialize", ABOUT, 1), request("tools/call", {"name": "up_echo", "arguments": {}}, 2))
        answers = [await pipes.receive() for _ in range(2)]
        pipes.send(request("ping", {}, 3))
        answers.append(await pipes.receive())

    assert answers[1]["id"] == 2
    assert "nested too deep" in answers[1]["error"]["message"]
    assert answers[2] == {"jsonrpc": "2.0", "id": 3, "result": {}}


async def test_a_mode_that_there_is_not_is_told_with_the_flags(tmp_path: Path) -> None:
    parameters = stdio_portal(tmp_path, "--optimize-context", "much")
    done = await anyio.run_process([parameters.command, *parameters.args], env=parameters.env, check=False)

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--optimize-context minimize_tools or --optimize-context search_and_execute" in done.stderr

"""Faults 16, 21, 22 and 23: clients that go away, that call back what they asked for, and whose streams are cut."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio
import httpx2
import pytest

import portal.server._event_stream as event_streams
import portal.server._exchanges as exchanging
import portal.server._session_http as session_http
from tests.portal.clients.conftest import RawClient, events, request
from tests.portal.conftest import until
from tests.portal.faults._fault_proxy import fault_proxy
from tests.portal.faults._numbers import fault
from tests.portal.faults._plain_http import connected, modern_call, written
from tests.portal.faults._traces import traces, until_gone
from tests.portal.upstream.conftest import HELLO
from tests.portal.upstream.offering import Offering

if TYPE_CHECKING:
    from tests.portal.faults._fault_proxy import FaultProxy
    from tests.portal.faults._scene import InScene, Scene
    from tests.portal.upstream.conftest import Asked

CALLS = 500
RETURN_S = 0.3
MESSAGES, MESSAGE_S, CUT_S = 60, 0.03, 0.4


async def session_of(scene: Scene, **capabilities: object) -> RawClient:
    """Begin a session of a client of 2025-11-25."""
    client = RawClient(scene.raw.http, scene.raw.url)
    await client.begin(capabilities=capabilities)
    return client


@fault(16)
@pytest.mark.parametrize("method", ["elicitation/create", "sampling/createMessage"])
async def test_a_question_to_a_client_that_is_gone_ends_with_its_call(
    in_scene: InScene, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_http, "RETURN_S", RETURN_S)
    offering = Offering.of("2025-11-25")
    gone: list[int] = []

    async def ask(asked: Asked) -> None:
        await asked.stream()
        await asked.event({"id": f"q{asked.id}", "method": method, "params": {"message": "Which?", "messages": []}})
        await asked.until_gone()
        gone.append(asked.id)

    offering.scripted.answers["tools/call"] = ask

    async def ask_and_leave(client: RawClient, number: int) -> None:
        call = request("tools/call", {"name": "up_echo", "arguments": {}}, number)
        async with client.stream("POST", call) as response:
            async for event in events(response):
                if method in event.get("data", ""):
                    return

    async with in_scene(offering) as scene:
        client = await session_of(scene, elicitation={}, sampling={})
        await ask_and_leave(client, 1)
        await until(lambda: len(gone) == 1)
        before = traces()
        for number in (2, 3, 4):
            await ask_and_leave(client, number)
        await until(lambda: len(gone) == 4)
        await until_gone(before, kept=4)

    told = [asked.message["params"]["requestId"] for asked in offering.scripted.of("notifications/cancelled")]
    assert sorted(told) == sorted(gone)


@fault(21)
@pytest.mark.parametrize("version", [None, "2025-11-25"])
async def test_five_hundred_abandoned_calls_leave_nothing_behind_and_are_cancelled_upstream(
    in_scene: InScene, version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client with a session has a while to come back; here that is short."""
    monkeypatch.setattr(session_http, "RETURN_S", RETURN_S)
    offering = Offering.of(version)
    held: list[int] = []
    gone: list[int] = []

    async def hold(asked: Asked) -> None:
        held.append(asked.id)
        await asked.until_gone()
        gone.append(asked.id)

    offering.scripted.answers["tools/call"] = hold
    at_first = traces()
    async with in_scene(offering, limits={"max_concurrent": CALLS}) as scene:
        port = int(scene.origin.rpartition(":")[2])
        client = await session_of(scene)
        before = traces()
        async with AsyncExitStack() as connections:
            for number in range(CALLS):
                _, writer = await connections.enter_async_context(connected(port))
                message, headers = modern_call("up_echo")
                if version is not None:
                    call = request("tools/call", {"name": "up_echo", "arguments": {}}, number)
                    message, headers = call, client.headers
                writer.write(written(message, headers))
            await until(lambda: len(held) == CALLS)
        await until(lambda: len(gone) == CALLS)
        # An upstream with sessions is told by requests of their own, whose connections are kept for half a minute.
        await until_gone(before, kept=10 if version is None else CALLS)
        still_served = len(scene.portal._open_face().exchanges)
    await until_gone(at_first)

    told = [asked.message["params"]["requestId"] for asked in offering.scripted.of("notifications/cancelled")]
    assert still_served <= 1, "at most the neighbour's"
    assert sorted(gone) == sorted(held)
    assert sorted(told) == ([] if version is None else sorted(held))


@fault(22)
async def test_a_cancellation_ends_the_own_running_request_and_nothing_else(in_scene: InScene) -> None:
    offering = Offering.of("2025-11-25")
    release = anyio.Event()
    entered: list[object] = []

    async def hold(asked: Asked) -> None:
        entered.append(asked.id)
        if asked.message["params"]["arguments"].get("wait"):
            await asked.until_gone()
            return
        await release.wait()
        await offering.call(asked)

    offering.scripted.answers["tools/call"] = hold
    answers: dict[str, httpx2.Response] = {}
    statuses: list[int] = []

    def cancelled(request_id: object) -> dict[str, object]:
        return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}}

    async with in_scene(offering) as scene:
        mine, other = await session_of(scene), await session_of(scene)

        async def call(request_id: str, **arguments: object) -> None:
            params = {"name": "up_echo", "arguments": arguments}
            answers[request_id] = await mine.post(request("tools/call", params, request_id))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: call("stays"))
            tasks.start_soon(lambda: call("goes", wait=True))
            await until(lambda: len(entered) == 2)
            statuses += [
                (await client.post(cancelled(request_id))).status_code
                for client, request_id in [(other, "stays"), (other, "goes"), (mine, "unknown"), (mine, None)]
            ]
            assert answers == {}
            statuses.append((await mine.post(cancelled("goes"))).status_code)
            await until(lambda: "goes" in answers)
            release.set()
        statuses.append((await mine.post(cancelled("stays"))).status_code)
        later = await mine.post(request("ping", {}, "later"))

    assert statuses == [202] * 6
    assert answers["goes"].json()["error"]["message"] == "Request cancelled"
    assert answers["stays"].json()["result"]["content"] == HELLO["content"]
    assert later.json()["result"] == {}
    assert len(offering.scripted.of("notifications/cancelled")) == 1


@fault(23)
async def test_a_stream_that_is_cut_again_and_again_loses_no_event_and_repeats_none(in_scene: InScene) -> None:
    """Cut each 0.4 s in place of each minute."""
    offering = Offering.of("2025-11-25")

    async def talk(asked: Asked) -> None:
        await asked.stream()
        for number in range(MESSAGES):
            params = {"level": "info", "data": {"number": number}}
            await asked.event({"method": "notifications/message", "params": params})
            await anyio.sleep(MESSAGE_S)
        await asked.event({"id": asked.id, "result": HELLO})

    offering.scripted.answers["tools/call"] = talk
    got: list[int | str] = []
    retries: set[str] = set()
    last_id = ""

    async def read(client: RawClient) -> None:
        nonlocal last_id
        call = request("tools/call", {"name": "up_echo", "arguments": {}}, "call")
        headers = {"last-event-id": last_id} if last_id else {}
        async with client.stream("GET" if last_id else "POST", None if last_id else call, headers) as response:
            async for event in events(response):
                last_id = event.get("id", last_id)
                retries.update({event["retry"]} if "retry" in event else ())
                message = json.loads(event.get("data") or "{}")
                if "method" in message:
                    got.append(message["params"]["data"]["number"])
                elif "id" in message:
                    got.append(message["id"])

    async with (
        in_scene(offering) as scene,
        fault_proxy(scene.raw.url) as proxy,
        httpx2.AsyncClient(timeout=20) as http,
    ):
        client = RawClient(http, proxy.url())
        await client.begin()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cut_again_and_again, proxy)
            while "call" not in got:
                try:
                    await read(client)
                except httpx2.TransportError:
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()

    assert got == [*range(MESSAGES), "call"]
    assert proxy.connections > MESSAGES * MESSAGE_S / CUT_S
    assert retries == {"1000"}


async def cut_again_and_again(proxy: FaultProxy) -> None:
    while True:
        await anyio.sleep(CUT_S)
        proxy.cut()


@fault(23)
async def test_a_silent_stream_is_kept_alive(in_scene: InScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each 0.2 s in place of each 15 s; proxies cut silent streams after 30 s or more."""
    assert event_streams.KEEP_ALIVE_S <= 25
    monkeypatch.setattr(exchanging, "KEEP_ALIVE_S", 0.2)
    async with in_scene(Offering.of(None)) as scene:
        client = await session_of(scene)
        port = int(scene.origin.rpartition(":")[2])
        async with connected(port) as (reader, writer):
            writer.write(written(None, client.headers, method="GET"))
            await reader.readuntil(b"retry: 1000\n")
            for _ in range(3):
                with anyio.fail_after(10):
                    await reader.readuntil(b"\r\n:\n\r\n")
            is_open = not reader.at_eof()

    assert is_open

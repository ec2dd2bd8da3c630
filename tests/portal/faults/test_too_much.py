"""Faults 4, 5, 6 and 14: upstreams that send more than anybody wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

import portal.upstream._relay as relaying
from tests.portal.clients.conftest import modern_request
from tests.portal.faults._fault_proxy import Fault, fault_proxy
from tests.portal.faults._numbers import fault
from tests.portal.faults._scene import answer_in, is_error, scene_at, text_of
from tests.portal.faults._traces import resident_bytes
from tests.portal.upstream.conftest import HELLO, serving_scripted
from tests.portal.upstream.offering import SCHEMA, Offering

if TYPE_CHECKING:
    from tests.portal.conftest import PortalAt
    from tests.portal.faults._scene import InScene
    from tests.portal.upstream.conftest import Answering, Asked

MIB = 2**20
PIECE = b"x" * MIB
MOST_RISE_BYTES = 64 * MIB
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
TOOLS = 1_100
REPORTS = 100_000
REPORTS_AT_ONCE = 500


async def pour(asked: Asked) -> None:
    asked.is_last = True
    for _ in range(100):
        await asked.send(PIECE)


async def declared(asked: Asked) -> None:
    await asked.send(JSON_HEAD + f"Content-Length: {100 * MIB}\r\n\r\n".encode())
    await pour(asked)


async def undeclared(asked: Asked) -> None:
    await asked.send(JSON_HEAD + b'\r\n{"x":"')
    await pour(asked)


async def one_event(asked: Asked) -> None:
    await asked.stream()
    await asked.send(b"data: ")
    await pour(asked)


async def one_comment(asked: Asked) -> None:
    await asked.stream()
    await asked.send(b": ")
    await pour(asked)


async def refused(in_scene: InScene, answer: Answering, size: str) -> None:
    """Call an upstream that answers so, and hold the portal to its bound on memory."""
    offering = Offering.of(None)
    offering.scripted.answers["tools/call"] = answer
    async with in_scene(offering) as scene:
        await scene.call("well_echo")
        before = scene.neighbour.peak_bytes = resident_bytes()
        answers = [await scene.call() for _ in range(3)]
        rise = scene.neighbour.peak_bytes - before
        offering.scripted.answers["tools/call"] = offering.call
        assert not is_error(await scene.call())

    assert [text_of(each) for each in answers] == [f"up sent an answer of {size}, which is too much; ask for less"] * 3
    assert rise <= MOST_RISE_BYTES


@fault(4)
@pytest.mark.parametrize(
    ("answer", "size"), [(declared, "100 MiB (more than 16 MiB)"), (undeclared, "more than 16 MiB")]
)
async def test_an_answer_of_100_mb_is_refused_by_its_size(in_scene: InScene, answer: Answering, size: str) -> None:
    await refused(in_scene, answer, size)


@fault(5)
@pytest.mark.parametrize("answer", [one_event, one_comment])
async def test_an_event_of_100_mb_is_refused_at_the_limit(in_scene: InScene, answer: Answering) -> None:
    await refused(in_scene, answer, "more than 16 MiB")


@fault(5)
async def test_a_byte_now_and_then_is_no_sign_of_life(portal_at: PortalAt) -> None:
    """One byte in 20 ms, where half a second of silence is the limit."""
    offering = Offering.of(None)
    async with (
        serving_scripted(offering.scripted) as url,
        fault_proxy(url) as proxy,
        scene_at(portal_at, proxy.url(), limits={"call_timeout_s": 0.5}) as scene,
    ):
        proxy.fault = Fault(drip_bytes=1, every_s=0.02)
        answer = await scene.call()

    assert text_of(answer) == "up did not answer within 0.5 s"


@fault(6)
async def test_a_list_of_22_mb_is_taken(in_scene: InScene) -> None:
    offering = Offering.of(None)
    offering.lists["tools/list"] = long_list()
    async with in_scene(offering) as scene:
        names = await scene.names()
        status = scene.status()

    assert (status, sum(name.startswith("up_") for name in names)) == ("ready", TOOLS)


@fault(6)
async def test_a_list_beyond_the_limit_is_an_error_that_says_so_and_not_an_empty_list(in_scene: InScene) -> None:
    offering = Offering.of(None)
    async with in_scene(offering, limits={"max_list_mb": 8}) as scene:
        offering.lists["tools/list"] = long_list()
        (synced,) = await scene.portal.fleet.sync("up")
        names_after_refresh = await scene.names()
    async with in_scene(offering, limits={"max_list_mb": 8}) as scene:
        cause = scene.cause()
        servers = text_of(await scene.call("portal_list_servers"))

    assert synced.failure is not None
    assert "which is too much" in synced.failure
    assert names_after_refresh == ["up_echo", "well_echo"]
    assert cause is not None
    assert "more than 8 MiB" in cause
    assert "up (up): error" in servers


def long_list() -> list[object]:
    """22 MB, the size that a client met in the field."""
    text = "x" * 20_000
    return [{"name": f"t{number}", "description": text, "inputSchema": SCHEMA} for number in range(TOOLS)]


@fault(14)
async def test_a_hundred_thousand_reports_of_progress_are_thinned_out_and_the_last_arrives(in_scene: InScene) -> None:
    offering = Offering.of(None)

    async def report(asked: Asked) -> None:
        await asked.stream()
        for start in range(0, REPORTS, REPORTS_AT_ONCE):
            await asked.send(
                b"".join(
                    b'data: {"jsonrpc":"2.0","method":"notifications/progress",'
                    b'"params":{"progressToken":%d,"progress":%d}}\n\n' % (asked.id, number)
                    for number in range(start, start + REPORTS_AT_ONCE)
                )
            )
            await anyio.lowlevel.checkpoint()
        await asked.event({"id": asked.id, "result": {**HELLO, "resultType": "complete"}})

    offering.scripted.answers["tools/call"] = report
    async with in_scene(offering) as scene:
        await scene.call("well_echo")
        before = scene.neighbour.peak_bytes = resident_bytes()
        began = anyio.current_time()
        body, headers = modern_request("tools/call", {"name": "up_echo", "arguments": {}})
        body["params"]["_meta"]["progressToken"] = "mine"
        response = await scene.raw.post(body, headers)
        took_s = anyio.current_time() - began
        rise = scene.neighbour.peak_bytes - before

    reports = response.text.count('"notifications/progress"')
    assert not is_error(answer_in(response))
    assert f'"progress":{REPORTS - 1}' in response.text
    assert reports <= relaying.FREE_REPORTS + took_s / relaying.PROGRESS_S + 2
    assert rise <= 16 * MIB

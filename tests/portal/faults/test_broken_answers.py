"""Faults 7, 8 and 9: answers that are none, servers that start again, and connections that are reset."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest

import portal.upstream._owner as owning
from portal.store import RecordFilter
from tests.portal.conftest import until
from tests.portal.faults._fault_proxy import Fault, fault_proxy
from tests.portal.faults._numbers import fault
from tests.portal.faults._scene import is_error, scene_at, text_of
from tests.portal.upstream.conftest import HELLO, Scripted, serving_scripted
from tests.portal.upstream.offering import SCHEMA, Offering

if TYPE_CHECKING:
    from tests.portal.conftest import PortalAt
    from tests.portal.faults._scene import InScene
    from tests.portal.upstream.conftest import Answering, Asked

DONE = {**HELLO, "resultType": "complete"}
IDEMPOTENT = {"idempotentHint": True}


async def status(asked: Asked, code: int, **headers: str) -> None:
    await asked.reply(code, b"<html><h1>It is not here</h1></html>", Content_Type="text/html", **headers)


async def page(asked: Asked) -> None:
    await status(asked, 200)


async def truncated(asked: Asked) -> None:
    await asked.reply(200, b'{"jsonrpc":"2.0","id":', Content_Type="application/json")


async def shorter_than_said(asked: Asked) -> None:
    asked.is_last = True
    await asked.send(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"json')


async def wrong_id(asked: Asked) -> None:
    await asked.reply_json({"jsonrpc": "2.0", "id": 999_999, "result": DONE})


async def no_utf8(asked: Asked) -> None:
    body = b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"\xff\xfe"}]}}' % asked.id
    await asked.reply(200, body, Content_Type="application/json")


async def nothing(asked: Asked) -> None:
    await asked.reply(200, b"", Content_Type="application/json")


@fault(7)
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (partial(status, code=502), "up answered with HTTP 502 and the outcome is unknown"),
        (partial(status, code=503), "up is too busy (HTTP 503) and the outcome is unknown; try again later"),
        (page, "up answered with something that is no message of MCP (content type text/html)"),
        (truncated, "up answered with something that is no message of MCP"),
        (shorter_than_said, "the connection to up broke before it answered: the outcome is unknown"),
        (wrong_id, "up answered with something that is no message of MCP (the answer to another request)"),
        (no_utf8, "up answered with something that is no message of MCP"),
        (nothing, "up answered with something that is no message of MCP"),
    ],
    ids=["502", "503", "a page", "truncated", "shorter than said", "wrong id", "no UTF-8", "nothing"],
)
async def test_an_answer_that_is_none_fails_its_call_by_name_and_is_not_asked_for_again(
    in_scene: InScene, answer: Answering, told: str
) -> None:
    offering = Offering.of(None)
    offering.scripted.answers["tools/call"] = answer
    async with in_scene(offering) as scene:
        failed = await scene.call()
        sent = len(offering.scripted.of("tools/call"))
        offering.scripted.answers["tools/call"] = offering.call
        assert not is_error(await scene.call())

    assert is_error(failed)
    assert text_of(failed).startswith(told)
    assert sent == 1


@fault(7)
async def test_a_second_answer_to_the_same_request_is_not_the_answer_to_the_next(in_scene: InScene) -> None:
    offering = Offering.of("2025-11-25")

    async def twice(asked: Asked) -> None:
        number = asked.message["params"]["arguments"]["number"]
        await asked.stream()
        for text in (f"first {number}", f"second {number}"):
            await asked.event({"id": asked.id, "result": {"content": [{"type": "text", "text": text}]}})

    offering.scripted.answers["tools/call"] = twice
    async with in_scene(offering) as scene:
        answers = [text_of(await scene.call(number=number)) for number in range(5)]

    assert answers == [f"first {number}" for number in range(5)]


@fault(7)
async def test_an_upstream_that_says_when_to_come_back_is_left_alone_until_then(in_scene: InScene) -> None:
    offering = Offering.of(None)
    offering.scripted.answers["tools/call"] = partial(status, code=429, Retry_After="30")
    async with in_scene(offering) as scene:
        first = text_of(await scene.call())
        others = [text_of(await scene.call()) for _ in range(10)]

    assert first == "up is too busy (HTTP 429); try again in 30 s"
    assert all(text.startswith("up asked to be left alone for a while: try again in ") for text in others)
    assert len(offering.scripted.of("tools/call")) == 1


@fault(7)
async def test_a_list_that_breaks_is_asked_for_again_and_so_is_a_call_that_does_no_harm_twice(
    in_scene: InScene,
) -> None:
    offering = Offering.of(None)
    offering.lists["tools/list"] = [
        {"name": "echo", "inputSchema": SCHEMA},
        {"name": "again", "inputSchema": SCHEMA, "annotations": IDEMPOTENT},
    ]
    broken: list[str] = []

    async def break_first(asked: Asked) -> None:
        name = asked.message["params"].get("name", "the list")
        if name in broken:
            await (offering.list(asked) if name == "the list" else offering.call(asked))
            return
        broken.append(name)
        asked.writer.transport.abort()

    offering.scripted.answers |= {"tools/list": break_first, "tools/call": break_first}
    async with in_scene(offering) as scene:
        once, twice = await scene.call(), await scene.call("up_again")

    assert broken == ["the list", "echo", "again"]
    assert (is_error(once), is_error(twice)) == (True, False)


@dataclass
class Forgetful(Scripted):
    """A server with sessions that forgets them when it starts again."""

    life: int = 1

    async def answer(self, asked: Asked) -> None:
        method = asked.message.get("method")
        if method == "initialize":
            about = {"capabilities": self.capabilities, "serverInfo": {"name": "forgetful", "version": "1"}}
            await asked.result({"protocolVersion": self.version, **about}, Mcp_Session_Id=f"life-{self.life}")
        elif method != "server/discover" and asked.headers.get("mcp-session-id") != f"life-{self.life}":
            await asked.error(-32001, "Session not found", status=404)
        else:
            await super().answer(asked)


def forgetful() -> tuple[Offering, Forgetful]:
    offering = Offering.of("2025-11-25")
    offering.lists["tools/list"] = [
        {"name": "echo", "inputSchema": SCHEMA},
        {"name": "again", "inputSchema": SCHEMA, "annotations": IDEMPOTENT},
    ]
    usual = offering.scripted
    scripted = Forgetful(answers=usual.answers, version=usual.version, capabilities=usual.capabilities)
    offering.scripted = scripted
    return offering, scripted


@fault(8)
async def test_a_server_that_started_again_is_greeted_again_once_and_the_calls_go_on(portal_at: PortalAt) -> None:
    _, scripted = forgetful()
    async with (
        serving_scripted(scripted) as url,
        fault_proxy(url) as proxy,
        scene_at(portal_at, proxy.url()) as scene,
    ):
        assert not is_error(await scene.call())
        scripted.life += 1
        proxy.cut()
        answers = await scene.call_often(20)
        states = [scene.status()]

    assert not any(is_error(answer) for answer in answers)
    assert len(scripted.of("initialize")) == 2
    assert states == ["ready"]


@fault(8)
async def test_calls_in_flight_when_a_server_starts_again_are_repeated_only_where_that_does_no_harm(
    portal_at: PortalAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owning, "FIRST_RETRY_S", 0.01)
    offering, scripted = forgetful()
    reached: list[str] = []

    async def hold(asked: Asked) -> None:
        reached.append(asked.message["params"]["name"])
        if scripted.life == 1:
            await asked.until_gone()
        else:
            await offering.call(asked)

    scripted.answers["tools/call"] = hold
    answers: dict[str, bool] = {}
    async with (
        serving_scripted(scripted) as url,
        fault_proxy(url) as proxy,
        scene_at(portal_at, proxy.url()) as scene,
    ):

        async def call(tool: str) -> None:
            answers[tool] = is_error(await scene.call(tool))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, "up_echo")
            tasks.start_soon(call, "up_again")
            await until(lambda: len(reached) == 2)
            scripted.life += 1
            proxy.cut()

    assert answers == {"up_echo": True, "up_again": False}
    assert sorted(reached) == ["again", "again", "echo"]


@fault(9)
@pytest.mark.parametrize("version", [None, "2025-11-25"])
async def test_a_connection_that_is_reset_after_the_request_leaves_an_unknown_outcome_which_is_on_record(
    portal_at: PortalAt, version: str | None
) -> None:
    offering = Offering.of(version)
    async with (
        serving_scripted(offering.scripted) as url,
        fault_proxy(url) as proxy,
        scene_at(portal_at, proxy.url()) as scene,
    ):
        proxy.fault = Fault(answer_bytes=0)
        answer = await scene.call()
        proxy.fault = Fault()
        await scene.portal.store.records.writer.flush()
        records = await scene.portal.store.records.calls(RecordFilter(server="up"))

    assert text_of(answer) == (
        "the connection to up broke before it answered: the outcome is unknown, so find out whether it took effect "
        "before you repeat it"
    )
    assert [record["status"] for record in records] == ["unknown"]
    assert len(offering.scripted.of("tools/call")) == 1

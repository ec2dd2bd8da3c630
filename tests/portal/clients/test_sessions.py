"""Clients with a session, by requests that are written out: MCP 2025-11-25, basic/transports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from portal import Portal, Secret, ServerConfig
from portal.server import _sessions
from tests.portal.clients.conftest import CONFIRM, events, request
from tests.portal.passing._asking import Asking
from tests.portal.upstream.conftest import serving_scripted
from tests.portal.upstream.offering import Offering

if TYPE_CHECKING:
    from portal.server._http import HttpFace
    from tests.portal.clients.conftest import AskedClient, RawAt
    from tests.portal.conftest import PortalAt, Serving, Upstreamed
    from tests.portal.upstream.conftest import Asked

OLD = "2025-06-18"


def face_of(portal: Portal) -> HttpFace:
    assert portal._face is not None
    return portal._face


async def test_each_session_has_an_id_that_cannot_be_guessed_and_ends_with_delete(
    portal_at: PortalAt, raw_client: RawAt
) -> None:
    async with portal_at() as (_, origin), raw_client(origin) as one, raw_client(origin) as other:
        await one.begin()
        await other.begin()
        ids = {one.headers["mcp-session-id"], other.headers["mcp-session-id"]}
        deleted = await one.http.delete(one.url, headers=one.headers)
        after = await one.post(request("ping"))
        untouched = await other.post(request("ping"))

    assert len(ids) == 2
    assert all(len(each) == 32 for each in ids)
    assert (deleted.status_code, after.status_code, untouched.status_code) == (200, 404, 200)


async def test_an_unknown_session_is_404_and_none_is_400_whatever_is_asked(
    portal_at: PortalAt, raw_client: RawAt
) -> None:
    """MCP 2025-11-25, "Session Management": 404 makes a client begin anew."""
    async with portal_at() as (_, origin), raw_client(origin) as raw:
        unknown = {"mcp-session-id": "0" * 32}
        statuses = [
            (await raw.post(request("tools/list"), unknown)).status_code,
            (await raw.post(request("initialize", {}), unknown)).status_code,
            (await raw.http.get(raw.url, headers={"accept": "text/event-stream", **unknown})).status_code,
            (await raw.http.delete(raw.url, headers=unknown)).status_code,
        ]
        none = await raw.post(request("tools/list"))

    assert statuses == [404, 404, 404, 404]
    assert none.status_code == 400


async def test_a_session_of_another_user_is_404(portal_at: PortalAt, raw_client: RawAt) -> None:
    async with portal_at(token=Secret("x" * 32)) as (portal, origin), raw_client(origin) as raw:
        raw.headers["authorization"] = f"Bearer {'x' * 32}"
        await raw.begin()
        mine = await raw.post(request("ping"))
        session = next(iter(face_of(portal).sessions))
        object.__setattr__(session.caller, "user", "somebody else")
        foreign = await raw.post(request("ping"))

    assert (mine.status_code, foreign.status_code) == (200, 404)


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [(version, version) for version in ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")]
    + [("2026-07-28", "2025-11-25"), ("1999-01-01", "2025-11-25")],
)
async def test_a_handshake_agrees_on_a_version_that_has_one(
    portal_at: PortalAt, raw_client: RawAt, asked: str, agreed: str
) -> None:
    async with portal_at() as (_, origin), raw_client(origin) as raw:
        greeting = await raw.post(
            request("initialize", {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "t"}})
        )

    assert greeting.headers["content-type"] == "application/json"
    assert greeting.json()["result"]["protocolVersion"] == agreed


async def test_a_question_comes_on_the_stream_of_its_call_and_its_answer_is_posted(asked_client: AskedClient) -> None:
    async with asked_client() as raw, raw.stream("POST", CONFIRM) as response:
        found = events(response)
        primed = await anext(found)
        question = await anext(found)
        asked = json_of(question)
        answered = await raw.post({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "decline"}})
        last = json_of(await anext(found))

    assert (primed["data"], primed["retry"]) == ("", "1000")
    assert asked["method"] == "elicitation/create"
    assert answered.status_code == 202
    assert last["id"] == 5
    assert "decline" in last["result"]["content"][0]["text"]


def json_of(found: dict[str, str]) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(found["data"])
    return message


@pytest.mark.parametrize("is_cancelled", [True, False], ids=["cancelled", "upstream-dies"])
async def test_a_question_of_a_call_that_ends_is_taken_back_before_the_answer(
    portal_at: PortalAt, raw_client: RawAt, *, is_cancelled: bool
) -> None:
    offering, may_die = Offering.of(OLD), anyio.Event()

    async def ask(asked: Asked) -> None:
        await asked.stream()
        await asked.event({"id": 7, "method": "elicitation/create", "params": {"message": "Which?"}})
        await may_die.wait()

    offering.scripted.answers["tools/call"] = ask
    async with (
        serving_scripted(offering.scripted) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        raw_client(origin) as raw,
    ):
        await raw.begin(capabilities={"elicitation": {}})
        async with raw.stream("POST", request("tools/call", {"name": "up_echo", "arguments": {}}, 5)) as response:
            found = events(response)
            await anext(found)
            question = json_of(await anext(found))
            if is_cancelled:
                gone = {"requestId": 5}
                await raw.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": gone})
            else:
                may_die.set()
            rest = [json_of(event) async for event in found]

    assert [message.get("method") for message in rest] == ["notifications/cancelled", None]
    assert rest[0]["params"] == {"requestId": question["id"]}
    assert rest[1]["id"] == 5


async def test_a_question_that_was_answered_is_not_taken_back(asked_client: AskedClient) -> None:
    async with asked_client() as raw, raw.stream("POST", CONFIRM) as response:
        found = events(response)
        await anext(found)
        asked = json_of(await anext(found))
        await raw.post({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "decline"}})
        rest = [json_of(event) async for event in found]

    assert [message.get("id") for message in rest] == [5]


async def test_what_a_client_did_not_declare_it_is_not_asked(
    portal_at: PortalAt, serving: Serving, raw_client: RawAt
) -> None:
    async with (
        serving(Asking(OLD)) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        raw_client(origin) as raw,
    ):
        await raw.begin()
        response = await raw.post(request("tools/call", {"name": "up_confirm", "arguments": {}}))

    assert response.headers["content-type"] == "application/json"
    assert '"method"' not in response.text


async def test_only_an_own_running_request_is_cancelled(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, raw_client: RawAt
) -> None:
    """Fault 22: running, finished, unknown, and of another session."""
    upstream.holds["echo"] = anyio.Event()
    answers: list[Any] = []
    running, statuses = False, list[int]()
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        raw_client(origin) as raw,
        raw_client(origin) as other,
    ):
        await raw.begin()
        await other.begin()

        async def call() -> None:
            answers.append(await raw.post(request("tools/call", {"name": "up_echo", "arguments": {}}, "c")))

        def cancelled(request_id: object) -> dict[str, Any]:
            return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}}

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await upstream.entered.wait()
            statuses += [
                (await other.post(cancelled("c"))).status_code,
                (await raw.post(cancelled("unknown"))).status_code,
                (await raw.post(cancelled({"not": "an id"}))).status_code,
            ]
            running = not upstream.cancelled.is_set()
            statuses.append((await raw.post(cancelled("c"))).status_code)
        later = await raw.post(request("ping"))
        finished = await raw.post(cancelled("c"))

    assert running
    assert statuses == [202] * 4
    assert answers[0].json()["error"]["message"] == "Request cancelled"
    assert (later.status_code, finished.status_code) == (200, 202)


@pytest.mark.parametrize(
    ("version", "size", "status"),
    [("2025-03-26", 50, 200), ("2025-03-26", 51, 400), ("2025-03-26", 0, 400), ("2025-06-18", 2, 400)],
)
async def test_a_batch_is_of_its_one_version_and_bounded(
    portal_at: PortalAt, raw_client: RawAt, version: str, size: int, status: int
) -> None:
    async with portal_at() as (_, origin), raw_client(origin) as raw:
        await raw.begin(version)
        response = await raw.post([request("ping", {}, number) for number in range(size)])

    assert response.status_code == status
    if status == 200:
        assert sorted(each["id"] for each in response.json()) == list(range(size))


async def test_a_batch_without_requests_is_accepted(portal_at: PortalAt, raw_client: RawAt) -> None:
    async with portal_at() as (_, origin), raw_client(origin) as raw:
        await raw.begin("2025-03-26")
        response = await raw.post([{"jsonrpc": "2.0", "method": "notifications/x"}, {"id": 1, "result": {}}])

    assert (response.status_code, response.content) == (202, b"")


async def test_an_id_that_is_running_cannot_be_used_again(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, raw_client: RawAt
) -> None:
    statuses: list[int] = []
    upstream.holds["echo"] = anyio.Event()
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        raw_client(origin) as raw,
    ):
        await raw.begin()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(raw.post, request("tools/call", {"name": "up_echo", "arguments": {}}, 1))
            await upstream.entered.wait()
            statuses.append((await raw.post(request("ping", {}, 1))).status_code)
            upstream.holds["echo"].set()

    assert statuses == [400]


async def test_idle_sessions_end_by_themselves(
    portal_at: PortalAt, raw_client: RawAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with portal_at() as (portal, origin), raw_client(origin) as raw, raw_client(origin) as watching:
        await raw.begin()
        await watching.begin()
        sessions = face_of(portal).sessions
        async with watching.stream("GET"):
            monkeypatch.setattr(sessions, "_idle_s", 0.0)
            sessions.sweep()
            left = len(sessions)
        after = await raw.post(request("ping"))

    assert left == 1  # a standing stream keeps its session
    assert after.status_code == 404


async def test_too_many_sessions_are_turned_away_until_one_is_idle(
    portal_at: PortalAt, raw_client: RawAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with portal_at() as (portal, origin), raw_client(origin) as raw:
        monkeypatch.setattr(face_of(portal).sessions, "_most", 1)
        await raw.begin()
        raw.headers.clear()
        body = request("initialize", {"protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "t"}})
        refused = await raw.post(body)
        monkeypatch.setattr(_sessions, "SPARE_IDLE_S", 0.0)
        admitted = await raw.post(body)

    assert refused.status_code == 503
    assert 1 <= int(refused.headers["retry-after"]) <= 8
    assert admitted.status_code == 200
    assert len(face_of(portal).sessions) == 0


async def test_after_the_signal_to_stop_new_requests_are_asked_to_come_back(
    portal_at: PortalAt, raw_client: RawAt
) -> None:
    async with portal_at() as (portal, origin), raw_client(origin) as raw:
        await raw.begin()
        portal.drain()
        refused = await raw.post(request("tools/list"))
        noted = await raw.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})

    assert refused.status_code == 503
    assert "retry-after" in refused.headers
    assert noted.status_code == 202


async def test_a_call_that_the_stop_cuts_short_is_told_so(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, raw_client: RawAt
) -> None:
    upstream.holds["echo"] = anyio.Event()
    answers: list[Any] = []
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (portal, origin),
        raw_client(origin) as raw,
    ):

        async def call() -> None:
            answers.append(await raw.modern("tools/call", {"name": "up_echo"}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await upstream.entered.wait()
            face_of(portal).exchanges.drain(stop_after_s=0.01)

    assert "The portal stopped before this was answered" in answers[0].json()["error"]["message"]

"""Requests of MCP 2026-07-28 that ask: over rounds, with a state that can only be carried, and nothing left behind."""

from __future__ import annotations

import base64
import json
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from portal import ServerConfig
from portal._errors import ClientCannot
from portal.server import Mode, View
from portal.server._request import ClientRequest
from portal.server._sealed_state import Binding, StateSeal
from portal.server._suspended import MAX_PER_USER
from portal.upstream import Caller
from portal.wire import INVALID_PARAMS, RpcError
from tests.portal.conftest import until
from tests.portal.passing._asking import FORM, Asking
from tests.portal.passing._person import OLD
from tests.portal.upstream.conftest import serving_scripted
from tests.portal.upstream.offering import Offering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portal import Portal
    from portal.server import ServedPortal
    from tests.portal.conftest import PortalAt, Serving
    from tests.portal.upstream.conftest import Asked

ASKABLE: dict[str, Any] = {"elicitation": {"form": {}, "url": {}}, "roots": {}}
ERASE_THREE: dict[str, Any] = {
    "name": "code",
    "arguments": {"code": "await Promise.all([1, 2, 3].map(n => codemode.up_erase({ n })))"},
}
CONFIRM: dict[str, Any] = {"name": "up_confirm", "arguments": {}}
ACCEPT: dict[str, Any] = {"action": "accept", "content": {"colour": "blue"}}


@dataclass
class Client:
    """A client of MCP 2026-07-28 over no transport: it takes no requests, and notes what it is told."""

    capabilities: dict[str, Any] = field(default_factory=lambda: ASKABLE)
    log_level: str | None = None
    wants_progress: bool = False
    told: list[Any] = field(default_factory=list)

    async def ask(self, method: str, params: Any) -> Any:  # noqa: ANN401, ARG002 -- a Conversation
        raise ClientCannot("no requests from servers")

    async def report_progress(self, report: Any) -> None:  # noqa: ANN401 -- a Conversation
        self.told.append(report)

    async def notify(self, method: str, params: Any) -> None:  # noqa: ANN401 -- a Conversation
        self.told.append((method, params))


def request(mode: Mode = Mode.LIST, *, user: str = "ada", client: Client | None = None) -> ClientRequest:
    talking = client or Client()
    return ClientRequest(
        view=View(mode=mode),
        caller=Caller(user=user, capabilities=talking.capabilities),
        protocol_version="2026-07-28",
        conversation=talking,
    )


@asynccontextmanager
async def served(portal_at: PortalAt, serving: Serving, asking: Asking) -> AsyncIterator[ServedPortal]:
    """A portal before ``asking``, to be handed requests without a transport."""
    async with serving(asking) as url, portal_at(ServerConfig(id="up", url=url)) as (portal, _):
        yield of(portal)


def of(portal: Portal) -> ServedPortal:
    return portal._servers["default"]


async def call(portal: ServedPortal, params: dict[str, Any], asked: ClientRequest, method: str = "tools/call") -> Any:  # noqa: ANN401 -- JSON
    """Hand the portal a request, and return the result to be looked into."""
    return await portal.handle(method, params, asked)


async def test_all_questions_of_a_program_are_one_round_and_nothing_is_kept_afterwards(
    portal_at: PortalAt, serving: Serving
) -> None:
    async with served(portal_at, serving, Asking()) as portal:
        first = await call(portal, {**ERASE_THREE}, request(Mode.CODE))
        answers = dict.fromkeys(first["inputRequests"], ACCEPT)
        retry = {**ERASE_THREE, "inputResponses": answers, "requestState": first["requestState"]}
        last = await call(portal, retry, request(Mode.CODE))
        await until(lambda: len(portal._rounds.suspended) == 0)

    assert first["resultType"] == "input_required"
    assert len(first["inputRequests"]) == 3
    assert {question["method"] for question in first["inputRequests"].values()} == {"elicitation/create"}
    assert last["resultType"] == "complete"
    assert last["content"][0]["text"].count("erase") == 3


async def test_questions_that_were_not_answered_are_asked_again(portal_at: PortalAt, serving: Serving) -> None:
    async with served(portal_at, serving, Asking()) as portal:
        asked = await call(portal, {**ERASE_THREE}, request(Mode.CODE))
        rounds = 0
        while asked["resultType"] == "input_required":
            rounds += 1
            key = next(iter(asked["inputRequests"]))
            retry = {**ERASE_THREE, "inputResponses": {key: ACCEPT}, "requestState": asked["requestState"]}
            asked = await call(portal, retry, request(Mode.CODE))

    assert rounds == 3


async def test_questions_of_an_upstream_of_the_same_version_pass_through_and_nothing_is_kept(
    portal_at: PortalAt, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "portico.records")
    asking = Asking()
    async with served(portal_at, serving, asking) as portal:
        first = await call(portal, {**CONFIRM}, request())
        kept = len(portal._rounds.suspended)
        retry = {**CONFIRM, "inputResponses": {"colour": ACCEPT}, "requestState": first["requestState"]}
        last = await call(portal, retry, request())

    records = [json.loads(entry.message) for entry in caplog.records if entry.name == "portico.records"]
    assert [record["status"] for record in records] == ["asked", "ok"]
    assert list(first["inputRequests"]) == ["colour"]
    assert kept == 0
    assert "secret-state" not in first["requestState"]
    assert b"secret-state" not in base64.urlsafe_b64decode(first["requestState"].partition(".")[2])
    assert [params.get("requestState") for params in asking.params_of("tools/call")] == [None, "secret-state"]
    assert "'colour': 'blue'" in last["content"][0]["text"]


def altered(state: str) -> str:
    middle = len(state) // 2
    return state[:middle] + ("A" if state[middle] != "A" else "B") + state[middle + 1 :]


@pytest.mark.parametrize("version", [OLD, None], ids=["suspended", "passed-through"])
async def test_a_state_that_is_altered_or_anothers_is_refused_and_the_right_one_still_counts(
    portal_at: PortalAt, serving: Serving, version: str | None
) -> None:
    """MCP 2026-07-28, server/utilities/mrtr: requestState is an attacker's to change."""
    async with served(portal_at, serving, Asking(version)) as portal:
        first = await call(portal, {**CONFIRM}, request())
        state = first["requestState"]
        answers = {"inputResponses": dict.fromkeys(first["inputRequests"], ACCEPT)}
        wrong: list[tuple[dict[str, Any], ClientRequest, str]] = [
            ({**CONFIRM, **answers, "requestState": altered(state)}, request(), "tools/call"),
            ({**CONFIRM, **answers, "requestState": "p1.AAAA"}, request(), "tools/call"),
            ({**CONFIRM, **answers, "requestState": 7}, request(), "tools/call"),
            ({**CONFIRM, **answers, "requestState": state}, request(user="eve"), "tools/call"),
            ({**CONFIRM, **answers, "requestState": state, "arguments": {"x": 1}}, request(), "tools/call"),
            ({"name": "up_survey", **answers, "requestState": state}, request(), "tools/call"),
            ({"name": "up_greet", **answers, "requestState": state}, request(), "prompts/get"),
        ]
        for params, asked, method in wrong:
            with pytest.raises(RpcError, match="Invalid or expired requestState") as refused:
                await call(portal, params, asked, method)
            assert refused.value.code == INVALID_PARAMS
        last = await call(portal, {**CONFIRM, **answers, "requestState": state}, request())

    assert "'colour': 'blue'" in last["content"][0]["text"]


async def test_what_is_completed_belongs_to_the_state_too(portal_at: PortalAt, serving: Serving) -> None:
    of_greet = {"ref": {"type": "ref/prompt", "name": "up_greet"}, "argument": {"name": "who", "value": "an"}}
    of_note = {**of_greet, "ref": {"type": "ref/resource", "uri": "note://by/{id}"}}
    async with served(portal_at, serving, Asking(completes_after_asking=True)) as portal:
        first = await call(portal, {**of_greet}, request(), "completion/complete")
        answered = {"inputResponses": {"colour": ACCEPT}, "requestState": first["requestState"]}
        with pytest.raises(RpcError, match="Invalid or expired requestState"):
            await call(portal, {**of_note, **answered}, request(), "completion/complete")
        last = await call(portal, {**of_greet, **answered}, request(), "completion/complete")

    assert last["completion"]["values"] == ["an…"]


@pytest.mark.parametrize("state", [{"requestState": "kept"}, {}], ids=["with-state", "without-state"])
async def test_answers_go_to_the_server_that_asked_alone_where_several_may_have_a_resource(
    portal_at: PortalAt, state: dict[str, Any]
) -> None:
    flaky, asking = Offering.of(None), Offering.of(None)

    async def fail_once(asked: Asked) -> None:
        if len(flaky.scripted.of("resources/read")) == 1:
            await asked.error(-32603, "Not now")
        else:
            await asked.result({"contents": [], "resultType": "complete"})

    async def ask_first(asked: Asked) -> None:
        if "inputResponses" in asked.message["params"]:
            await asked.result({"contents": [{"uri": "a://x", "text": "secret"}], "resultType": "complete"})
        else:
            await asked.result({"resultType": "input_required", "inputRequests": {"colour": FORM}, **state})

    flaky.scripted.answers["resources/read"] = fail_once
    asking.scripted.answers["resources/read"] = ask_first
    async with (
        serving_scripted(flaky.scripted) as one,
        serving_scripted(asking.scripted) as two,
        portal_at(ServerConfig(id="a", url=one), ServerConfig(id="b", url=two)) as (opened, _),
    ):
        first = await call(of(opened), {"uri": "a://x"}, request(), "resources/read")
        retry = {"uri": "a://x", "inputResponses": {"colour": ACCEPT}, "requestState": first["requestState"]}
        last = await call(of(opened), retry, request(), "resources/read")
        with pytest.raises(RpcError, match="Invalid or expired requestState"):
            await call(of(opened), {**retry, "requestState": "p1.AAAA"}, request(), "resources/read")

    [_, answered] = [asked.message["params"] for asked in asking.scripted.of("resources/read")]
    assert last["contents"][0]["text"] == "secret"
    assert {key: answered[key] for key in ("inputResponses", "requestState") if key in answered} == {
        "inputResponses": {"colour": ACCEPT},
        **state,
    }
    assert len(flaky.scripted.of("resources/read")) == 1


async def test_a_request_whose_client_never_comes_back_is_given_up(
    portal_at: PortalAt, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.server._suspended.STATE_S", 0.1)
    async with served(portal_at, serving, Asking(OLD)) as portal:
        first = await call(portal, {**CONFIRM}, request())
        await until(lambda: len(portal._rounds.suspended) == 0)
        retry = {**CONFIRM, "inputResponses": {}, "requestState": first["requestState"]}
        with pytest.raises(RpcError, match="Invalid or expired requestState"):
            await call(portal, retry, request())


async def test_beyond_the_limit_a_user_loses_his_oldest_waiting_request_and_others_lose_none(
    portal_at: PortalAt, serving: Serving
) -> None:
    async with served(portal_at, serving, Asking()) as portal:
        others = await call(portal, {**ERASE_THREE}, request(Mode.CODE, user="bob"))
        states: list[tuple[dict[str, Any], str]] = []
        for number in range(MAX_PER_USER + 1):
            one: dict[str, Any] = {"name": "execute", "arguments": {"tool": "up_erase", "arguments": {"n": number}}}
            states.append((one, (await call(portal, one, request(Mode.QUERY)))["requestState"]))
        await until(lambda: len(portal._rounds.suspended) == MAX_PER_USER + 1)
        oldest, state = states[0]
        with pytest.raises(RpcError, match="Invalid or expired requestState"):
            await call(portal, {**oldest, "requestState": state}, request(Mode.QUERY))
        retry = {
            **ERASE_THREE,
            "inputResponses": dict.fromkeys(others["inputRequests"], ACCEPT),
            "requestState": others["requestState"],
        }
        answered = await call(portal, retry, request(Mode.CODE, user="bob"))

    assert answered["resultType"] == "complete"


async def test_a_client_that_goes_away_between_two_rounds_leaves_no_call_behind(
    portal_at: PortalAt, serving: Serving
) -> None:
    async with served(portal_at, serving, Asking()) as portal:
        with anyio.move_on_after(0.02):
            await call(portal, {**ERASE_THREE}, request(Mode.CODE))
        await until(lambda: len(portal._rounds.suspended) == 0)


@pytest.mark.parametrize("answers", [{"q1": "yes"}, "yes", ["yes"]])
async def test_answers_that_are_no_objects_are_refused_and_the_request_waits_on(
    portal_at: PortalAt, serving: Serving, answers: object
) -> None:
    async with served(portal_at, serving, Asking(OLD)) as portal:
        first = await call(portal, {**CONFIRM}, request())
        wrong: dict[str, Any] = {**CONFIRM, "inputResponses": answers, "requestState": first["requestState"]}
        with pytest.raises(RpcError, match="inputResponses"):
            await call(portal, wrong, request())
        right = {**CONFIRM, "inputResponses": {"q1": ACCEPT}, "requestState": first["requestState"]}
        last = await call(portal, right, request())

    assert "'colour': 'blue'" in last["content"][0]["text"]


@pytest.mark.parametrize("state", ["", "x" * 500_000, "\ud800", "\u202e\n"])
def test_whatever_an_upstream_keeps_in_its_state_comes_back_to_it(state: str) -> None:
    seal, binding = StateSeal(), Binding.of({"name": "\ud800"}, user="ada", portal="default", method="tools/call")

    assert seal.open(seal.seal({"upstream": state}, binding), binding) == {"upstream": state}


def test_a_state_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    seal, binding = StateSeal(), Binding.of({"name": "a"}, user="ada", portal="default", method="tools/call")
    monkeypatch.setattr("portal.server._sealed_state.STATE_S", -1.0)
    state = seal.seal({"upstream": "x"}, binding)

    with pytest.raises(RpcError, match="Invalid or expired requestState"):
        seal.open(state, binding)


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("tools/call", {}, "tools/call takes name as text"),
        ("tools/call", {"name": "up_plain", "arguments": [1]}, "tools/call takes arguments as an object"),
        ("tools/call", {"name": "nothing"}, "Unknown tool: nothing"),
        ("prompts/get", {"name": "nothing"}, "Unknown prompt: nothing"),
        ("tools/list", {"cursor": "2"}, "Unknown cursor"),
        ("resources/read", {"uri": 1}, "resources/read takes uri as text"),
        ("completion/complete", {"ref": {}, "argument": {}}, "completion/complete takes argument as an object"),
        ("tools/execute", {}, "Method not found"),
        ("logging/setLevel", {"level": "info"}, "Method not found"),
        ("initialize", {}, "Method not found"),
    ],
)
async def test_what_is_wrong_with_a_request_is_said(
    portal_at: PortalAt, method: str, params: dict[str, Any], message: str
) -> None:
    async with portal_at() as (portal, _):
        with pytest.raises(RpcError, match=message):
            await call(of(portal), params, request(), method)

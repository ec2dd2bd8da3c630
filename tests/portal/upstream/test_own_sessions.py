"""Who calls a server through a session of their own, and what becomes of those sessions."""
# ruff: noqa: ANN401 -- a message may hold anything

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from portal._errors import UpstreamBusy
from portal._server_config import ServerConfig
from portal.upstream import Caller, Fleet
from portal.upstream import _fleet as fleets
from portal.upstream._own_sessions import own_key
from tests.portal.conftest import until
from tests.portal.upstream.conftest import PATIENCE_S, serving_scripted
from tests.portal.upstream.offering import Offering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portal.upstream import Upstream
    from tests.portal.conftest import StdioServer
    from typegen import JsonObject

URL = {"url": "http://127.0.0.1:9/mcp"}
CHILD = {"command": "cat"}
ASKS: JsonObject = {"elicitation": {"form": {}}}


def caller(client: str | None = "c1", capabilities: JsonObject | None = None, *, user: str = "ann") -> Caller:
    return Caller(user=user, client=client, capabilities=capabilities or {})


@pytest.mark.parametrize(
    ("fields", "who", "is_modern", "owner"),
    [
        (URL, caller(), False, None),
        (URL, caller("c1", ASKS), False, "client:c1"),
        (URL, caller(None, ASKS), False, "user:ann"),
        (URL, caller(None, ASKS), True, None),
        (URL, caller(None, ASKS), None, None),
        (URL, caller("c1", {"extensions": {"io.modelcontextprotocol/ui": {}}}), False, None),
        (URL | {"session": "shared"}, caller("c1", ASKS), False, None),
        (URL | {"session": "client"}, caller(), False, "client:c1"),
        (URL | {"session": "client"}, caller(None), False, "user:ann"),
        (URL | {"session": "user"}, caller(), True, "user:ann"),
        (URL | {"per_user": True}, caller(), True, "user:ann"),
        (CHILD, caller("c1", ASKS), False, None),
        (CHILD | {"per_user": True}, caller(), False, "user:ann"),
    ],
)
def test_a_session_is_shared_or_belongs_to_somebody(
    fields: dict[str, Any], who: Caller, is_modern: bool | None, owner: str | None
) -> None:
    key = own_key(ServerConfig(id="up", **fields), who, is_modern=is_modern)

    assert (key.owner if key is not None else None) == owner


def test_clients_that_can_do_different_things_never_share_a_session() -> None:
    """What the client did not declare is not declared upstream for it."""
    config = ServerConfig(id="up", session="user", url=URL["url"])
    able: list[JsonObject] = [{}, {"elicitation": {}}, ASKS, {"elicitation": {}, "sampling": {}}]
    keys = {own_key(config, caller(None, each), is_modern=False) for each in able}
    ordered: JsonObject = {"roots": {}, "sampling": {}}
    reordered: JsonObject = {"sampling": {}, "roots": {}, "extensions": {}}

    assert len(keys) == 4
    assert own_key(config, caller(None, ordered), is_modern=False) == own_key(
        config, caller(None, reordered), is_modern=False
    )


@asynccontextmanager
async def fleet_of(offering: Offering, *, heard: list[Any] | None = None, **fields: Any) -> AsyncIterator[Fleet]:
    def hear(*notification: Any) -> None:
        if heard is not None:
            heard.append(notification)

    async with (
        serving_scripted(offering.scripted) as url,
        Fleet([ServerConfig(id="up", url=url, **fields)], on_notification=hear) as fleet,
    ):
        with anyio.fail_after(2 * PATIENCE_S):
            await fleet.wait_settled()
            yield fleet


async def test_what_a_client_can_do_is_declared_on_its_own_session_and_nothing_on_the_shared_one() -> None:
    offering = Offering.of("2025-11-25")
    async with fleet_of(offering) as fleet:
        await fleet.upstream("up", caller("c1", ASKS)).call("echo", {})
        await fleet.upstream("up", caller("c1", ASKS)).call("echo", {})
        await fleet.upstream("up", caller("c2")).call("echo", {})
        declared = [asked.message["params"]["capabilities"] for asked in offering.scripted.of("initialize")]

    assert declared == [{}, ASKS]
    assert offering.listed["tools/list"] == 1, "an own session lists nothing"


async def test_an_own_session_offers_what_the_shared_one_lists_and_hears_of_changes_for_it() -> None:
    offering = Offering.of("2025-11-25")
    async with fleet_of(offering) as fleet:
        own = fleet.upstream("up", caller("c1", ASKS))
        await own.call("echo", {})
        await until(lambda: len(offering.streams) == 2)
        offering.lists["tools/list"].append({"name": "new", "inputSchema": {"type": "object"}})
        await offering.streams[1].event({"method": "notifications/tools/list_changed"})
        await until(lambda: "new" in own.tools)

        assert fleet.status()[0].tools == 2


async def test_what_a_server_says_is_told_with_the_owner_of_the_session() -> None:
    offering = Offering.of("2025-11-25")
    heard: list[Any] = []
    async with fleet_of(offering, heard=heard) as fleet:
        await offering.heard()
        await fleet.upstream("up", caller("c1", ASKS)).call("echo", {})
        await until(lambda: len(offering.streams) == 2)
        for number, stream in enumerate(offering.streams):
            await stream.event({"method": "notifications/message", "params": {"level": "info", "data": number}})
        await until(lambda: len(heard) == 2)

    assert {owner: params["data"] for _, owner, _, params in heard} == {None: 0, "client:c1": 1}


async def test_the_longest_idle_session_makes_room_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "MAX_OWN_SESSIONS", 2)
    monkeypatch.setattr(fleets, "REST_S", 0.0)
    offering = Offering.of("2025-11-25")
    async with fleet_of(offering) as fleet:
        sessions: list[Upstream] = []
        for client in ("c1", "c2", "c1", "c3"):
            sessions.append(fleet.upstream("up", caller(client, ASKS)))
            await sessions[-1].call("echo", {})
        kept = [fleet.upstream("up", caller(client, ASKS)) for client in ("c1", "c3")]

        assert kept == [sessions[0], sessions[3]]
        await offering.scripted.reached("DELETE")
        assert len(offering.scripted.of("initialize")) == 1 + 3


async def test_a_session_that_was_just_used_is_closed_only_for_one_that_must_be_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleets, "MAX_OWN_SESSIONS", 1)
    offering = Offering.of("2025-11-25")
    async with fleet_of(offering) as fleet:
        await fleet.upstream("up", caller("c1", ASKS)).call("echo", {})
        assert fleet.upstream("up", caller("c2", ASKS)) is fleet.listing("up")
    async with fleet_of(offering, session="client") as fleet:
        await fleet.upstream("up", caller("c1")).call("echo", {})
        assert fleet.upstream("up", caller("c2")) is not fleet.listing("up")


@pytest.mark.parametrize("session", [None, "client"])
async def test_when_all_sessions_are_in_use_the_shared_one_serves_unless_it_must_not(
    session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleets, "MAX_OWN_SESSIONS", 1)
    offering = Offering.of("2025-11-25")
    release = anyio.Event()

    async def wait(asked: Any) -> None:
        await release.wait()
        await offering.call(asked)

    offering.scripted.answers["tools/call"] = wait
    async with fleet_of(offering, session=session) as fleet, anyio.create_task_group() as tasks:
        tasks.start_soon(fleet.upstream("up", caller("c1", ASKS)).call, "echo", {})
        await offering.scripted.reached("tools/call")
        if session is None:
            assert fleet.upstream("up", caller("c2", ASKS)) is fleet.listing("up")
        else:
            with pytest.raises(UpstreamBusy, match="too many sessions"):
                fleet.upstream("up", caller("c2", ASKS))
        release.set()


async def test_the_sessions_of_a_client_end_with_it_and_idle_ones_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    offering = Offering.of("2025-11-25")
    monkeypatch.setattr(fleets, "IDLE_CHECK_S", 0.02)
    async with fleet_of(offering) as fleet:
        first = fleet.upstream("up", caller("c1", ASKS))
        await first.call("echo", {})
        fleet.release_client("c1")
        await offering.scripted.reached("DELETE")
        second = fleet.upstream("up", caller("c1", ASKS))
        await second.call("echo", {})
        monkeypatch.setattr(fleets, "IDLE_S", 0.0)
        await offering.scripted.reached("DELETE", 2)

        assert first is not second
        assert fleet.status()[0].status == "ready"


async def test_a_session_that_was_closed_for_being_idle_is_told_the_log_level_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleets, "IDLE_CHECK_S", 0.02)
    offering = Offering.of("2025-11-25")
    offering.scripted.capabilities["logging"] = {}
    offering.scripted.answers["logging/setLevel"] = lambda asked: asked.result({})
    async with fleet_of(offering) as fleet:
        own = fleet.upstream("up", caller("c1", ASKS))
        own.want_log_level("debug")
        await own.call("echo", {})
        await offering.scripted.reached("logging/setLevel")
        monkeypatch.setattr(fleets, "IDLE_S", 0.0)
        await offering.scripted.reached("DELETE")
        monkeypatch.undo()
        await fleet.upstream("up", caller("c2", ASKS)).call("echo", {})
        await fleet.upstream("up", caller("c1", ASKS)).call("echo", {})
        again = await offering.scripted.reached("logging/setLevel", 2)
        fleet.release_client("c1")
        await fleet.upstream("up", caller("c1", ASKS)).call("echo", {})
        await anyio.sleep(0.1)

    assert again.message["params"] == {"level": "debug"}
    assert len(offering.scripted.of("logging/setLevel")) == 2, "a client that ended wants nothing any more"


async def test_children_of_users_are_processes_of_their_own_and_bounded(
    stdio_server: StdioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleets, "MAX_OWN_CHILDREN", 1)
    async with Fleet([stdio_server("tools.py", per_user=True)]) as fleet:
        with anyio.fail_after(2 * PATIENCE_S):
            await fleet.wait_settled()
            pids = [
                (await fleet.upstream("child", caller(user=user)).call("process", {}))["structuredContent"]
                for user in ("ann", "bob", "ann")
            ]

    assert len({str(pid) for pid in pids}) == 3, "ann's first process made room for bob's"

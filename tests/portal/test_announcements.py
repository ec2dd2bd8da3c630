"""Who is told what without asking, how soon, and how often at most."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest

from portal.server import Mode, View
from portal.server._announcements import Announcements, Listener
from portal.server._exchanges import Exchanges
from portal.server._http_messages import HttpRequest
from portal.server._listening import Wishes, listen_over_http
from portal.upstream import Caller
from tests.portal.conftest import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Message

    from typegen import JsonObject

TOOLS, PROMPTS = "notifications/tools/list_changed", "notifications/prompts/list_changed"


class Told:
    """A connection, and what it was told."""

    def __init__(self, mode: Mode = Mode.LIST, *, user: str = "ada", methods: frozenset[str] | None = None) -> None:
        self.messages: list[tuple[str, JsonObject]] = []
        self.listener = Listener(
            caller=Caller(user=user, client=f"{user}-1"), view=View(mode=mode), notify=self._notify, methods=methods
        )

    async def _notify(self, method: str, params: JsonObject) -> None:
        self.messages.append((method, params))

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.messages]


@pytest.fixture
async def announcements(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Announcements]:
    """A hub at work, in which what takes half a minute takes a second."""
    monkeypatch.setattr("portal.server._announcements.TOGETHER_S", 0.02)
    monkeypatch.setattr("portal.server._announcements.AGAIN_S", 1.0)
    hub = Announcements()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hub.run)
        yield hub
        tasks.cancel_scope.cancel()


async def test_changes_of_many_servers_at_once_are_told_once(announcements: Announcements) -> None:
    told = Told()
    announcements.add(told.listener)

    for number in range(50):
        announcements.changed(f"server-{number}", frozenset({"tools", "status"}))
    await until(lambda: bool(told.messages))
    await anyio.sleep(0.1)

    assert told.messages == [(TOOLS, {})]


async def test_a_server_that_keeps_changing_is_told_of_at_most_once_in_the_time_and_its_last_change_is_told(
    announcements: Announcements,
) -> None:
    """SECURITY 4.2, fault 12."""
    told = Told()
    announcements.add(told.listener)
    announcements.changed("flapping", frozenset({"tools"}))  # the first list after a start, which does not count
    await until(lambda: len(told.messages) == 1)

    began = anyio.current_time()
    while anyio.current_time() - began < 1.5:
        announcements.changed("flapping", frozenset({"tools"}))
        await anyio.sleep(0.03)
    before_the_last = len(told.messages)
    announcements.changed("flapping", frozenset({"tools"}))
    await until(lambda: len(told.messages) > before_the_last)

    assert 2 <= before_the_last <= 3


async def test_a_change_of_another_server_is_not_held_up_by_one_that_flaps(announcements: Announcements) -> None:
    told = Told()
    announcements.add(told.listener)
    for _ in range(3):
        announcements.changed("flapping", frozenset({"tools"}))
        await anyio.sleep(0.1)
    before = len(told.messages)

    announcements.changed("steady", frozenset({"tools"}))
    await anyio.sleep(0.2)

    assert len(told.messages) == before + 1


async def test_only_those_whom_a_change_concerns_are_told(announcements: Announcements) -> None:
    lists, code, prompts = Told(), Told(Mode.CODE), Told(methods=frozenset({PROMPTS}))
    for told in (lists, code, prompts):
        announcements.add(told.listener)

    announcements.changed("up", frozenset({"tools", "prompts"}))
    await until(lambda: len(lists.messages) == 2)

    assert set(lists.methods) == {TOOLS, PROMPTS}
    assert code.methods == [PROMPTS]  # its list of tools is the same whatever tools there are
    assert prompts.methods == [PROMPTS]


async def test_a_switched_server_is_told_to_its_user_at_once_in_every_mode(announcements: Announcements) -> None:
    mine, other = Told(Mode.CODE), Told(user="bob")
    announcements.add(mine.listener)
    announcements.add(other.listener)

    announcements.switched("ada")
    await until(lambda: TOOLS in mine.methods)

    assert other.messages == []


async def test_what_a_server_says_on_a_session_of_ones_own_is_told_to_its_owner_alone(
    announcements: Announcements,
) -> None:
    mine, other, silent = Told(), Told(user="bob"), Told(user="cy")
    for told in (mine, other, silent):
        announcements.add(told.listener)
    mine.listener.log_level = other.listener.log_level = "warning"
    owner = mine.listener.caller.owner

    for level in ("info", "error"):
        announcements.pass_on("up", owner, "notifications/message", {"level": level, "data": level})
    announcements.pass_on("up", silent.listener.caller.owner, "notifications/message", {"level": "error"})
    announcements.pass_on("up", owner, "notifications/elicitation/complete", {"elicitationId": "e"})
    await until(lambda: len(mine.messages) == 2)

    assert mine.messages == [
        ("notifications/message", {"level": "error", "data": "error"}),
        ("notifications/elicitation/complete", {"elicitationId": "e"}),
    ]
    assert other.messages == []
    assert silent.messages == []


async def test_what_a_server_says_on_the_session_of_a_user_is_told_to_each_client_of_that_user(
    announcements: Announcements,
) -> None:
    mine, other = Told(), Told(user="bob")
    for told in (mine, other):
        announcements.add(told.listener)
        told.listener.log_level = "warning"
        told.listener.watched["test://note"] = ("up", "test://note")

    announcements.pass_on("up", "user:ada", "notifications/message", {"level": "error", "data": "d"})
    announcements.pass_on("up", "user:ada", "notifications/elicitation/complete", {"elicitationId": "e"})
    announcements.pass_on("up", "user:ada", "notifications/resources/updated", {"uri": "test://note"})
    await until(lambda: len(mine.messages) == 3)

    assert mine.methods == [
        "notifications/message",
        "notifications/elicitation/complete",
        "notifications/resources/updated",
    ]
    assert other.messages == []


async def test_a_client_that_does_not_read_is_given_up_and_one_that_reads_slowly_is_told_in_order(
    announcements: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.server._announcements.TELL_S", 0.5)
    given_up, heard = anyio.Event(), Told()

    async def stuck(_: str, __: JsonObject) -> None:
        await anyio.sleep_forever()

    async def slow(method: str, params: JsonObject) -> None:
        await anyio.sleep(0.01)
        heard.messages.append((method, params))

    ada = Caller(user="ada")
    for notify, on_stuck in ((stuck, given_up.set), (slow, pytest.fail)):
        listener = Listener(caller=ada, view=View(mode=Mode.LIST), notify=notify, on_stuck=on_stuck, log_level="debug")
        announcements.add(listener)

    for number in range(10):
        announcements.pass_on("up", "user:ada", "notifications/message", {"level": "info", "data": number})
    with anyio.fail_after(20):
        await until(lambda: len(heard.messages) == 10)
        await given_up.wait()

    assert [params["data"] for _, params in heard.messages] == list(range(10))


async def test_what_waits_for_a_client_that_does_not_read_is_bounded(
    announcements: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.server._announcements.MAX_QUEUED", 3)
    told, may_read, is_told = Told(), anyio.Event(), anyio.Event()

    async def late(method: str, params: JsonObject) -> None:
        is_told.set()
        await may_read.wait()
        told.messages.append((method, params))

    told.listener.notify, told.listener.log_level = late, "debug"
    announcements.add(told.listener)

    for number in range(10):
        announcements.pass_on("up", "user:ada", "notifications/message", {"level": "info", "data": number})
        await is_told.wait()
    may_read.set()
    await until(lambda: bool(told.messages) and told.messages[-1][1]["data"] == 9)

    assert [params["data"] for _, params in told.messages] == [0, 7, 8, 9]


async def test_a_stream_whose_client_does_not_read_ends() -> None:
    is_stuck = anyio.Event()

    async def receive() -> Message:
        await anyio.sleep_forever()
        return {}

    async def send(message: Message) -> None:
        if b"tools/list_changed" in message.get("body", b"") and not is_stuck.is_set():
            is_stuck.set()
            await anyio.sleep_forever()

    hub = Announcements()
    scope = {"method": "POST", "query_string": b"", "headers": []}
    wishes = Wishes.of(1, {"notifications": {"toolsListChanged": True}})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hub.run)
        tasks.start_soon(
            partial(
                listen_over_http,
                wishes,
                HttpRequest.of(scope, receive, send),
                caller=Caller(user="ada"),
                view=View(mode=Mode.LIST),
                listeners=hub,
                exchanges=Exchanges(),
            )
        )
        with anyio.fail_after(20):
            await until(lambda: len(hub) == 1)
            hub.switched("ada")
            await is_stuck.wait()
            await until(lambda: len(hub) == 0)
        tasks.cancel_scope.cancel()


async def test_a_client_that_does_not_read_holds_up_nobody_else(announcements: Announcements) -> None:
    async def stuck(_: str, __: JsonObject) -> None:
        await anyio.sleep_forever()

    told = Told()
    announcements.add(Listener(caller=Caller(user="stuck"), view=View(mode=Mode.LIST), notify=stuck))
    announcements.add(told.listener)

    announcements.changed("up", frozenset({"tools"}))
    with anyio.fail_after(20):
        await until(lambda: bool(told.messages))


async def test_a_log_message_on_a_shared_session_is_told_to_the_only_user_there_is_and_to_nobody_beside_another(
    announcements: Announcements,
) -> None:
    mine, also_mine, other = Told(), Told(), Told(user="bob")
    for told in (mine, also_mine, other):
        told.listener.log_level = "debug"
    for told in (mine, also_mine):
        announcements.add(told.listener)

    announcements.pass_on("up", None, "notifications/message", {"level": "info", "data": "alone"})
    announcements.add(other.listener)
    announcements.pass_on("up", None, "notifications/message", {"level": "info", "data": "together"})
    announcements.remove(other.listener)
    announcements.pass_on("up", None, "notifications/message", {"level": "info", "data": "of one who was here"})
    announcements.pass_on("up", "user:ada", "notifications/message", {"level": "info", "data": "mine"})
    with anyio.fail_after(20):
        await until(lambda: len(mine.messages) == len(also_mine.messages) == 2)

    assert [params["data"] for _, params in mine.messages] == ["alone", "mine"]
    assert other.messages == []


async def test_a_burst_reaches_a_client_that_reads_whole(announcements: Announcements) -> None:
    told = Told()
    told.listener.log_level = "debug"
    announcements.add(told.listener)

    for number in range(1_000):
        announcements.pass_on("up", "user:ada", "notifications/message", {"level": "info", "data": number})
    with anyio.fail_after(20):
        await until(lambda: bool(told.messages) and told.messages[-1][1]["data"] == 999)

    assert len(told.messages) == 1_000


async def test_an_update_of_a_part_of_a_watched_resource_is_told_under_the_uri_that_clients_know() -> None:
    """MCP 2025-11-25, ``ResourceUpdatedNotification``: the URI might be a sub-resource of the one subscribed to."""
    hub = Announcements(listed_uri=lambda server_id, uri: f"portico://{server_id}/{uri}")
    mine, other = Told(), Told(user="bob")
    mine.listener.watched["portico://up/x://dir"] = ("up", "x://dir")
    other.listener.watched["x://else"] = ("up", "x://else")
    for told in (mine, other):
        hub.add(told.listener)
    uris = ["x://dir/child", "x://dir", "x://dir?page=2", "x://directory", "x://di"]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hub.run)
        for uri in uris:
            hub.pass_on("up", None, "notifications/resources/updated", {"uri": uri})
        hub.pass_on("up", "user:bob", "notifications/resources/updated", {"uri": "x://dir/bobs"})
        hub.pass_on("down", None, "notifications/resources/updated", {"uri": "x://dir/child"})
        hub.pass_on("up", None, "notifications/resources/updated", {"uri": "x://else"})
        with anyio.fail_after(20):
            await until(lambda: bool(other.messages))
        tasks.cancel_scope.cancel()

    assert [params["uri"] for _, params in mine.messages] == [
        f"portico://up/{uri}" for uri in ("x://dir/child", "x://dir", "x://dir?page=2")
    ]
    assert [params["uri"] for _, params in other.messages] == ["x://else"]

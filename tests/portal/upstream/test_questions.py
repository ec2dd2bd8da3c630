"""What an upstream asks and tells while it works on a request, and how requests are given up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from portal._errors import UpstreamTimeout
from portal._server_config import ServerConfig
from portal.upstream._connect import open_session
from portal.upstream._exchange import Timeouts
from portal.upstream._relay import FREE_REPORTS
from portal.wire import RpcError
from tests.portal.conftest import UPSTREAMS, until
from tests.portal.upstream.conftest import HELLO, PATIENCE_S, PATIENT, Client, Scripted, calling

if TYPE_CHECKING:
    from tests.portal.upstream.conftest import JSON, Asked, Opened

HANDSHAKE = "2025-11-25"


def question(number: int, method: str = "elicitation/create") -> JSON:
    return {"id": number, "method": method, "params": {"message": "Which?"}}


def answer_to(scripted: Scripted, number: int | str) -> JSON | None:
    found = [asked.message for asked in scripted.seen if asked.id == number and "method" not in asked.message]
    return found[0] if found else None


async def answered(scripted: Scripted, number: int | str) -> JSON:
    while (message := answer_to(scripted, number)) is None:  # noqa: ASYNC110 -- another connection brings it
        await anyio.sleep(0.005)
    return message


async def test_a_question_on_the_stream_of_a_call_goes_to_its_client_and_back(opened: Opened) -> None:
    async def elicit(asked: Asked) -> None:
        await asked.stream()
        await asked.event(question(7))
        answer = await answered(scripted, 7)
        await asked.event({"id": asked.id, "result": answer["result"]})

    async def choose(_method: str, _params: JSON) -> JSON:
        return {"action": "accept", "content": {"size": "xl"}}

    scripted, client = Scripted({"tools/call": elicit}, HANDSHAKE), Client(answers=choose)
    async with opened(scripted) as session:
        result = await calling(session, conversation=client)

    assert client.asked == [("elicitation/create", {"message": "Which?"})]
    assert result == {"action": "accept", "content": {"size": "xl"}}


async def test_the_time_a_person_takes_counts_neither_as_silence_nor_in_all(opened: Opened) -> None:
    async def elicit(asked: Asked) -> None:
        await asked.stream()
        await asked.event(question(7))
        await answered(scripted, 7)
        await asked.event({"id": asked.id, "result": HELLO})

    async def think(_method: str, _params: JSON) -> JSON:
        await anyio.sleep(1.0)
        return {"action": "decline"}

    scripted = Scripted({"tools/call": elicit}, HANDSHAKE)
    async with opened(scripted) as session:
        result = await calling(session, conversation=Client(answers=think), timeouts=Timeouts(idle_s=0.5, total_s=0.6))

    assert result == HELLO


@pytest.mark.parametrize(("client", "code"), [(Client(), -32601), (None, -32601)])
async def test_a_client_that_cannot_be_asked_is_an_error_for_the_upstream(
    opened: Opened, client: Client | None, code: int
) -> None:
    async def elicit(asked: Asked) -> None:
        await asked.stream()
        await asked.event(question(7))
        error = (await answered(scripted, 7))["error"]
        await asked.event({"id": asked.id, "result": {"code": error["code"]}})

    scripted = Scripted({"tools/call": elicit}, HANDSHAKE)
    async with opened(scripted) as session:
        result = await calling(session, conversation=client)

    assert result == {"code": code}


async def test_a_clients_own_error_reaches_the_upstream(opened: Opened) -> None:
    async def sample(asked: Asked) -> None:
        await asked.stream()
        await asked.event(question(7, "sampling/createMessage"))
        await asked.event({"id": asked.id, "result": {"error": (await answered(scripted, 7))["error"]}})

    async def refuse(_method: str, _params: JSON) -> JSON:
        raise RpcError(-1, "User rejected sampling request")

    scripted = Scripted({"tools/call": sample}, HANDSHAKE)
    async with opened(scripted) as session:
        result = await calling(session, conversation=Client(answers=refuse))

    assert result == {"error": {"code": -1, "message": "User rejected sampling request"}}


async def test_a_ping_and_an_unknown_request_are_answered_by_the_session(opened: Opened) -> None:
    async def ask(asked: Asked) -> None:
        await asked.stream()
        await asked.event({"id": "p1", "method": "ping"})
        await asked.event({"id": "x1", "method": "tools/list"})
        pong, refusal = await answered(scripted, "p1"), await answered(scripted, "x1")
        await asked.event({"id": asked.id, "result": {"pong": pong["result"], "code": refusal["error"]["code"]}})

    scripted = Scripted({"tools/call": ask}, HANDSHAKE)
    async with opened(scripted) as session:
        result = await calling(session)

    assert result == {"pong": {}, "code": -32601}


async def test_a_modern_server_that_asks_in_the_midst_of_a_request_is_not_heard(opened: Opened) -> None:
    """MCP 2026-07-28: servers send no requests."""

    async def elicit(asked: Asked) -> None:
        await asked.stream()
        await asked.event(question(7))
        await asked.event({"id": asked.id, "result": HELLO})

    client = Client()
    scripted = Scripted({"tools/call": elicit})
    async with opened(scripted) as session:
        result = await calling(session, conversation=client)

    assert result == HELLO
    assert client.asked == []
    assert answer_to(scripted, 7) is None


@pytest.mark.parametrize(
    ("capabilities", "asked"),
    [({"roots": {}}, (0, 1)), ({}, (0, 0))],
    ids=["one-client", "shared"],
)
async def test_a_question_on_the_sessions_own_stream_goes_to_the_newest_call_unless_clients_share_the_session(
    opened: Opened, capabilities: JSON, asked: tuple[int, int]
) -> None:
    async def listening(asked: Asked) -> None:
        await asked.stream()
        await scripted.reached("tools/call", 2)
        await asked.event(question(7, "roots/list"))
        await asked.until_gone()

    async def wait(asked: Asked) -> None:
        await answered(scripted, 7)
        await asked.result(HELLO)

    async def roots(_method: str, _params: JSON) -> JSON:
        return {"roots": [{"uri": "file:///new"}]}

    scripted = Scripted({"GET": listening, "tools/call": wait}, HANDSHAKE)
    older, newer = Client(answers=roots), Client(answers=roots)
    async with opened(scripted, capabilities=capabilities) as session, anyio.create_task_group() as tasks:
        for number, client in enumerate((older, newer), 1):
            tasks.start_soon(calling, session, "echo", client)
            await scripted.reached("tools/call", number)

    assert (len(older.asked), len(newer.asked)) == asked


async def test_a_question_that_the_upstream_takes_back_is_taken_back_from_the_client(opened: Opened) -> None:
    async def elicit(asked: Asked) -> None:
        await asked.stream()
        await asked.event(question(7))
        await asking.wait()
        await asked.event({"method": "notifications/cancelled", "params": {"requestId": 7}})
        await gone.wait()
        await asked.event({"id": asked.id, "result": HELLO})

    async def think(_method: str, _params: JSON) -> JSON:
        asking.set()
        try:
            await anyio.sleep_forever()
        finally:
            gone.set()
        return {}

    asking, gone = anyio.Event(), anyio.Event()
    scripted = Scripted({"tools/call": elicit}, HANDSHAKE)
    async with opened(scripted) as session:
        await calling(session, conversation=Client(answers=think))

    assert answer_to(scripted, 7) is None


async def test_a_question_ends_with_the_call_that_it_belongs_to(opened: Opened) -> None:
    """SECURITY 4.2, fault 16: a client that is gone leaves no question behind."""

    async def elicit(asked: Asked) -> None:
        await asked.stream()
        await asked.event(question(7))
        await asked.until_gone()

    async def think(_method: str, _params: JSON) -> JSON:
        calls.cancel_scope.cancel()
        try:
            await anyio.sleep_forever()
        finally:
            gone.set()
        return {}

    gone = anyio.Event()
    scripted = Scripted({"tools/call": elicit}, HANDSHAKE)
    async with opened(scripted) as session:
        async with anyio.create_task_group() as calls:
            calls.start_soon(calling, session, "echo", Client(answers=think))
        await gone.wait()
        refusal = await answered(scripted, 7)

    assert refusal["error"]["message"] == "the request that this belonged to is over"


async def test_what_is_told_during_a_call_reaches_its_client_above_its_level(opened: Opened) -> None:
    async def tell(asked: Asked) -> None:
        await asked.stream()
        for level in ("debug", "warning", "emergency"):
            await asked.event({"method": "notifications/message", "params": {"level": level, "data": "x"}})
        await asked.event({"method": "notifications/com.example/odd", "params": {"a": 1}})
        await asked.event({"method": "notifications/resources/updated", "params": {"uri": "a:b"}})
        await asked.event({"id": asked.id, "result": HELLO})

    heard: list[tuple[str, JSON]] = []
    loud, deaf = Client(log_level="warning"), Client()
    async with opened(Scripted({"tools/call": tell}), heard=heard) as session:
        await calling(session, conversation=loud)
        await calling(session, conversation=deaf)

    assert [params.get("level") for _, params in loud.told] == ["warning", "emergency", None]
    assert [method for method, _ in deaf.told] == ["notifications/com.example/odd"]
    assert heard == [("notifications/resources/updated", {"uri": "a:b"})] * 2


async def test_a_flood_of_progress_reaches_the_client_as_a_trickle_that_ends_with_the_last(opened: Opened) -> None:
    """SECURITY 4.2, fault 14."""
    count = 100_000

    async def flood(asked: Asked) -> None:
        await asked.stream()
        for start in range(0, count, 1000):
            lines = [
                b'data: {"method":"notifications/progress","params":{"progressToken":%d,"progress":%d,"total":%d}}\n\n'
                % (asked.id, number, count)
                for number in range(start + 1, start + 1001)
            ]
            await asked.send(b"".join(lines))
        await asked.event({"id": asked.id, "result": HELLO})

    client = Client(wants_progress=True)
    began = anyio.current_time()
    async with opened(Scripted({"tools/call": flood})) as session:
        await calling(session, conversation=client)
    took_s = anyio.current_time() - began

    assert client.progress[-1] == {"progress": count, "total": count}
    assert len(client.progress) <= FREE_REPORTS + 10 * took_s + 2


async def test_progress_is_forwarded_while_the_call_goes_on(opened: Opened) -> None:
    async def work(asked: Asked) -> None:
        await asked.stream()
        report = {"progressToken": asked.id, "progress": 0.5, "message": "half"}
        await asked.event({"method": "notifications/progress", "params": report})
        await until(lambda: bool(client.progress))
        await asked.event({"id": asked.id, "result": HELLO})

    client = Client(wants_progress=True)
    async with opened(Scripted({"tools/call": work})) as session:
        await calling(session, conversation=client)

    assert client.progress == [{"progress": 0.5, "message": "half"}]


async def test_progress_goes_out_as_it_came_but_for_its_token_and_that_of_something_else_does_not(
    opened: Opened,
) -> None:
    report = {"progress": 1, "total": 3, "message": "", "_meta": {"example.com/k": "v"}, "newField": [1]}

    async def work(asked: Asked) -> None:
        await asked.stream()
        for token in (asked.id, "foreign", asked.id + 1000):
            await asked.event({"method": "notifications/progress", "params": {"progressToken": token, **report}})
        await asked.event({"id": asked.id, "result": HELLO})

    client = Client(wants_progress=True)
    async with opened(Scripted({"tools/call": work})) as session:
        await calling(session, conversation=client)

    assert client.progress == [report]


@pytest.mark.parametrize("version", [None, HANDSHAKE])
async def test_a_call_that_is_given_up_is_given_up_there_in_the_way_of_its_era(
    opened: Opened, version: str | None
) -> None:
    """MCP 2025-11-25, cancellation: notifications/cancelled; 2026-07-28, transports: the connection closes."""
    gone = anyio.Event()

    async def wait(asked: Asked) -> None:
        await asked.until_gone()
        gone.set()

    scripted = Scripted({"tools/call": wait}, version)
    async with opened(scripted) as session:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(calling, session)
            call = await scripted.reached("tools/call")
            tasks.cancel_scope.cancel()
        await gone.wait()
        if version is not None:
            await scripted.reached("notifications/cancelled")

    told = [asked.message["params"] for asked in scripted.of("notifications/cancelled")]
    assert told == ([] if version is None else [{"requestId": call.id}])


async def test_a_call_whose_time_is_over_is_given_up_there_even_if_nobody_listens(opened: Opened) -> None:
    scripted = Scripted({"tools/call": lambda asked: asked.until_gone()}, HANDSHAKE)
    scripted.answers["notifications/cancelled"] = lambda asked: asked.until_gone()
    async with opened(scripted) as session:
        began = anyio.current_time()
        with pytest.raises(UpstreamTimeout):
            await calling(session, timeouts=Timeouts(idle_s=0.1))
        took_s = anyio.current_time() - began
        await scripted.reached("notifications/cancelled")

    assert took_s < PATIENCE_S / 2


async def test_a_process_asks_through_the_call_that_it_works_on() -> None:
    async def choose(method: str, params: JSON) -> JSON:
        return {"action": "accept", "content": {"method": method, "message": params["message"]}}

    heard: list[tuple[str, JSON]] = []
    client = Client(answers=choose, wants_progress=True)
    config = ServerConfig(id="child", command=sys.executable, args=(str(UPSTREAMS / "asking.py"),))
    with anyio.fail_after(PATIENCE_S):
        async with open_session(
            config, capabilities={"elicitation": {}}, on_notification=lambda *told: heard.append(told)
        ) as session:
            result = await session.request("tools/call", {"name": "ask"}, timeouts=PATIENT, conversation=client)
            refused = await session.request("tools/call", {"name": "ask"}, timeouts=PATIENT)

    assert session.protocol_version == "2025-06-18"
    assert result["answer"] == {
        "action": "accept",
        "content": {"method": "elicitation/create", "message": "Which?"},
    }
    assert client.progress == [{"progress": 1, "total": 2, "message": "asked"}]
    assert "error" in refused
    assert heard[0] == ("notifications/tools/list_changed", {})


async def test_a_burst_on_the_stream_of_a_call_reaches_a_client_that_reads_whole(opened: Opened) -> None:
    async def tell(asked: Asked) -> None:
        await asked.stream()
        for number in range(1_000):
            await asked.event({"method": "notifications/message", "params": {"level": "info", "data": number}})
        await asked.event({"id": asked.id, "result": HELLO})

    client = Client(log_level="debug")
    async with opened(Scripted({"tools/call": tell})) as session:
        await calling(session, conversation=client)

    assert [params["data"] for _, params in client.told] == list(range(1_000))


async def test_of_messages_that_a_client_does_not_take_the_oldest_are_dropped(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.upstream._relay.MAX_PENDING", 3)
    is_taken, may_read = anyio.Event(), anyio.Event()

    async def tell(asked: Asked) -> None:
        await asked.stream()
        for number in range(10):
            await asked.event({"method": "notifications/message", "params": {"level": "info", "data": number}})
            await is_taken.wait()
        await asked.event({"method": "notifications/resources/updated", "params": {"uri": "a:b"}})
        await asked.event({"id": asked.id, "result": HELLO})

    class Late(Client):
        async def notify(self, method: str, params: JSON) -> None:
            is_taken.set()
            await may_read.wait()
            await super().notify(method, params)

    heard: list[tuple[str, JSON]] = []
    client = Late(log_level="debug")
    async with opened(Scripted({"tools/call": tell}), heard=heard) as session, anyio.create_task_group() as tasks:
        tasks.start_soon(calling, session, "echo", client)
        await until(lambda: bool(heard))  # what came before it has come too
        may_read.set()

    assert [params["data"] for _, params in client.told] == [0, 7, 8, 9]

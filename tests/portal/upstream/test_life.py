"""An upstream that fails: what its callers are told, what is sent again, and how it comes back by itself."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import anyio
import pytest
from starlette.responses import PlainTextResponse

from portal._errors import UpstreamBusy, UpstreamFailure, UpstreamTimeout, UpstreamUnavailable
from portal._server_config import ServerConfig
from portal.upstream import _breaker as breaking
from portal.upstream import _lane as lanes
from portal.upstream import _owner as owning
from tests.portal.conftest import UPSTREAMS, until
from tests.portal.upstream.conftest import HELLO, Client
from tests.portal.upstream.offering import SCHEMA, Offering, connected, owned

if TYPE_CHECKING:
    from portal.upstream import Upstream
    from tests.portal.conftest import HttpServer
    from tests.portal.upstream.conftest import Answering, Asked
    from typegen import JsonObject

ERAS = pytest.mark.parametrize("version", ["2025-11-25", None])
IDEMPOTENT: list[JsonObject] = [{"idempotentHint": True}, {"readOnlyHint": True}]


async def reset(asked: Asked) -> None:
    """Close the connection instead of an answer."""
    asked.is_last = True


async def sleep_on(asked: Asked) -> None:
    await asked.until_gone()


def busy(status: int, retry_after: str, *, times: int = 1) -> Answering:
    """Refuse the first calls, and answer those after them."""
    left = iter(range(times))

    async def answer(asked: Asked) -> None:
        if next(left, None) is None:
            await asked.result({**HELLO, "resultType": "complete"})
        else:
            await asked.reply(status, Retry_After=retry_after)

    return answer


async def failure_of(up: Upstream, tool: str = "echo") -> UpstreamFailure:
    with pytest.raises(UpstreamFailure) as caught:
        await up.call(tool, {})
    return caught.value


@pytest.mark.parametrize("method", ["server/discover", "tools/list"])
async def test_an_upstream_that_hangs_is_left_alone_after_five_attempts_and_its_callers_told_at_once(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SECURITY 4.2, fault 3."""
    monkeypatch.setattr(owning, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(owning, "LAST_RETRY_S", 0.02)
    offering = Offering.of(None)
    offering.scripted.answers[method] = sleep_on
    async with connected(offering, settings={"connect_timeout_s": 0.2, "call_timeout_s": 0.2}) as up:
        # On a busy machine one of the five may fail before it comes to the method that hangs.
        await until(lambda: up._owner.breaker.is_open)
        attempts = len(offering.scripted.of(method))
        began = time.monotonic()
        failures = [await failure_of(up) for _ in range(20)]
        took_s = time.monotonic() - began
        status = up.status

    assert took_s < 2
    assert all(isinstance(failure, UpstreamUnavailable) for failure in failures)
    assert 20 < (failures[0].retry_after_s or 0) <= 37.5
    assert "failed 5 times in a row" in failures[0].message
    assert (status.status, status.retryable) == ("error", True)
    assert len(offering.scripted.of(method)) == attempts <= 5


async def test_calls_whose_connection_breaks_open_the_breaker_and_a_probe_closes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(breaking, "PROBE_S", 0.5)
    offering = Offering.of(None)
    offering.scripted.answers["tools/call"] = reset
    async with connected(offering) as up:
        broken = [await failure_of(up) for _ in range(5)]
        told = await failure_of(up)
        await until(lambda: up.status.status == "error")
        cause, sent = up.status.cause, len(offering.scripted.of("tools/call"))
        offering.scripted.answers["tools/call"] = offering.call
        await until(lambda: up.status.status == "ready")
        result = await up.call("echo", {})

    assert all(failure.is_outcome_unknown for failure in broken)
    assert (told.is_outcome_unknown, sent) == (False, 5)
    assert cause == "5 requests in a row got no answer, although the server can be reached"
    assert result["content"] == HELLO["content"]


async def test_errors_that_the_server_answers_with_do_not_open_the_breaker() -> None:
    offering = Offering.of(None)

    async def refuse(asked: Asked) -> None:
        await asked.error(-32602, "no such thing")

    offering.scripted.answers["tools/call"] = refuse
    async with connected(offering) as up:
        for _ in range(8):
            await failure_of(up)

    assert len(offering.scripted.of("tools/call")) == 8


async def test_an_error_status_says_its_code_and_since_when(http_server: HttpServer) -> None:
    before = time.time()
    async with (
        http_server(PlainTextResponse("no", 401)) as port,
        owned(ServerConfig(id="up", url=f"http://127.0.0.1:{port}/mcp")) as up,
    ):
        status = up.status

    assert (status.status, status.code, status.retryable) == ("error", 401, False)
    assert before <= status.since <= time.time()


@ERAS
async def test_a_credential_that_is_refused_from_some_moment_on_is_an_error_that_says_so(version: str | None) -> None:
    offering = Offering.of(version)

    async def refuse(asked: Asked) -> None:
        await asked.reply(401)

    async with connected(offering) as up:
        offering.scripted.answers |= dict.fromkeys(("tools/call", "ping", "server/discover", "initialize"), refuse)
        failure = await failure_of(up)
        await until(lambda: up.status.status == "error")
        told = up.status

    assert "refused the portal's credential (HTTP 401)" in failure.message
    assert (told.code, told.retryable) == (401, False)
    assert "it refuses the credential" in (told.cause or "")


async def test_a_tool_that_the_credential_is_not_good_for_leaves_the_others_alone() -> None:
    offering = Offering.of("2025-11-25")

    async def refuse(asked: Asked) -> None:
        await asked.reply(401)

    async with connected(offering) as up:
        offering.scripted.answers["tools/call"] = refuse
        await failure_of(up)
        await offering.scripted.reached("ping")
        offering.scripted.answers["tools/call"] = offering.call
        await up.call("echo", {})

    assert len(offering.scripted.of("initialize")) == 1


async def test_a_server_that_forbids_to_be_asked_for_a_sign_of_life_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owning, "HEALTH_S", 0.05)
    monkeypatch.setattr(owning, "RECHECK_S", 0.01)
    offering = Offering.of("2025-11-25")

    async def forbid(asked: Asked) -> None:
        await asked.reply(403)

    offering.scripted.answers["ping"] = forbid
    async with connected(offering) as up:
        await offering.scripted.reached("ping", 2)
        await up.call("echo", {})

    assert len(offering.scripted.of("initialize")) == 1


@ERAS
async def test_a_proxy_that_stands_alone_is_no_sign_of_life(
    version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owning, "HEALTH_S", 0.05)
    offering = Offering.of(version)

    async def refuse(asked: Asked) -> None:
        await asked.reply(502)

    async with connected(offering) as up:
        offering.scripted.answers |= dict.fromkeys(("ping", "server/discover", "initialize"), refuse)
        await until(lambda: up.status.status == "error")
        told = up.status

    assert told.code == 502


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_wants_to_be_left_alone_is_left_alone_as_long(status: int) -> None:
    """SECURITY 4.2, fault 7."""
    offering = Offering.of(None)
    offering.scripted.answers["tools/call"] = busy(status, "30", times=1000)
    async with connected(offering) as up:
        first = await failure_of(up)
        others = [await failure_of(up) for _ in range(10)]

    assert isinstance(first, UpstreamBusy)
    assert all(isinstance(other, UpstreamBusy) for other in others)
    assert 28 <= (others[-1].retry_after_s or 0) <= 30
    assert len(offering.scripted.of("tools/call")) == 1


@pytest.mark.parametrize(
    ("status", "annotations", "sent"), [(429, {}, 2), (503, {}, 1), (503, {"idempotentHint": True}, 2)]
)
async def test_a_call_is_sent_again_after_a_short_pause_only_if_it_was_certainly_not_done(
    status: int, annotations: JsonObject, sent: int
) -> None:
    offering = Offering.of(None)
    offering.lists["tools/list"] = [{"name": "echo", "inputSchema": SCHEMA, "annotations": annotations}]
    offering.scripted.answers["tools/call"] = busy(status, "1")
    began = time.monotonic()
    async with connected(offering) as up:
        if sent == 2:
            await up.call("echo", {})
            assert time.monotonic() - began >= 1
        else:
            await failure_of(up)

    assert len(offering.scripted.of("tools/call")) == sent


@ERAS
async def test_a_call_whose_connection_broke_is_sent_again_only_if_the_tool_says_that_it_may(
    version: str | None,
) -> None:
    """SECURITY 4.2, faults 8 and 9."""
    offering = Offering.of(version)
    offering.lists["tools/list"] = [
        {"name": "plain", "inputSchema": SCHEMA},
        *({"name": f"again{n}", "inputSchema": SCHEMA, "annotations": hint} for n, hint in enumerate(IDEMPOTENT)),
    ]
    offering.scripted.answers["tools/call"] = reset
    async with connected(offering) as up:
        failures = {tool: await failure_of(up, tool) for tool in ("plain", "again0", "again1")}
    sent = [asked.message["params"]["name"] for asked in offering.scripted.of("tools/call")]

    assert sent == ["plain", "again0", "again0", "again1", "again1"]
    assert all(failure.is_outcome_unknown for failure in failures.values())
    assert "the outcome is unknown" in failures["plain"].message


async def test_a_call_that_took_too_long_is_not_sent_again() -> None:
    offering = Offering.of(None)
    offering.lists["tools/list"] = [{"name": "echo", "inputSchema": SCHEMA, "annotations": IDEMPOTENT[0]}]
    offering.scripted.answers["tools/call"] = sleep_on
    async with connected(offering, settings={"call_timeout_s": 0.2}) as up:
        failure = await failure_of(up)

    assert isinstance(failure, UpstreamTimeout)
    assert failure.is_outcome_unknown
    assert len(offering.scripted.of("tools/call")) == 1


async def test_a_call_that_a_process_did_not_take_any_more_is_sent_to_the_next_one() -> None:
    config = ServerConfig(id="up", command=sys.executable, args=(str(UPSTREAMS / "hostile.py"),))
    async with owned(config) as up:
        await up.call("deaf", {})
        result = await up.call("plain", {})

    assert result == {"ok": True}


async def test_a_forgotten_session_is_opened_once_for_all_who_call_and_their_calls_sent_again() -> None:
    """SECURITY 4.2, fault 8."""
    offering = Offering.of("2025-11-25")
    scripted = offering.scripted

    async def forget(asked: Asked) -> None:
        if len(scripted.of("initialize")) == 1:
            await asked.reply(404)
        else:
            await offering.call(asked)

    scripted.answers["tools/call"] = forget
    results: list[JsonObject] = []
    async with connected(offering) as up:

        async def call(number: int) -> None:
            results.append(await up.call("echo", {"n": number}))

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(call, number)

    numbers = [asked.message["params"]["arguments"]["n"] for asked in scripted.of("tools/call")]
    assert len(results) == 20
    assert len(scripted.of("initialize")) == 2
    assert max(numbers.count(number) for number in range(20)) <= 2


async def test_all_who_call_an_upstream_in_error_hear_of_the_attempt_that_mends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owning, "PROBE_S", 0.0)
    monkeypatch.setattr(owning, "PROBE_WAIT_S", 1000.0)
    offering, release = Offering.of(None), anyio.Event()
    discovering = iter([False, True])

    async def answer(asked: Asked) -> None:
        if next(discovering, True):
            await release.wait()
            await asked.result({"supportedVersions": ["2026-07-28"], "capabilities": offering.scripted.capabilities})
        else:
            await asked.reply(503)

    offering.scripted.answers["server/discover"] = answer
    async with connected(offering) as up:
        before = up.status.status
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(up.call, "echo", {})
            await offering.scripted.reached("server/discover", 2)
            tasks.start_soon(up.call, "echo", {})
            await until(lambda: up._in_flight == 2)
            release.set()

    assert before == "error"
    assert len(offering.scripted.of("tools/call")) == 2


async def test_no_call_has_a_server_tried_before_it_wants_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9110, section 10.2.3."""
    monkeypatch.setattr(owning, "PROBE_S", 0.0)
    offering, release = Offering.of(None), anyio.Event()
    failures: list[UpstreamFailure] = []

    async def answer(asked: Asked) -> None:
        if len(offering.scripted.of("server/discover")) == 1:
            await asked.reply(503)
        else:
            await release.wait()
            await asked.reply(429, Retry_After="30")

    async def call() -> None:
        failures.append(await failure_of(up))

    offering.scripted.answers["server/discover"] = answer
    async with connected(offering) as up:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await offering.scripted.reached("server/discover", 2)
            tasks.start_soon(call)
            await until(lambda: up._in_flight == 2)
            release.set()
        await call()

    assert [25 < (failure.retry_after_s or 0) <= 30 for failure in failures] == [True] * 3
    assert len(offering.scripted.of("server/discover")) == 2


async def test_a_call_that_finds_a_server_upgraded_mirrors_its_arguments_as_the_new_version_wants() -> None:
    offering = Offering.of("2025-11-25")
    region: JsonObject = {"type": "string", "x-mcp-header": "Region"}
    schema: JsonObject = {"type": "object", "properties": {"region": region}}
    offering.lists["tools/list"] = [{"name": "echo", "inputSchema": schema}]

    async def upgrade(asked: Asked) -> None:
        offering.scripted.version = None
        offering.scripted.answers["tools/call"] = offering.call
        await asked.reply(404)

    offering.scripted.answers["tools/call"] = upgrade
    async with connected(offering) as up:
        await up.call("echo", {"region": "eu"})
    headers = [asked.headers.get("mcp-param-region") for asked in offering.scripted.of("tools/call")]

    assert headers == [None, "eu"]


async def test_more_calls_than_one_upstream_takes_wait_or_are_refused_and_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SECURITY 4.2, fault 15."""
    monkeypatch.setattr(lanes, "MAX_QUEUED", 10)
    slow, quick = Offering.of(None), Offering.of(None)
    at_once: list[int] = []
    release = anyio.Event()

    async def wait(asked: Asked) -> None:
        at_once.append(at_once[-1] + 1 if at_once else 1)
        await release.wait()
        at_once.append(at_once[-1] - 1)
        await slow.call(asked)

    slow.scripted.answers["tools/call"] = wait
    ends: list[str] = []
    async with (
        connected(slow, settings={"max_concurrent": 4}) as up,
        connected(quick) as other,
    ):
        up.lane._max_queued = 10

        async def call() -> None:
            try:
                await up.call("echo", {})
                ends.append("ok")
            except UpstreamBusy:
                ends.append("busy")

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(call)
            await until(lambda: ends.count("busy") == 100 - 4 - 10)
            for _ in range(20):
                await other.call("echo", {})
            assert "ok" not in ends
            release.set()

    assert (ends.count("ok"), max(at_once)) == (14, 4)


async def test_calls_that_wait_for_a_person_leave_the_way_to_others() -> None:
    offering = Offering.of("2025-11-25")
    asked_person, answered, came_back = anyio.Event(), anyio.Event(), anyio.Event()

    async def take(asked: Asked) -> None:
        came_back.set()
        await asked.reply(202)

    async def ask(asked: Asked) -> None:
        if asked.message["params"]["arguments"].get("asks"):
            await asked.stream()
            await asked.event({"id": "q", "method": "elicitation/create", "params": {"message": "Which?"}})
            await came_back.wait()
            await asked.event({"id": asked.id, "result": HELLO})
        else:
            await offering.call(asked)

    offering.scripted.answers |= {"tools/call": ask, "POST": take}  # an answer has no method

    async def answer(_: str, __: JsonObject) -> JsonObject:
        asked_person.set()
        await answered.wait()
        return {"action": "accept", "content": {}}

    async with connected(offering, settings={"max_concurrent": 1}, capabilities={"elicitation": {}}) as up:

        async def call_and_ask() -> None:
            await up.call("echo", {"asks": True}, conversation=Client(answers=answer))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call_and_ask)
            await asked_person.wait()
            await up.call("echo", {})
            answered.set()


async def test_an_upstream_that_nobody_uses_is_asked_whether_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owning, "HEALTH_S", 0.05)
    offering = Offering.of("2025-11-25")
    async with connected(offering) as up:
        await offering.scripted.reached("ping")

        async def fail(asked: Asked) -> None:
            await reset(asked)

        offering.scripted.answers["ping"] = fail
        offering.scripted.answers["initialize"] = fail
        await until(lambda: up.status.status == "error")
        status = up.status

    assert (status.tools, status.prompts) == (1, 1), "what it listed stays"


async def test_an_upstream_that_works_on_a_call_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many a server answers nothing else meanwhile, and is not to be taken for dead."""
    monkeypatch.setattr(owning, "HEALTH_S", 0.02)
    monkeypatch.setattr(owning, "RECHECK_S", 0.01)
    offering = Offering.of("2025-11-25")
    pings: list[int] = []

    async def work(asked: Asked) -> None:
        pings.append(len(offering.scripted.of("ping")))
        await anyio.sleep(0.5)
        pings.append(len(offering.scripted.of("ping")))
        await offering.call(asked)

    offering.scripted.answers["tools/call"] = work
    async with connected(offering) as up:
        await offering.scripted.reached("ping")
        await up.call("echo", {})

    assert pings[1] - pings[0] <= 1, "one may have been on its way"

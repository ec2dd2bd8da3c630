"""What upstreams ask reaches the client that made them ask, and its answer comes back: both eras on either side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mcp_types as types
import pytest
from mcp import Client, MCPError

from portal import ServerConfig
from portal.upstream import _fleet as fleets
from tests.portal.conftest import until
from tests.portal.passing._asking import Asking
from tests.portal.passing._person import BOTH, CODE, ERAS, OLD, Person, text

if TYPE_CHECKING:
    from mcp.client import ClientRequestContext

    from tests.portal.conftest import PortalAt, Serving
    from tests.portal.passing._person import Era


@BOTH
@ERAS
async def test_an_upstream_asks_its_caller_for_a_form_a_page_a_message_and_roots(
    portal_at: PortalAt, serving: Serving, version: str | None, era: Era
) -> None:
    person = Person()
    async with (
        serving(Asking(version)) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        person.client(f"{origin}/mcp", era) as client,
    ):
        answers = [text(await client.call_tool(f"up_{name}", {})) for name in ("confirm", "visit", "sample", "roots")]

    assert "'action': 'accept'" in answers[0]
    assert "'colour': 'blue'" in answers[0]
    assert "'action': 'accept'" in answers[1]
    assert "'text': 'hi'" in answers[2]
    assert "file:///home" in answers[3]
    assert [getattr(asked, "mode", asked if asked == "roots" else "sample") for asked in person.asked] == [
        "form",
        "url",
        "sample",
        "roots",
    ]


@BOTH
@ERAS
async def test_a_declined_question_reaches_the_upstream_as_that(
    portal_at: PortalAt, serving: Serving, version: str | None, era: Era
) -> None:
    person = Person(action="decline")
    async with (
        serving(Asking(version)) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        person.client(f"{origin}/mcp", era) as client,
    ):
        answer = text(await client.call_tool("up_confirm", {}))

    assert "'action': 'decline'" in answer


@BOTH
@ERAS
async def test_calls_inside_a_program_ask_too_and_its_clock_stands_still(
    portal_at: PortalAt, serving: Serving, version: str | None, era: Era
) -> None:
    person = Person()
    program = """
        const [one, many] = await Promise.all([codemode.up_confirm({}), codemode.up_survey({})]);
        [one, many, await codemode.up_sample({})]
    """
    async with (
        serving(Asking(version)) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        person.client(f"{origin}/mcp{CODE}", era) as client,
    ):
        answer = text(await client.call_tool("code", {"code": program}))

    assert answer.count("'colour': 'blue'") == 2
    assert "file:///home" in answer
    assert "'text': 'hi'" in answer
    assert len(person.asked) == 4


@BOTH
@ERAS
async def test_a_client_that_cannot_be_asked_is_not_declared_to_be_able_to(
    portal_at: PortalAt, serving: Serving, version: str | None, era: Era
) -> None:
    asking = Asking(version)
    async with (
        serving(asking) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp", mode=era, cache=None) as client,
    ):
        await client.call_tool("up_plain", {})
    declared = [params["capabilities"] for params in asking.params_of("initialize")]
    meant = [
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"]
        for params in asking.params_of("tools/call")
        if version is None
    ]

    assert all(not set(capabilities) & {"elicitation", "sampling", "roots"} for capabilities in declared + meant)


@ERAS
async def test_a_page_that_must_be_visited_first_is_an_error_or_a_question_by_the_clients_version(
    portal_at: PortalAt, serving: Serving, era: Era
) -> None:
    """MCP 2025-11-25, elicitation, URLElicitationRequiredError; 2026-07-28 has questions in its place."""
    asking = Asking(OLD)

    class SigningIn(Person):
        async def elicit(self, context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
            asking.is_signed_in = True
            return await super().elicit(context, params)

    person = SigningIn()
    async with (
        serving(asking) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        person.client(f"{origin}/mcp", era) as client,
    ):
        if era == "legacy":
            with pytest.raises(MCPError) as refused:
                await client.call_tool("up_login", {})
            assert refused.value.error.code == types.URL_ELICITATION_REQUIRED
            assert refused.value.error.data["elicitations"][0]["elicitationId"] == "e-1"
        else:
            assert "login" in text(await client.call_tool("up_login", {}))
            assert [asked.url for asked in person.asked] == ["https://example.com/in"]


async def test_a_client_that_was_sent_to_a_page_is_told_when_that_is_done_and_others_are_not(
    portal_at: PortalAt, serving: Serving
) -> None:
    """MCP 2025-11-25, notifications/elicitation/complete; the session with the server is shared by both clients."""
    asking = Asking(OLD)
    told: dict[str, list[object]] = {"sent": [], "other": []}

    async def to_the_one_sent(message: object) -> None:
        told["sent"].append(message)

    async def to_the_other(message: object) -> None:
        told["other"].append(message)

    async with (
        serving(asking) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Client(f"{origin}/mcp", mode="legacy", cache=None, message_handler=to_the_one_sent) as client,
        Client(f"{origin}/mcp", mode="legacy", cache=None, message_handler=to_the_other) as other,
    ):
        with pytest.raises(MCPError, match="Sign in first"):
            await client.call_tool("up_login", {})
        await asking.tell("notifications/elicitation/complete", {"elicitationId": "e-1"})
        await until(lambda: any(isinstance(message, types.ElicitCompleteNotification) for message in told["sent"]))
        await other.list_tools()

    assert not any(isinstance(message, types.ElicitCompleteNotification) for message in told["other"])


@BOTH
@ERAS
async def test_a_prompt_may_ask_as_well(portal_at: PortalAt, serving: Serving, version: str | None, era: Era) -> None:
    person = Person()
    async with (
        serving(Asking(version)) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        person.client(f"{origin}/mcp", era) as client,
    ):
        prompt = await client.get_prompt("up_greet", {"ask": "yes"})

    assert "'colour': 'blue'" in str(prompt.messages[0].content)


async def test_a_session_that_is_closed_as_idle_while_its_person_thinks_is_replaced(
    portal_at: PortalAt, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleets, "IDLE_CHECK_S", 0.02)
    closed: list[bool] = []

    class Thinking(Person):
        async def elicit(self, context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
            with monkeypatch.context() as patch:
                patch.setattr(fleets, "IDLE_S", 0.0)
                await until(lambda: not portal.fleet._own)
            closed.append(True)
            return await super().elicit(context, params)

    async with (
        serving(Asking(None)) as url,
        portal_at(ServerConfig(id="up", url=url, session="client")) as (portal, origin),
        Thinking().client(f"{origin}/mcp", "legacy") as client,
    ):
        answer = text(await client.call_tool("up_confirm", {}))
        prompt = await client.get_prompt("up_greet", {"ask": "yes"})

    assert "'colour': 'blue'" in answer
    assert "'colour': 'blue'" in str(prompt.messages[0].content)
    assert closed == [True, True]


@pytest.mark.filterwarnings("ignore:The logging capability is deprecated")
@BOTH
@ERAS
async def test_log_messages_and_progress_of_a_call_reach_its_client(
    portal_at: PortalAt, serving: Serving, version: str | None, era: Era
) -> None:
    person = Person()
    reports: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, total, message))

    async with (
        serving(Asking(version)) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        person.client(f"{origin}/mcp", era) as client,
    ):
        if era == "legacy":
            await client.set_logging_level("info")
        meta: Any = {"io.modelcontextprotocol/logLevel": "info"} if era == "auto" else None
        await client.call_tool("up_chatty", {}, progress_callback=on_progress, meta=meta)

    assert reports[-1:] == [(3.0, 3.0, "step 3")]
    assert reports == sorted(reports, key=lambda report: report[0])
    assert [(params.level, params.data, params.logger) for params in person.told] == [("warning", "low ink", "printer")]

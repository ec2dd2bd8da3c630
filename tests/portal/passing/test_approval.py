"""Tools that need the user's word: asked with the exact arguments, by every client that can ask."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Literal

import pytest
from mcp import Client

from portal import PortalConfig, PortalServer, Rules, ServerConfig
from portal.server._approval import SHOWN_CHARS, shown_arguments
from tests.portal.passing._asking import Asking
from tests.portal.passing._person import BOTH, CODE, ERAS, Person, text

if TYPE_CHECKING:
    from tests.portal.conftest import PortalAt, Serving
    from tests.portal.passing._person import Era

ASK = (PortalConfig(servers=(PortalServer(id="up", tools=Rules(ask=("plain",))),)),)
ERASE = "await codemode.up_erase({ path: '/srv/a', times: 2 })"


@BOTH
@ERAS
async def test_a_tool_that_asks_is_called_when_the_user_accepts_its_exact_arguments(
    portal_at: PortalAt, serving: Serving, version: str | None, era: Era
) -> None:
    person, asking = Person(), Asking(version)
    async with (
        serving(asking) as url,
        portal_at(ServerConfig(id="up", url=url), portals=ASK) as (_, origin),
        person.client(f"{origin}/mcp", era) as client,
    ):
        answer = text(await client.call_tool("up_plain", {"path": "/srv/a", "times": 2}))

    assert "'times': 2" in answer
    assert [question.mode for question in person.asked] == ["form"]
    message = person.asked[0].message
    assert message.startswith("Call plain of the server up?")
    assert json.loads(message.partition("\n\n")[2]) == {"path": "/srv/a", "times": 2}
    assert person.asked[0].requested_schema == {"type": "object", "properties": {}}


@ERAS
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_tool_that_the_user_declines_is_not_called_and_the_record_says_so(
    portal_at: PortalAt,
    serving: Serving,
    era: Era,
    action: Literal["decline", "cancel"],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "portico.records")
    person, asking = Person(action=action), Asking()
    async with (
        serving(asking) as url,
        portal_at(ServerConfig(id="up", url=url), portals=ASK) as (_, origin),
        person.client(f"{origin}/mcp", era) as client,
    ):
        answer = await client.call_tool("up_plain", {})
    records = [json.loads(entry.message) for entry in caplog.records if entry.name == "portico.records"]

    assert answer.is_error
    assert "declined by the user" in text(answer)
    assert asking.params_of("tools/call") == []
    assert [(record["status"], record["code"]) for record in records] == [("denied", "declined")]


@ERAS
async def test_where_nobody_can_be_asked_the_answer_names_the_line_that_allows_the_tool(
    portal_at: PortalAt, serving: Serving, era: Era
) -> None:
    asking = Asking()
    async with (
        serving(asking) as url,
        portal_at(ServerConfig(id="up", url=url), portals=ASK) as (_, origin),
        Client(f"{origin}/mcp", mode=era, cache=None) as client,
        Client(f"{origin}/mcp{CODE}", mode=era, cache=None) as in_code,
    ):
        direct = await client.call_tool("up_plain", {})
        inside = await in_code.call_tool("code", {"code": "await codemode.up_plain({})"})
        caught = await in_code.call_tool("code", {"code": "try { await codemode.up_plain({}) } catch (e) { e.code }"})

    for refused in (direct, inside):
        assert refused.is_error
        assert "up_plain was not called" in text(refused)
        assert 'portals: [{id: default, servers: [{id: up, tools: {allow: ["plain"]}}]}]' in text(refused)
    assert text(caught) == "cannot_ask"
    assert asking.params_of("tools/call") == []


@BOTH
@ERAS
async def test_a_program_asks_before_a_destructive_tool_and_a_client_by_itself_does_not(
    portal_at: PortalAt, serving: Serving, version: str | None, era: Era
) -> None:
    person, asking = Person(), Asking(version)
    async with (
        serving(asking) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        person.client(f"{origin}/mcp", era) as client,
        person.client(f"{origin}/mcp{CODE}", era) as in_code,
    ):
        await client.call_tool("up_erase", {})
        asked_directly = list(person.asked)
        answer = text(await in_code.call_tool("code", {"code": ERASE}))

    assert asked_directly == []
    assert "'times': 2" in answer
    assert [question.message.splitlines()[0] for question in person.asked] == [
        "A program wants to call erase of the server up"
    ]


@ERAS
async def test_questions_of_calls_that_a_program_makes_together_are_asked_together(
    portal_at: PortalAt, serving: Serving, era: Era
) -> None:
    program = "await Promise.all([1, 2, 3].map(n => codemode.up_erase({ n })))"
    person = Person()
    async with (
        serving(Asking()) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        person.client(f"{origin}/mcp{CODE}", era) as client,
    ):
        answer = await client.call_tool("code", {"code": program})

    assert not answer.is_error
    assert sorted(json.loads(question.message.partition("\n\n")[2])["n"] for question in person.asked) == [1, 2, 3]


@ERAS
async def test_a_program_that_is_resumed_does_not_ask_again_for_what_was_done(
    portal_at: PortalAt, serving: Serving, era: Era
) -> None:
    person, asking = Person(), Asking()
    async with (
        serving(asking) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        person.client(f"{origin}/mcp{CODE}", era) as client,
    ):
        failed = text(await client.call_tool("code", {"code": f"{ERASE}; throw new Error('later')"}))
        run = failed.partition('resume "')[2].partition('"')[0]
        resumed = await client.call_tool("code", {"code": f"{ERASE}; 'done'", "resume": run})

    assert text(resumed) == "done"
    assert len(person.asked) == 1
    assert len(asking.params_of("tools/call")) == 1


def test_arguments_are_shown_whole_up_to_the_limit_and_beyond_it_with_a_word_on_what_is_left_out() -> None:
    long: dict[str, Any] = {"text": "x" * 10_000, "items": list(range(50)), "ok": True}

    assert json.loads(shown_arguments({"text": "x" * 3_000})) == {"text": "x" * 3_000}
    assert len(shown_arguments(long)) < SHOWN_CHARS
    assert "[9,600 more characters not shown]" in shown_arguments(long)
    assert "[30 more items not shown]" in shown_arguments(long)
    deep: dict[str, Any] = {f"key{n}": ["y" * 300] * 20 for n in range(20)}
    assert "more characters that are not shown" in shown_arguments(deep)


def test_characters_that_do_not_show_are_shown_as_escapes() -> None:
    """A right-to-left override could make a path look like another."""
    assert shown_arguments({"path": "a\u202eb\u200b"}) == '{\n  "path": "a\\u202eb\\u200b"\n}'

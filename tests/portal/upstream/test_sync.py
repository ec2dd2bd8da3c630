"""What an upstream offers is listed when it opens, when it says so, on demand and in time; never without end."""

from __future__ import annotations

import logging
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import anyio
import pytest

from portal._errors import UpstreamFailure, UpstreamRefused
from portal._server_config import ServerConfig
from portal.upstream import Offers
from portal.upstream import _sync as syncing
from tests.portal.conftest import until
from tests.portal.upstream.offering import SCHEMA, Offering, connected, owned

if TYPE_CHECKING:
    from portal.upstream import Change
    from tests.portal.upstream.conftest import Asked
    from typegen import JsonObject

ERAS = pytest.mark.parametrize("version", ["2024-11-05", "2025-11-25", None])
KINDS = pytest.mark.parametrize(
    ("kind", "method", "item"),
    [
        ("tools", "tools/list", {"name": "new", "inputSchema": SCHEMA}),
        ("prompts", "prompts/list", {"name": "new"}),
        ("resources", "resources/list", {"uri": "a://new", "name": "new"}),
        ("resources", "resources/templates/list", {"uriTemplate": "new://{n}", "name": "new"}),
    ],
)


def tool(name: str) -> JsonObject:
    return {"name": name, "inputSchema": SCHEMA}


@ERAS
async def test_tools_prompts_resources_and_templates_are_listed(version: str | None) -> None:
    offering = Offering.of(version)
    async with connected(offering) as up:
        offers, status = up.offers, up.status

    assert list(offers.tools) == ["echo"]
    assert [*offers.prompts] == offering.lists["prompts/list"]
    assert [*offers.resources] == offering.lists["resources/list"]
    assert [*offers.templates] == offering.lists["resources/templates/list"]
    assert offers.capabilities == offering.scripted.capabilities
    assert (status.tools, status.prompts, status.resources) == (1, 1, 2)


async def test_what_a_server_does_not_have_is_not_asked_for() -> None:
    offering = Offering.of(None)
    offering.scripted.capabilities = {"prompts": {}}
    async with connected(offering) as up:
        status = up.status

    assert (status.status, status.tools, status.prompts) == ("ready", 0, 1)
    assert set(offering.listed) == {"prompts/list"}


async def test_one_invalid_definition_of_any_kind_is_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    offering = Offering.of(None)
    offering.lists["tools/list"] += [{"name": "bad-tool"}, tool("echo")]
    offering.lists["prompts/list"] += [{"name": "bad-prompt", "arguments": "all"}, {"name": "greet"}, "nothing"]
    offering.lists["resources/list"] += [{"uri": "bad://resource"}]
    offering.lists["resources/templates/list"] += [{"name": "bad-template"}]
    async with connected(offering) as up:
        status = up.status

    assert (status.status, status.tools, status.prompts, status.resources) == ("ready", 1, 1, 2)
    assert all(word in caplog.text for word in ("bad-tool", "bad-prompt", "bad://resource", "'greet'"))


@pytest.mark.parametrize("depth", [200, 350])
async def test_a_tool_that_is_nested_too_deep_to_be_passed_on_is_left_out(
    depth: int, caplog: pytest.LogCaptureFixture
) -> None:
    schema: JsonObject = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"inner": schema}}
    offering = Offering.of(None)
    offering.lists["tools/list"] += [{"name": "deep", "inputSchema": schema}]
    async with connected(offering) as up:
        offers, status = up.offers, up.status

    assert (status.status, list(offers.tools)) == ("ready", ["echo"])
    assert "deep" in caplog.text


@KINDS
@pytest.mark.parametrize("version", ["2025-11-25", None])
async def test_a_burst_of_200_announcements_costs_at_most_two_lists_and_loses_nothing(
    kind: str, method: str, item: JsonObject, version: str | None
) -> None:
    """SECURITY 4.2, fault 10."""
    offering = Offering.of(version)
    key = next(key for key in ("uri", "uriTemplate", "name") if key in item)
    async with connected(offering) as up:
        await offering.heard()
        for number in range(200):
            offering.lists[method].append({**item, key: f"{item[key]}{number}"})
            await offering.announce(f"notifications/{kind}/list_changed")
        await until(lambda: up.status.tools + up.status.prompts + up.status.resources == 4 + 200)

    assert offering.listed[method] <= 1 + 2


async def test_a_server_that_announces_a_change_with_every_list_is_listed_at_most_once_a_second() -> None:
    """SECURITY 4.2, fault 10."""
    offering = Offering.of(None)
    moments: list[float] = []

    async def announcing(asked: Asked) -> None:
        moments.append(time.monotonic())
        await offering.list(asked)
        await offering.announce("notifications/tools/list_changed")

    offering.scripted.answers["tools/list"] = announcing
    async with connected(offering):
        await offering.heard()
        await offering.announce("notifications/tools/list_changed")
        await until(lambda: len(moments) >= 4)

    refreshes = moments[1:]
    assert all(later - sooner >= 0.99 for sooner, later in pairwise(refreshes))


async def test_a_change_that_is_announced_during_a_refresh_is_listed_after_it() -> None:
    """SECURITY 4.2, fault 11."""
    offering = Offering.of("2025-11-25")
    async with connected(offering) as up:
        await offering.heard()
        offering.holds["tools/list"] = anyio.Event()
        await offering.announce("notifications/tools/list_changed")
        await until(lambda: offering.listed["tools/list"] == 2)
        offering.lists["tools/list"].append(tool("late"))
        await offering.announce("notifications/tools/list_changed")
        offering.holds["tools/list"].set()
        await until(lambda: "late" in up.tools)

    assert offering.listed["tools/list"] == 3


async def test_a_refresh_that_fails_is_tried_again_until_the_change_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "FIRST_RETRY_S", 0.01)
    offering = Offering.of(None)
    failing = iter([True, True, False])

    async def answer(asked: Asked) -> None:
        if next(failing, False):
            await asked.error(-32603, "out of order")
        else:
            await offering.list(asked)

    async with connected(offering) as up:
        await offering.heard()
        offering.scripted.answers["tools/list"] = answer
        offering.lists["tools/list"].append(tool("new"))
        await offering.announce("notifications/tools/list_changed")
        await until(lambda: "new" in up.tools)
        status = up.status.status

    assert status == "ready"


async def test_a_refresh_that_failed_does_not_hold_up_the_next_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(syncing, "FIRST_RETRY_S", 1000.0)
    monkeypatch.setattr(syncing, "LAST_RETRY_S", 1000.0)
    offering = Offering.of(None)

    async def refuse(asked: Asked) -> None:
        await asked.error(-32603, "out of order")

    async with connected(offering) as up:
        offering.scripted.answers["tools/list"] = refuse
        with pytest.raises(UpstreamRefused, match="out of order"):
            await up.sync()
        offering.scripted.answers["tools/list"] = offering.list
        offering.lists["tools/list"].append(tool("new"))
        await offering.heard()
        await offering.announce("notifications/prompts/list_changed")
        await until(lambda: "new" in up.tools)
        await up.sync()


async def test_only_what_is_different_counts_as_a_change() -> None:
    offering = Offering.of(None)
    heard: list[frozenset[Change]] = []
    async with connected(offering, on_change=heard.append) as up:
        heard.clear()
        await up.sync()
        assert heard == []
        offering.lists["prompts/list"] = [{"name": "other"}]
        await up.sync()
        assert heard == [frozenset({"prompts"})]
        offering.lists["resources/templates/list"] = []
        offering.lists["tools/list"] = [tool("other")]
        await up.sync()
        assert heard[1:] == [frozenset({"tools", "resources"})]


async def test_asking_for_a_sync_waits_until_what_was_listed_is_kept() -> None:
    offering = Offering.of(None)
    kept: list[JsonObject] = []

    async def keep(offers: JsonObject) -> None:
        await anyio.sleep(0.05)
        kept.append(offers)

    async with connected(offering, keep=keep) as up:
        offering.lists["tools/list"].append(tool("new"))
        await up.sync()
        newest = kept[-1]
        await up.sync()

    assert newest["tools"] == offering.lists["tools/list"]
    assert newest["prompts"] == offering.lists["prompts/list"]
    assert len(kept) == 2, "nothing is kept again that is kept already"


async def test_asking_for_a_sync_says_why_there_was_none(free_port: int) -> None:
    offering = Offering.of(None)
    async with owned(ServerConfig(id="gone", url=f"http://127.0.0.1:{free_port}/mcp")) as gone:
        with pytest.raises(UpstreamFailure, match="connect"):
            await gone.sync()

    async def refuse(asked: Asked) -> None:
        await asked.error(-32603, "out of order")

    async with connected(offering) as up:
        offering.scripted.answers["prompts/list"] = refuse
        with pytest.raises(UpstreamRefused, match="out of order"):
            await up.sync()


async def test_a_server_that_announces_nothing_is_listed_anew_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "EVERY_S", 0.05)
    offering = Offering.of("2024-11-05")
    async with connected(offering) as up:
        offering.lists["tools/list"].append(tool("new"))
        await until(lambda: "new" in up.tools)


async def test_tools_need_not_wait_long_for_prompts_that_do_not_come(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(syncing, "ASIDE_TIMEOUT_S", 0.2)
    offering = Offering.of(None)
    offering.holds["prompts/list"] = anyio.Event()
    async with connected(offering) as up:
        status = up.status
        offering.holds["prompts/list"].set()

    assert (status.status, status.tools, status.prompts) == ("ready", 1, 0)
    assert "its prompts could not be listed" in caplog.text


async def test_a_list_that_a_server_does_not_know_is_empty_and_hinders_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    offering = Offering.of("2025-11-25")
    del offering.scripted.answers["resources/templates/list"]
    async with connected(offering) as up:
        await offering.heard()
        offering.lists["resources/list"].append({"uri": "a://2", "name": "two"})
        await offering.announce("notifications/resources/list_changed")
        await until(lambda: up.status.resources == 2)
        await up.sync()

    assert "could not be listed" not in caplog.text


async def test_a_list_that_failed_when_the_session_opened_is_read_soon_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(syncing, "ASIDE_TIMEOUT_S", 0.2)
    offering = Offering.of(None)
    offering.holds["prompts/list"] = anyio.Event()
    async with connected(offering) as up:
        before = up.status.prompts
        offering.holds["prompts/list"].set()
        await until(lambda: up.status.prompts == 1)

    assert before == 0


async def test_what_was_kept_is_offered_while_the_server_is_away_and_replaced_when_it_answers(free_port: int) -> None:
    offering = Offering.of(None)
    kept: list[JsonObject] = []

    async def keep(offers: JsonObject) -> None:
        kept.append(offers)

    async with connected(offering, keep=keep):
        pass

    restored = Offers.of(kept[-1], upstream="up")
    assert list(restored.tools) == ["echo"]
    assert [*restored.prompts] == offering.lists["prompts/list"]
    assert restored.changes_since(Offers.of(kept[-1], upstream="up")) == frozenset()
    assert restored.protocol_version == "2026-07-28"


async def test_a_list_that_is_larger_than_allowed_is_an_error_that_names_the_limit() -> None:
    """SECURITY 4.2, fault 6: never "0 tools"."""
    offering = Offering.of(None)

    async def page(asked: Asked) -> None:
        number = int(asked.message["params"].get("cursor", 0)) + 1
        tools = [{**tool(f"t{number}"), "description": "x" * 2**19}]
        await asked.result({"tools": tools, "nextCursor": str(number), "resultType": "complete"})

    offering.scripted.answers["tools/list"] = page
    async with connected(offering, settings={"max_list_mb": 1}) as up:
        status = up.status

    assert status.status == "error"
    assert status.cause == "up lists more than 1 MiB of tools: raise its max_list_mb"


@pytest.mark.parametrize(
    ("tools", "is_code_mode"),
    [
        (["code"], True),
        (["query", "execute"], True),
        (["portal_codemode_search", "portal_codemode_execute"], True),
        (["code", "other"], False),
        (["query"], False),
    ],
)
async def test_a_server_that_is_code_mode_itself_is_noticed(
    tools: list[str], is_code_mode: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    offering = Offering.of(None)
    offering.lists["tools/list"] = [tool(name) for name in tools]
    async with connected(offering) as up:
        status = up.status

    assert status.is_code_mode is is_code_mode
    assert ("?codemode=off" in caplog.text) is is_code_mode

"""What happens while a call is under way: progress of calls inside a program, and cancellation in every era."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from mcp import Client
from mcp.client.sse import sse_client

from portal import ServerConfig
from tests.portal.conftest import PATIENCE_S
from tests.portal.passing._asking import Asking
from tests.portal.passing._person import BOTH, CODE, ERAS, OLD, Person, text
from tests.portal.upstream.conftest import serving_scripted
from tests.portal.upstream.offering import Offering

if TYPE_CHECKING:
    from tests.portal.conftest import PortalAt, Serving, Upstreamed
    from tests.portal.passing._person import Era

CHANGED = "notifications/roots/list_changed"


@BOTH
@ERAS
async def test_progress_of_calls_inside_a_program_is_progress_of_the_program(
    portal_at: PortalAt, serving: Serving, version: str | None, era: Era
) -> None:
    reports: list[tuple[float, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        reports.append((progress, message))

    program = "for (let i = 0; i < 3; i++) await codemode.up_chatty({}); 'done'"
    async with (
        serving(Asking(version)) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Person().client(f"{origin}/mcp{CODE}", era) as client,
    ):
        answer = text(await client.call_tool("code", {"code": program}, progress_callback=on_progress))

    assert answer == "done"
    assert reports
    assert all((message or "").startswith("up_chatty: ") for _, message in reports)
    assert [progress for progress, _ in reports] == sorted({progress for progress, _ in reports})


@ERAS
async def test_a_program_that_takes_long_says_now_and_then_that_it_goes_on(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, era: Era, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.server._program.HEARTBEAT_S", 0.3)
    beats: list[str | None] = []
    upstream.holds["echo"] = anyio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        assert (progress > 0, total) == (True, None)
        beats.append(message)
        if len(beats) == 2:
            upstream.holds["echo"].set()

    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (_, origin),
        Person().client(f"{origin}/mcp{CODE}", era) as client,
    ):
        await client.call_tool("code", {"code": "await codemode.up_echo({})"}, progress_callback=on_progress)

    assert beats[:2] == ["running", "running"]


@BOTH
@ERAS
@pytest.mark.parametrize("in_code", [False, True], ids=["direct", "in-program"])
async def test_a_client_that_could_be_asked_and_cancels_its_call_cancels_it_upstream(
    portal_at: PortalAt, upstream: Upstreamed, serving: Serving, version: str | None, era: Era, *, in_code: bool
) -> None:
    upstream.version = version
    upstream.holds["echo"] = anyio.Event()
    name, arguments = ("code", {"code": "await codemode.up_echo({})"}) if in_code else ("up_echo", {})
    async with (
        serving(upstream) as url,
        portal_at(ServerConfig(id="up", url=url)) as (portal, origin),
        Person().client(f"{origin}/mcp{CODE if in_code else ''}", era) as client,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, name, arguments)
            await upstream.entered.wait()
            tasks.cancel_scope.cancel()
        await upstream.cancelled.wait()
        kept = len(portal._servers["default"]._rounds.suspended)

    assert kept == 0


@pytest.mark.filterwarnings("ignore:The roots capability is deprecated")
@pytest.mark.parametrize("path", ["/mcp", "/sse"])
async def test_a_client_whose_roots_changed_has_that_told_on_its_own_session_alone(
    portal_at: PortalAt, path: str
) -> None:
    offering = Offering.of(OLD)

    def client_at(origin: str) -> Client:
        target = f"{origin}/mcp" if path == "/mcp" else sse_client(f"{origin}/sse")
        return Client(target, mode="legacy", cache=None, list_roots_callback=Person().roots)

    async with (
        serving_scripted(offering.scripted) as url,
        portal_at(ServerConfig(id="up", url=url)) as (portal, origin),
        client_at(origin) as client,
        client_at(origin) as other,
    ):
        for each in (client, other):
            await each.call_tool("up_echo", {})
        with anyio.fail_after(PATIENCE_S):
            await client.session.send_roots_list_changed()
            await offering.scripted.reached(CHANGED)
            await other.call_tool("up_echo", {})
        own = len(portal.fleet._own)

    assert own == 2
    assert len(offering.scripted.of(CHANGED)) == 1

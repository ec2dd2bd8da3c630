"""What a portal knows after a restart: the tools of its servers, its records, the results of its runs, no secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import anyio
import pytest

from portal import BearerAuth, Secret, ServerConfig
from portal._conversation import NoConversation
from portal.store import RecordFilter
from tests.portal.conftest import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from portal import Portal
    from tests.portal.conftest import PortalAt, Serving, Upstreamed
    from typegen import JsonObject, JsonValue

GONE = "http://127.0.0.1:9/mcp"  # the discard port: nothing listens there
TOKEN = "t0ken-0123456789"
MANY = "async () => { await codemode.up_echo({}); return Array.from({length: 20000}, (_, i) => i) }"


async def run(portal: Portal, source: str, *, owner: str = "default/ann") -> str:
    engine, recorder = portal.engine, portal.recorder
    answer = await engine.code(
        source,
        catalog=portal.catalog(),
        invoker=portal.invoker(user="ann"),
        owner=owner,
        on_end=lambda record: recorder.write_run(record.as_json(), user="ann", portal="default"),
    )
    return answer.text


async def stored_tools(portal: Portal) -> list[str]:
    catalogs = await portal.store.catalogs.load()
    return [str(tool["name"]) for offers in catalogs.values() for tool in objects(offers["tools"])]


def objects(value: JsonValue) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


async def until_stored(portal: Portal, *names: str) -> None:
    with anyio.fail_after(PATIENCE_S):
        while await stored_tools(portal) != [*names]:  # noqa: ASYNC110 -- the state of a database
            await anyio.sleep(0.01)


async def test_a_portal_lists_the_tools_of_a_server_that_is_away_since_the_last_start(
    upstream: Upstreamed, serving: Serving, free_port: int, portal_at: PortalAt
) -> None:
    server = ServerConfig(id="up", url=f"http://127.0.0.1:{free_port}/mcp")
    async with serving(upstream, port=free_port), portal_at(server) as (portal, _):
        await until_stored(portal, "echo")

    async with portal_at(server) as (portal, _):
        [status] = portal.fleet.status()
        assert (status.status, status.tools) == ("error", 1)
        assert "up_echo" in portal.catalog().tools


async def test_the_servers_own_list_takes_the_place_of_the_kept_one(
    upstream: Upstreamed, serving: Serving, free_port: int, portal_at: PortalAt
) -> None:
    server = ServerConfig(id="up", url=f"http://127.0.0.1:{free_port}/mcp")
    async with serving(upstream, port=free_port), portal_at(server) as (portal, _):
        await until_stored(portal, "echo")
    upstream.definitions.clear()
    upstream.offer("other")

    async with serving(upstream, port=free_port), portal_at(server) as (portal, _):
        assert "up_other" in portal.catalog().tools
        assert "up_echo" not in portal.catalog().tools
        await until_stored(portal, "other")
        upstream.offer("third")
        await upstream.announce()
        await until_stored(portal, "other", "third")


async def test_another_server_under_the_same_id_starts_with_nothing(
    upstream: Upstreamed, serving: Serving, portal_at: PortalAt
) -> None:
    async with serving(upstream) as url, portal_at(ServerConfig(id="up", url=url)) as (portal, _):
        await until_stored(portal, "echo")

    async with portal_at(ServerConfig(id="up", url=GONE)) as (portal, _):
        [status] = portal.fleet.status()
        assert status.tools == 0


async def test_runs_and_calls_are_stored_with_who_made_them(
    upstream: Upstreamed, serving: Serving, portal_at: PortalAt
) -> None:
    async with serving(upstream) as url, portal_at(ServerConfig(id="up", url=url)) as (portal, _):
        await run(portal, "async () => { await codemode.up_echo({}); return 1 }")
        entry = portal.catalog().tools["up_echo"]
        await portal.invoker(user="bob").call(entry, {"text": "private"}, conversation=NoConversation())
        await portal.store.records.writer.flush()

        [by_bob, by_ann] = await portal.store.records.calls(RecordFilter())
        [of_ann] = await portal.store.records.runs(RecordFilter())

    assert (by_ann["user"], by_ann["server"], by_ann["tool"], by_ann["run"]) == ("ann", "up", "echo", of_ann["run"])
    assert (by_bob["user"], by_bob["run"], by_bob["request_bytes"]) == ("bob", None, len('{"text":"private"}'))
    assert (of_ann["user"], of_ann["status"], of_ann["tools"]) == ("ann", "ok", {"up_echo": 1})


async def test_a_result_that_was_cut_is_there_after_a_restart_for_its_owner(
    upstream: Upstreamed, serving: Serving, portal_at: PortalAt
) -> None:
    async with serving(upstream) as url:
        async with portal_at(ServerConfig(id="up", url=url)) as (portal, _):
            found = re.search(r'codemode\.result\("(\w+)"\)', await run(portal, MANY))
            assert found is not None
        async with portal_at(ServerConfig(id="up", url=url)) as (portal, _):
            whole = f"async () => (await {found[0]}).length"
            assert await run(portal, whole) == "20000"
            assert "no result" in await run(portal, whole, owner="default/bob")


async def test_result_types_that_were_learned_are_declared_after_a_restart(
    upstream: Upstreamed, serving: Serving, portal_at: PortalAt
) -> None:
    upstream.offer("get", {"content": [{"type": "text", "text": '{"number": 1, "title": "x"}'}]})
    async with serving(upstream) as url:
        async with portal_at(ServerConfig(id="up", url=url)) as (portal, _):
            await run(portal, "async () => { await codemode.up_get({}) }")
        async with portal_at(ServerConfig(id="up", url=url)) as (portal, _):
            declared = await run(portal, "async () => codemode.describe('up_get')")

    assert "number: number; title: string" in declared


async def test_no_configured_secret_reaches_the_store(
    upstream: Upstreamed, serving: Serving, portal_at: PortalAt, data_home: Path
) -> None:
    upstream.offer("leak", {"content": [{"type": "text", "text": f"you sent {TOKEN}"}]}, description=f"of {TOKEN}")
    async with serving(upstream) as url:
        server = ServerConfig(id="up", url=f"{url}?key={TOKEN}", auth=BearerAuth(token=Secret(TOKEN)))
        async with portal_at(server) as (portal, _):
            await until_stored(portal, "echo", "leak")
            failed = await run(portal, "async () => { throw new Error(await codemode.up_leak({})) }")
            await portal.store.records.writer.flush()
            stored = b"".join(path.read_bytes() for path in (data_home / "portico").iterdir())

    assert "resume" in failed
    assert b"you sent ***" in stored
    assert TOKEN.encode() not in stored


async def test_an_ordinary_word_of_a_servers_environment_comes_back_from_the_store_as_it_was(
    upstream: Upstreamed, serving: Serving, portal_at: PortalAt, free_port: int
) -> None:
    region: JsonObject = {"type": "object", "properties": {"region": {"enum": ["eu-west-1", "us-east-1"]}}}
    upstream.definitions.clear()
    upstream.offer("deploy", inputSchema=region)
    env = {"REGION": Secret("eu-west-1"), "API_KEY": Secret("swordfish")}
    servers = (
        ServerConfig(id="up", url=f"http://127.0.0.1:{free_port}/mcp"),
        ServerConfig(id="off", command="cat", env=env, enabled=False),
    )
    async with serving(upstream, port=free_port), portal_at(*servers) as (portal, _):
        await until_stored(portal, "deploy")

    async with portal_at(*servers) as (portal, _):
        assert portal.catalog().tools["up_deploy"].tool.input_schema == region


async def test_calls_that_the_stop_cancels_are_recorded(
    upstream: Upstreamed, serving: Serving, portal_at: PortalAt
) -> None:
    upstream.holds["echo"] = anyio.Event()

    async def run_until_closed(portal: Portal) -> None:
        with pytest.raises(RuntimeError, match="the engine was closed"):
            await run(portal, "async () => { await codemode.up_echo({}) }")

    async with serving(upstream) as url, anyio.create_task_group() as tasks:
        async with portal_at(ServerConfig(id="up", url=url)) as (portal, _):
            tasks.start_soon(run_until_closed, portal)
            await upstream.entered.wait()
        async with portal_at(ServerConfig(id="up", url=url)) as (portal, _):
            [call] = await portal.store.records.calls(RecordFilter())

    assert call["status"] == "cancelled"


async def test_a_portal_that_is_cancelled_closes_in_order(
    upstream: Upstreamed, serving: Serving, portal_at: PortalAt
) -> None:
    async with serving(upstream) as url:
        with anyio.CancelScope() as scope:
            async with portal_at(ServerConfig(id="up", url=url)) as (portal, _):
                entry = portal.catalog().tools["up_echo"]
                await portal.invoker().call(entry, {}, conversation=NoConversation())
                scope.cancel()
                await anyio.sleep_forever()
        async with portal_at(ServerConfig(id="up", url=url)) as (portal, _):
            assert len(await portal.store.records.calls(RecordFilter())) == 1

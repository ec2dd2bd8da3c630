"""Runs that failed and are sent again, and runs that take longer than a client waits."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import anyio
import pytest

from engine import Engine, EngineLimits, JsonObject, RunRecord, UnknownRunError
from tests.engine.conftest import text

if TYPE_CHECKING:
    from engine import Catalog, ToolCall
    from sandbox import Sandbox
    from tests.engine.conftest import Upstream

WRITES = "for (let id = 1; id <= 30; id++) await codemode.tracker_create_comment({ id, text: `note ${id}` });"


async def test_a_run_that_failed_at_its_27th_write_repeats_no_write_when_it_is_resumed(
    engine: Engine, catalog: Catalog, upstream: Upstream
) -> None:
    failed = await engine.code(WRITES, catalog=catalog, invoker=upstream)
    sent_before = len(upstream.calls)

    fixed = WRITES.replace("id++)", "id++) if (id !== 27)") + "\nreturn 'all noted'"
    mended = await engine.code(fixed, catalog=catalog, invoker=upstream, resume=failed.run.run_id)

    assert sent_before == 27
    assert mended.text == "all noted"
    assert [arguments["id"] for _, arguments in upstream.calls[sent_before:]] == [28, 29, 30]


async def test_equal_calls_are_answered_one_for_one(engine: Engine, catalog: Catalog, upstream: Upstream) -> None:
    greet = "await codemode.tracker_greet({name: 'Ada'});"
    failed = await engine.code(f"{greet} {greet} throw new Error('stop')", catalog=catalog, invoker=upstream)

    again = await engine.code(
        f"{greet} {greet} {greet} return 'done'", catalog=catalog, invoker=upstream, resume=failed.run.run_id
    )

    assert again.text == "done"
    assert len(upstream.calls) == 3


async def test_of_calls_that_are_too_large_to_keep_the_first_reads_and_all_changes_are(
    sandbox: Sandbox, catalog: Catalog, upstream: Upstream
) -> None:
    calls = (
        "for (let id = 1; id <= 9; id++) await codemode.tracker_get_issue({ id });"
        "await codemode.tracker_create_comment({ id: 1, text: 'x'.repeat(300) });"
    )
    async with Engine(sandbox, limits=EngineLimits(kept_run_bytes=800)) as engine:
        failed = await engine.code(f"{calls} throw new Error('stop')", catalog=catalog, invoker=upstream)
        sent_before = len(upstream.calls)
        mended = await engine.code(calls, catalog=catalog, invoker=upstream, resume=failed.run.run_id)

    assert not mended.is_error
    assert upstream.calls[sent_before:] == [("tracker_get_issue", {"id": id_}) for id_ in (5, 6, 7, 8, 9)]


async def test_where_the_changes_alone_are_too_large_to_keep_no_resume_is_promised(
    sandbox: Sandbox, catalog: Catalog, upstream: Upstream
) -> None:
    program = "await codemode.tracker_create_comment({ id: 1, text: 'x'.repeat(300) }); throw new Error('stop')"
    async with Engine(sandbox, limits=EngineLimits(kept_run_bytes=300)) as engine:
        failed = await engine.code(program, catalog=catalog, invoker=upstream)

    assert failed.text.endswith("1 call ok. Changes made: tracker_create_comment.")


async def test_a_run_holds_no_more_of_its_results_than_is_kept_of_it(
    sandbox: Sandbox, catalog: Catalog, upstream: Upstream
) -> None:
    held_bytes: list[int] = []

    async def large(_arguments: JsonObject) -> JsonObject:
        held_bytes.append(tracemalloc.get_traced_memory()[0])
        return text("x" * 500_000)

    upstream.answers["tracker_list_issues"] = upstream.answers["tracker_report"] = large
    tracemalloc.start()
    async with Engine(sandbox, limits=EngineLimits(kept_run_bytes=1_000_000)) as engine:
        await engine.code(
            "for (let i = 0; i < 20; i++) { await codemode.tracker_list_issues(); await codemode.tracker_report() }",
            catalog=catalog,
            invoker=upstream,
        )
    tracemalloc.stop()

    assert len(held_bytes) == 40
    assert held_bytes[-1] - held_bytes[0] < 5_000_000


async def test_a_run_that_waits_for_a_person_does_not_go_to_the_background(sandbox: Sandbox, catalog: Catalog) -> None:
    async def asking(call: ToolCall) -> JsonObject:
        assert call.clock is not None
        with call.clock.paused():
            await anyio.sleep(0.6)
        return {"content": [{"type": "text", "text": "yes"}]}

    async with Engine(sandbox, limits=EngineLimits(background_after_s=0.5)) as engine:
        answer = await engine.code("await codemode.tracker_greet({})", catalog=catalog, invoker=asking)

    assert answer.text == "yes"


async def test_a_resumed_run_that_fails_can_be_resumed_in_turn(
    engine: Engine, catalog: Catalog, upstream: Upstream
) -> None:
    first = await engine.code(WRITES, catalog=catalog, invoker=upstream)
    second = await engine.code(WRITES, catalog=catalog, invoker=upstream, resume=first.run.run_id)

    third = await engine.code(
        WRITES.replace("id <= 30", "id <= 26") + "return 'done'",
        catalog=catalog,
        invoker=upstream,
        resume=second.run.run_id,
    )

    assert "0 calls ok, 1 failed, 26 answered from the earlier run. Changes made: none." in second.text
    assert third.text == "done"
    assert len(upstream.calls) == 28


async def test_a_run_of_another_owner_cannot_be_resumed(engine: Engine, catalog: Catalog, upstream: Upstream) -> None:
    failed = await engine.code(WRITES, catalog=catalog, invoker=upstream, owner="ada")

    with pytest.raises(UnknownRunError, match="send the program without resume"):
        await engine.code(WRITES, catalog=catalog, invoker=upstream, owner="eve", resume=failed.run.run_id)


async def test_a_long_run_answers_with_its_id_and_its_result_can_be_waited_for(
    sandbox: Sandbox, catalog: Catalog, upstream: Upstream
) -> None:
    release = anyio.Event()
    records: list[RunRecord] = []

    async def slow(_arguments: JsonObject) -> JsonObject:
        await release.wait()
        return text("at last")

    upstream.answers["tracker_greet"] = slow
    async with Engine(sandbox, limits=EngineLimits(background_after_s=0.05)) as engine:
        early = await engine.code(
            "return [await codemode.tracker_greet()]", catalog=catalog, invoker=upstream, on_end=records.append
        )
        ended_before = len(records)
        release.set()
        late = await engine.code(
            f"return await codemode.result('{early.run.run_id}')", catalog=catalog, invoker=upstream
        )

    assert early.text == (
        f'[still running; 1 call made so far: codemode.result("{early.run.run_id}") waits for its result]'
    )
    assert not early.is_error
    assert ended_before == 0
    assert late.text == '["at last"]'
    assert [record.status for record in records] == ["ok"]


async def test_the_failure_of_a_long_run_is_told_to_whoever_asks_for_its_result(
    sandbox: Sandbox, catalog: Catalog, upstream: Upstream
) -> None:
    release = anyio.Event()

    async def slow(_arguments: JsonObject) -> JsonObject:
        await release.wait()
        return text("403 Resource not accessible", isError=True)

    upstream.answers["tracker_greet"] = slow
    async with Engine(sandbox, limits=EngineLimits(background_after_s=0.05)) as engine:
        early = await engine.code("await codemode.tracker_greet()", catalog=catalog, invoker=upstream)
        release.set()
        late = await engine.code(
            f"return await codemode.result('{early.run.run_id}')", catalog=catalog, invoker=upstream
        )

    assert late.is_error
    assert "tracker_greet: 403 Resource not accessible" in late.text


async def test_a_caller_that_leaves_stops_its_run(engine: Engine, catalog: Catalog, upstream: Upstream) -> None:
    started, stopped = anyio.Event(), anyio.Event()

    async def slow(_arguments: JsonObject) -> JsonObject:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()
        return text("never")

    upstream.answers["tracker_greet"] = slow
    async with anyio.create_task_group() as tasks:

        async def ask() -> None:
            await engine.code("await codemode.tracker_greet()", catalog=catalog, invoker=upstream)

        tasks.start_soon(ask)
        await started.wait()
        tasks.cancel_scope.cancel()

    with anyio.fail_after(5):
        await stopped.wait()


async def test_a_program_whose_caller_leaves_while_it_is_read_never_runs(
    engine: Engine, catalog: Catalog, upstream: Upstream
) -> None:
    records: list[RunRecord] = []
    slow_to_read = "await codemode.tracker_greet(); " + "a<" * 30_000

    with anyio.move_on_after(0.05):
        await engine.code(slow_to_read, catalog=catalog, invoker=upstream, on_end=records.append)

    with anyio.fail_after(5):
        while not records:  # noqa: ASYNC110 -- nobody is told
            await anyio.sleep(0.01)
    assert [record.status for record in records] == ["Cancelled"]
    assert upstream.calls == []


async def test_a_single_call_that_completed_with_an_unreadable_result_is_not_sent_again(
    engine: Engine, catalog: Catalog, upstream: Upstream
) -> None:
    async def unreadable(_arguments: JsonObject) -> JsonObject:
        return {"content": [], "structuredContent": {"number": 10**20_000}}

    upstream.answers["tracker_greet"] = unreadable
    failed = await engine.execute("tracker_greet", {}, catalog=catalog, invoker=upstream)

    again = await engine.execute("tracker_greet", {}, catalog=catalog, invoker=upstream, resume=failed.run.run_id)

    assert f'resume "{failed.run.run_id}"' in failed.text
    assert "the call completed" in again.text
    assert len(upstream.calls) == 1

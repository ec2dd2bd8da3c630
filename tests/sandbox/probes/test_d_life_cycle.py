"""Probes 48 to 54: what waits, what nobody waits for, and what comes too late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from engine import UnknownRunError
from tests.sandbox.probes._rule import probe
from tests.sandbox.probes._upstream import CATALOG, Upstream

if TYPE_CHECKING:
    from engine import JsonObject
    from sandbox import Sandbox
    from tests.sandbox.probes._rule import Attack, Rule


@probe(48)
@pytest.mark.parametrize(
    "source",
    [
        "await new Promise(() => {})",
        "await Promise.all([codemode.tracker_greet({name: 'x'}), new Promise(() => {})])",
        "let a, b; a = new Promise(r => setTimeout(() => b.then(r))); b = a.then(() => 1); await a",
        "return {later: new Promise(() => {})}",
        "for await (const each of {[Symbol.asyncIterator]: () => ({next: () => new Promise(() => {})})});",
    ],
)
async def test_a_promise_that_nothing_can_settle_is_named_at_once(attack: Attack, source: str) -> None:
    ended = await attack(source)

    assert ended.record.status == "Stopped"
    assert "a promise that nothing can settle" in ended.text
    assert ended.record.duration_s < 15  # not at the deadline of 30 s


@probe(48)
async def test_a_promise_that_only_a_far_timer_settles_ends_at_the_deadline(attack: Attack) -> None:
    ended = await attack("await new Promise(done => setTimeout(done, 1e9))", wall_s=0.3)

    assert ended.stopped_by == "wall_s"


AT_ONCE = 16
"""The calls of one program that are under way at once, when nothing else is configured."""


class Counting:
    """A tool that notes how many of its calls were under way at once: they end when as many as may be have come."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self._all_came = anyio.Event()

    async def __call__(self, _: JsonObject) -> JsonObject:
        self.now += 1
        self.most = max(self.most, self.now)
        if self.now == AT_ONCE:
            self._all_came.set()
        await self._all_came.wait()
        await anyio.sleep(0.01)  # for one more, if there were room for it
        self.now -= 1
        return {"content": []}


@probe(49)
async def test_ten_thousand_calls_at_once_are_bounded_in_number_and_beside_each_other(attack: Attack) -> None:
    counting = Counting()
    upstream = Upstream(answers={"echo": counting})

    ended = await attack(
        "await Promise.all(Array.from({length: 10_000}, (_, n) => codemode.tracker_echo({n})))",
        upstream=upstream,
        cpu_s=5,
    )

    assert ended.stopped_by == "calls"
    assert len(upstream.calls) <= 1_000
    assert counting.most <= AT_ONCE


@probe(49)
async def test_calls_within_the_limit_queue_and_all_succeed(attack: Attack) -> None:
    counting = Counting()

    ended = await attack(
        "(await Promise.all(Array.from({length: 900}, (_, n) => codemode.tracker_echo({n})))).length",
        upstream=Upstream(answers={"echo": counting}),
        cpu_s=5,
    )

    assert ended.value == 900
    assert counting.most == AT_ONCE


@probe(50)
async def test_a_call_that_nobody_awaits_is_finished_and_in_the_record_of_its_own_run(rule: Rule) -> None:
    async with rule() as probe:
        forgetful = await probe.run("codemode.tracker_greet({name: 'a'}); codemode.tracker_fail({}); return 1")
        after = await probe.run("2")

    assert [(call.identifier, call.status) for call in forgetful.record.calls] == [
        ("tracker_greet", "ok"),
        ("tracker_fail", "error"),
    ]
    assert "not awaited" in forgetful.text
    assert (after.text, after.record.calls) == ("2", ())


@probe(51)
async def test_a_result_that_comes_after_its_isolate_was_stopped_is_dropped(rule: Rule) -> None:
    """The answer arrives while the program loops, and waits for a turn that never comes."""
    upstream = Upstream()

    async with rule(upstream=upstream) as probe:
        stopped = await probe.run("codemode.tracker_greet({name: 'late'}).then(console.log); for (;;);")
        after = await probe.run("await codemode.tracker_greet({name: 'mine'})")

    assert stopped.stopped_by == "cpu_s"
    assert "late" not in stopped.text.split("for (;;)")[0]
    assert after.text == "Hello, mine!"


@probe(51)
async def test_a_result_that_comes_as_its_run_is_given_up_is_dropped(rule: Rule) -> None:
    answered = anyio.Event()

    async def late(_: JsonObject) -> JsonObject:
        with anyio.CancelScope(shield=True):  # a call on its way cannot be taken back
            await anyio.sleep(0.7)
        answered.set()
        return {"content": [{"type": "text", "text": "late"}]}

    async with rule(upstream=Upstream(answers={"echo": late}), wall_s=0.5) as probe:
        stopped = await probe.run("await codemode.tracker_echo({})")
        after = await probe.run("'mine'")

    assert answered.is_set()
    assert stopped.stopped_by == "wall_s"
    assert after.text == "mine"


@probe(52)
@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("Promise.reject(new Error('nobody')); return 1", "[unhandled error at 1:20: nobody]"),
        ("Promise.reject(new Error('x'.repeat(1e7))); return 1", "…]"),
        ("throw new Error('x'.repeat(1e7))", "…"),
        ("try { throw new Error('first') } finally { throw new Error('second') }", "second"),
        ("for (let i = 0; i < 1e5; i++) Promise.reject(i); return 1", "more unhandled errors]"),
        ("await Promise.any([Promise.reject(1), Promise.reject(2)])", "AggregateError"),
        ("setTimeout(() => { throw new Error('timer') }); await new Promise(r => setTimeout(r, 5)); return 1", "timer"),
    ],
)
async def test_errors_that_nobody_handles_are_told_once_and_in_bounds(attack: Attack, source: str, shown: str) -> None:
    ended = await attack(source, cpu_s=2)

    assert shown in ended.text
    assert len(ended.text) < 6_000


@probe(53)
@pytest.mark.parametrize(
    "source",
    [
        "await codemode.tracker_wait({})",
        "codemode.tracker_wait({}); await codemode.tracker_greet({name: 'x'}); for (;;);",
    ],
    ids=["waiting", "computing"],
)
async def test_a_client_that_goes_away_takes_its_run_and_its_calls_with_it(
    rule: Rule, sandbox: Sandbox, source: str
) -> None:
    """Within a second the worker is free again: the rule's canary would wait for the 60 s otherwise."""
    upstream = Upstream()

    async with rule(upstream=upstream, cpu_s=60, wall_s=60) as probe:
        probe.runs = 1
        async with anyio.create_task_group() as client:

            async def ask() -> None:
                await probe.engine.code(source, catalog=CATALOG, invoker=upstream, on_end=probe.records.append)

            client.start_soon(ask)
            await upstream.entered.wait()
            client.cancel_scope.cancel()
        with anyio.fail_after(10):
            after = await probe.engine.code("1", catalog=CATALOG, invoker=upstream)

    assert after.text == "1"
    assert upstream.cancelled == 1
    assert [record.status for record in probe.records] == ["Cancelled"]
    assert sandbox.status().active_runs == 0


@probe(54)
async def test_a_run_that_is_resumed_twice_repeats_no_completed_call(rule: Rule) -> None:
    """Both answers come from the record. For approvals, the other half of the probe, see test_d_approvals.py."""
    source = "await codemode.tracker_echo({step: 1}); await codemode.tracker_fail({})"

    async with rule() as probe:
        failed = await probe.run(source)
        resumed = [
            await probe.run("await codemode.tracker_echo({step: 1})", resume=failed.record.run_id) for _ in range(2)
        ]
        stolen = probe.engine.code(
            "1", catalog=CATALOG, invoker=probe.upstream, owner="somebody else", resume=failed.record.run_id
        )
        with pytest.raises(UnknownRunError):
            await stolen

    assert [ended.text for ended in resumed] == ['{"got":{"step":1}}'] * 2
    assert [name for name, _ in probe.upstream.calls] == ["tracker_echo", "tracker_fail"]

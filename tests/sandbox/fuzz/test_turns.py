"""A run from turn to turn, as a state machine: settlements in any order, twice, unknown, malformed, and none at all.

The model knows what the program must come to: it makes its calls, waits for all of them, and returns what it got.
"""
# ruff: noqa: ANN401 -- values are JSON of any shape, and what a rule of Hypothesis returns has no type

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from sandbox._errors import ProtocolError
from sandbox._guest import load_module
from sandbox._isolate import Isolate, IsolateTrap
from tests.sandbox._isolates import CLOCK_US, SEED, make_setup

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox._guest import GuestModule
    from sandbox._isolate import Turn

PROGRAM = """
const got = [];
const call = name => host[name](name).catch(error => error.name + ': ' + error.message);
const waves = %s;
for (const wave of waves) got.push(...await Promise.all(Array.from({length: wave}, (_, i) => call('m' + i))));
return got;
"""
TEXT = st.text(max_size=20)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


class Turns(RuleBasedStateMachine):
    """One isolate of the real guest, and what its program must have been told."""

    module: ClassVar[GuestModule]
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.isolate = Isolate(self.module, memory_bytes=32 * 2**20)
        self.open: dict[int, int] = {}
        self.order: list[int] = []
        self.answers: dict[int, Any] = {}
        self.waves: list[int] = []
        self.end: bytes | None = None
        self.is_over = False
        self.clock_us = CLOCK_US

    def teardown(self) -> None:
        self.isolate.close()

    @initialize(target=calls, waves=st.lists(st.integers(1, 4), min_size=1, max_size=3))
    def start(self, waves: list[int]) -> Any:
        self.waves = waves
        source = PROGRAM % json.dumps(waves)
        return self._take(self.isolate.start(make_setup(), source.encode(), clock_us=self.clock_us, seed=SEED))

    @precondition(lambda self: not self.is_over)
    @rule(target=calls, call=consumes(calls), value=VALUE)
    def answer(self, call: int, value: Any) -> Any:
        if call not in self.open:
            return multiple()
        self._note(call, value)
        return self._settle([{"id": call, "ok": True, "value": value}])

    @precondition(lambda self: not self.is_over)
    @rule(target=calls, call=consumes(calls), message=TEXT)
    def reject(self, call: int, message: str) -> Any:
        if call not in self.open:
            return multiple()
        self._note(call, f"ToolError: {message}")
        return self._settle([{"id": call, "ok": False, "error": {"name": "ToolError", "message": message}}])

    @precondition(lambda self: not self.is_over)
    @rule(target=calls, value=VALUE, extra=st.sampled_from([0, -1, 2**31, 10_000]))
    def answer_all_at_once_and_twice(self, value: Any, extra: int) -> Any:
        settlements = [{"id": call, "ok": True, "value": value} for call in self.open]
        for call in list(self.open):
            self._note(call, value)
        return self._settle([*settlements, *settlements, {"id": extra, "ok": True, "value": "forged"}])

    @precondition(lambda self: not self.is_over)
    @rule(target=calls, ids=st.lists(st.integers(-2, 60) | st.none() | st.text(max_size=2), max_size=3))
    def answer_calls_that_are_not_out(self, ids: list[Any]) -> Any:
        return self._settle([{"id": key, "ok": True, "value": "forged"} for key in ids if key not in self.open])

    @precondition(lambda self: not self.is_over)
    @rule(target=calls, later_us=st.integers(0, 10**9))
    def wake(self, later_us: int) -> Any:
        self.clock_us += later_us
        return self._settle([])

    @precondition(lambda self: not self.is_over)
    @rule(junk=st.binary(max_size=30))
    def send_junk(self, junk: bytes) -> None:
        """What is no array of settlements is ours to have sent: the isolate may refuse it, and is then over."""
        with suppress(ProtocolError, IsolateTrap):
            self._take(self.isolate.settle(junk, clock_us=self.clock_us))
            return
        self.is_over = True

    @precondition(lambda self: not self.is_over)
    @rule()
    def interrupt(self) -> None:
        """The flag stops the next turn at its next check; a short turn may end before that."""
        self.isolate.interrupt()
        with suppress(IsolateTrap):
            self._take(self.isolate.settle(b"[]", clock_us=self.clock_us))
        self.is_over = True

    @precondition(lambda self: self.is_over)
    @rule()
    def go_on_after_the_end(self) -> None:
        """Nothing of a run that is over ever goes on."""
        with suppress(ProtocolError, IsolateTrap):
            turn = self.isolate.settle(b"[]", clock_us=self.clock_us)
            assert not turn.calls
            assert turn.end == self.end

    @invariant()
    def every_open_call_has_an_id_of_its_own(self) -> None:
        assert len(self.order) == len(set(self.order))

    @invariant()
    def the_program_got_what_was_answered(self) -> None:
        if self.end is None or (self.is_over and self.open):
            return
        assert json.loads(self.end)["value"] == [self.answers[call] for call in self.order]
        assert len(self.order) == sum(self.waves)

    def _note(self, call: int, value: Any) -> None:
        del self.open[call]
        self.answers[call] = value

    def _settle(self, settlements: list[dict[str, Any]]) -> Any:
        text = json.dumps(settlements).encode()
        return self._take(self.isolate.settle(text, clock_us=self.clock_us))

    def _take(self, turn: Turn) -> Any:
        new = [json.loads(call)["id"] for call in turn.calls]
        assert not set(new) & set(self.order)
        self.order += new
        self.open.update(dict.fromkeys(new, 1))
        if turn.end is not None:
            self.end, self.is_over = turn.end, True
        return multiple(*new)


def test_a_run_is_told_what_was_answered_whatever_else_arrives(cache_dir: Path) -> None:
    Turns.module = load_module(cache_dir)
    machine = Turns.TestCase
    machine.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
    machine("runTest").debug()

"""Isolates without workers: a program runs in the test's own process, and a table of answers is its host."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from sandbox._isolate import Isolate

if TYPE_CHECKING:
    from sandbox._guest import GuestModule
    from sandbox._isolate import Turn

CLOCK_US = 1_700_000_000_000_000
SEED = bytes(range(32))
LIMITS = {
    "memory_bytes": 32 * 2**20,
    "source_bytes": 256 * 2**10,
    "call_bytes": 64 * 2**10,
    "call_depth": 20,
    "calls": 50,
    "log_bytes": 4 * 2**10,
    "result_bytes": 64 * 2**10,
}
Record: TypeAlias = dict[str, Any]
Answer: TypeAlias = Callable[[Record], Record]


def echo(call: Record) -> Record:
    """Answer a call with its arguments."""
    return {"ok": True, "value": call["args"]}


def make_setup(**changes: object) -> bytes:
    """Return a setup; limits are given by their names."""
    limits = {name: changes.pop(name, value) for name, value in LIMITS.items()}
    setup = {"namespace": "host", "builtins": ["search"], "errors": ["ToolError"]}
    hints = json.dumps(changes.pop("hints", {}))
    methods = str(changes.pop("methods", "tracker_list\ntracker_get_issue"))
    return "\n".join((json.dumps({**setup, **changes, "limits": limits}), hints, methods)).encode()


@dataclass
class Run:
    """What a run handed over, all turns together."""

    calls: list[Record] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    levels: list[str] = field(default_factory=list)
    end: Record | None = None
    turns: int = 0
    slept_us: int = 0

    @property
    def value(self) -> Any:  # noqa: ANN401 - JSON, compared as a whole
        assert self.end is not None, "the run did not end"
        assert "error" not in self.end, self.end["error"]
        return self.end.get("value")

    @property
    def error(self) -> Record:
        assert self.end is not None, "the run did not end"
        error: Record = self.end["error"]
        return error

    @property
    def place(self) -> tuple[int, int]:
        return self.error["line"], self.error["column"]


class Host:
    """Runs programs in fresh isolates of one module."""

    def __init__(self, module: GuestModule) -> None:
        self.module = module

    def isolate(self, *, memory_bytes: int = LIMITS["memory_bytes"]) -> Isolate:
        return Isolate(self.module, memory_bytes=memory_bytes)

    def run(self, source: str | bytes, answer: Answer = echo, *, seed: bytes = SEED, **changes: object) -> Run:
        """Run a program to its end, or until nothing can move it; each turn's calls are answered together."""
        isolate = self.isolate()
        run, clock_us = Run(), CLOCK_US
        program = source.encode() if isinstance(source, str) else source
        try:
            turn = isolate.start(make_setup(**changes), program, clock_us=clock_us, seed=seed)
            while self._take(run, turn) and (turn.calls or turn.wake_at_us is not None):
                settlements = [{"id": call["id"], **answer(call)} for call in map(json.loads, turn.calls)]
                if not settlements:
                    clock_us = turn.wake_at_us or clock_us
                turn = isolate.settle(json.dumps(settlements).encode(), clock_us=clock_us)
        finally:
            isolate.close()
        run.slept_us = clock_us - CLOCK_US
        return run

    @staticmethod
    def _take(run: Run, turn: Turn) -> bool:
        run.turns += 1
        run.calls += map(json.loads, turn.calls)
        lines = [json.loads(record) for record in turn.logs]
        run.logs += [line["text"] for line in lines]
        run.levels += [line["level"] for line in lines]
        run.end = json.loads(turn.end) if turn.end is not None else None
        return run.end is None

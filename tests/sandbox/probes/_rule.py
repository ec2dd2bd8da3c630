"""Rule R, which every probe keeps, as one context manager.

R: a typed error or a normal answer within the deadline and a second; the worker's memory within its limit and back at
its base; the next request of another user unaffected; exactly one record a run; and no secret, host path or Python
traceback in any answer.
"""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio
import pytest

from engine import Engine, EngineLimits, JsonValue, RunRecord
from sandbox import Limits
from tests.sandbox.probes._upstream import CATALOG, SECRET, Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from engine import Catalog
    from sandbox import Sandbox

Test = TypeVar("Test", bound="Callable[..., object]")

WALL_S = 30.0  # the deadline of a run that says nothing else; the machine may be busy
CPU_S = 0.2
LATE_S = 1.0
OVER_LIMIT_BYTES = 64 * 2**20
OFF_BASE_BYTES = 20 * 2**20
SETTLE_S = 20.0

CANARY = """
const unset = [typeof planted, ({}).planted, [][0], [].planted, (() => {}).planted, Object.keys(globalThis).length];
[6 * 7, unset.map(String).join(), JSON.parse('{"a":1}').a, await codemode.tracker_greet({ name: "canary" })]
"""
SINGS = '[42,"undefined,undefined,undefined,undefined,undefined,0",1,"Hello, canary!"]'

_ROOTS = {str(Path(__file__).parents[3]), sys.prefix, sys.base_prefix, str(Path.home())} - {"/", "/usr"}
_TELLTALE = re.compile(
    r"Traceback \(most recent|File \"[^\"]*\", line|site-packages|\.py\b|\.cwasm|\b0x[0-9a-f]{8,}|<[\w.]+ object at"
    rf"|{'|'.join(map(re.escape, [SECRET, *_ROOTS]))}"
)


def probe(number: int) -> Callable[[Test], Test]:
    """Mark a test as that of one numbered probe of the list in ``_numbers``."""
    return pytest.mark.probe(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run as its caller and the log see it."""

    text: str
    blocks: int
    is_error: bool
    record: RunRecord

    @property
    def value(self) -> JsonValue:
        """What the program returned, as JSON."""
        assert not self.is_error, self.text
        value: JsonValue = json.loads(self.text)
        return value

    @property
    def stopped_by(self) -> str | None:
        """The limit that ended the run, if one did."""
        found = re.fullmatch(r"Stopped \((\w+) limit\)", self.record.status)
        return found[1] if found else None


@dataclass
class Probe:
    """What a test does inside the rule: run programs, as whom it likes, over the catalog it likes."""

    engine: Engine
    upstream: Upstream
    limits: Limits
    answers: list[str] = field(default_factory=list)
    records: list[RunRecord] = field(default_factory=list)
    runs: int = 0

    async def run(
        self, source: str, *, catalog: Catalog = CATALOG, owner: str = "mallory", resume: str | None = None
    ) -> Ended:
        """Run a program of ``owner`` to its end, in time."""
        self.runs += 1
        began = time.monotonic()
        with anyio.fail_after(self.limits.wall_s + LATE_S + 30):
            answer = await self.engine.code(
                source,
                catalog=catalog,
                invoker=self.upstream,
                owner=owner,
                resume=resume,
                on_end=self.records.append,
            )
        took_s = time.monotonic() - began
        self.answers.append(answer.text)
        assert took_s <= self.limits.wall_s + LATE_S
        assert answer.run.cpu_s <= self.limits.cpu_s + LATE_S
        return Ended(text=answer.text, blocks=len(answer.blocks), is_error=answer.is_error, record=answer.run)


class Rule(Protocol):
    """Opens the rule around what a test does; limits by name."""

    def __call__(self, *, upstream: Upstream | None = None, **limits: float) -> AbstractAsyncContextManager[Probe]: ...


class Attack(Protocol):
    """Runs one program under the rule."""

    async def __call__(self, source: str, *, upstream: Upstream | None = None, **limits: float) -> Ended: ...


def rule_over(sandbox: Sandbox, base_bytes: int, *, isolates: int = 1) -> Rule:
    """Return the rule over a sandbox whose workers used ``base_bytes`` each before anything happened.

    ``isolates`` is how many runs one worker may hold at once, each with a limit of its own.
    """

    @asynccontextmanager
    async def rule(*, upstream: Upstream | None = None, **limits: float) -> AsyncIterator[Probe]:
        run = Limits(**{"cpu_s": CPU_S, "wall_s": WALL_S, **limits})  # type: ignore[arg-type] # checked when it is made
        async with Engine(sandbox, limits=EngineLimits(run=run)) as engine:
            probe = Probe(engine=engine, upstream=upstream or Upstream(), limits=run)
            yield probe
            assert len(probe.records) == probe.runs
            await _assert_memory(sandbox, base_bytes, isolates * (run.memory_bytes + OVER_LIMIT_BYTES))
        await assert_canary(sandbox)
        assert_clean(*probe.answers)

    return rule


async def assert_canary(sandbox: Sandbox) -> None:
    """Another user's program, in the same worker, is as if nothing had been there."""
    async with Engine(sandbox) as engine:
        with anyio.fail_after(WALL_S):
            answer = await engine.code(CANARY, catalog=CATALOG, invoker=Upstream(), owner="canary")
    assert answer.text == SINGS


def assert_clean(*texts: str) -> None:
    """No text tells of the host: a secret, a path, a Python object or traceback."""
    assert [found[0] for text in texts if (found := _TELLTALE.search(text))] == []


async def _assert_memory(sandbox: Sandbox, base_bytes: int, more_bytes: int) -> None:
    peak = max((memory_of(worker.pid, "VmHWM") for worker in sandbox.status().workers), default=0)
    assert peak <= base_bytes + more_bytes
    with anyio.fail_after(SETTLE_S):
        while _used_bytes(sandbox) > base_bytes + OFF_BASE_BYTES:  # noqa: ASYNC110 -- the kernel tells nobody
            await anyio.sleep(0.01)


def _used_bytes(sandbox: Sandbox) -> int:
    return max((memory_of(worker.pid, "VmRSS") for worker in sandbox.status().workers), default=0)


def memory_of(pid: int, field_name: str) -> int:
    """Return a size from a process's status, in bytes; 0 where there is no such process or no such file."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{field_name}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0

"""Isolates without a portal: what a worker does for one run, in this very process."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from benchmarks._kernels import KERNELS
from benchmarks._measure import Row
from portico import Capabilities, Limits
from sandbox._capabilities import encode_setup
from sandbox._guest import load_module
from sandbox._isolate import Isolate
from sandbox._spare import Spare
from sandbox._worker import rehearse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox._guest import GuestModule

SIZES = {"100 B": 100, "10 KB": 10_000, "1 MB": 1_000_000}
"""Of the answer to a host call, and of the arguments of the next."""

_LIMITS = Limits()
_SETUP = encode_setup(Capabilities(methods="echo"), _LIMITS)
_ONE_CALL = b"await host.echo(1)"
_ECHO_FOR_EVER = b"let value = 0; for (;;) value = await host.echo(value)"
_SEED = bytes(32)
_KERNEL_RUNS = 10


class Inside:
    """A loaded guest, and spares as a worker keeps them."""

    def __init__(self) -> None:
        self._module: GuestModule = load_module(Path(platformdirs.user_cache_path("portico")))
        self._pages = rehearse(self._module)

    def run_with_spare(self, count: int) -> Row:
        """Take a spare, run a program with one host call; making and closing are not counted, as a worker does them."""
        spare = self._spare()

        def fill() -> None:
            while spare.is_wanted:
                spare.make()

        return self._sample("inside the worker, with a spare", count, before=fill, take=self._take(spare))

    def run_without_spare(self, count: int) -> Row:
        """Make an isolate and run the same program in it."""
        return self._sample(
            "inside the worker, without one", count, before=lambda: None, take=self._take(self._spare())
        )

    def round_trip(self, name: str, count: int) -> Row:
        """Hand a host call's answer of this size in, and take the next call with as large an argument out."""
        value = payload(SIZES[name])
        isolate = Isolate(self._module, memory_bytes=_LIMITS.memory_bytes)
        limits = Limits(calls=1_000_000, cpu_s=3_600)
        turn = isolate.start(encode_setup(Capabilities(methods="echo"), limits), _ECHO_FOR_EVER, clock_us=0, seed=_SEED)
        samples = []
        cpu_before_s = time.process_time()
        for call_id in range(1, count + 1):
            if len(turn.calls) != 1:
                raise RuntimeError("the program made no call")
            started = time.perf_counter()
            turn = isolate.settle(b'[{"id":%d,"ok":true,"value":%b}]' % (call_id, value), clock_us=0)
            samples.append(time.perf_counter() - started)
        cpu_s = (time.process_time() - cpu_before_s) / count
        isolate.close()
        return Row(case=f"host call of {name}, inside the worker", samples_s=tuple(samples), cpu_s=cpu_s)

    def kernels(self) -> Mapping[str, list[float]]:
        """Return the seconds of each run of each kernel."""
        return {name: [self._time(text) for _ in range(_KERNEL_RUNS)] for name, text in KERNELS.items()}

    def _time(self, text: str) -> float:
        isolate = Isolate(self._module, memory_bytes=_LIMITS.memory_bytes)
        started = time.perf_counter()
        turn = isolate.start(_SETUP, text.encode(), clock_us=0, seed=_SEED)
        taken_s = time.perf_counter() - started
        isolate.close()
        if turn.end is None or not turn.end.startswith(b'{"value":'):
            raise RuntimeError(f"a kernel failed: {turn.end!r}")
        return taken_s

    def _spare(self) -> Spare:
        return Spare(self._module, self._pages, memory_bytes=_LIMITS.memory_bytes)

    @staticmethod
    def _take(spare: Spare) -> Callable[[], Isolate]:
        return lambda: spare.take(_LIMITS.memory_bytes, _SETUP)

    @staticmethod
    def _sample(case: str, count: int, *, before: Callable[[], object], take: Callable[[], Isolate]) -> Row:
        samples = []
        cpu_before_s = time.process_time()
        for _ in range(count):
            before()
            started = time.perf_counter()
            isolate = take()
            isolate.start(_SETUP, _ONE_CALL, clock_us=0, seed=_SEED)
            turn = isolate.settle(b'[{"id":1,"ok":true,"value":1}]', clock_us=0)
            samples.append(time.perf_counter() - started)
            isolate.close()
            if turn.end is None or not turn.end.startswith(b'{"value":1,'):
                raise RuntimeError(f"the program failed: {turn.end!r}")
        return Row(case=case, samples_s=tuple(samples), cpu_s=(time.process_time() - cpu_before_s) / count)


def payload(size: int) -> bytes:
    """Return JSON of this many bytes: records, as tools answer with, and a text that fills the rest."""
    text = ""
    for number in itertools.count():
        record = {"id": number, "title": f"Item {number}", "open": number % 2 == 0, "labels": ["bug", "p1"]}
        longer = text + json.dumps(record, separators=(",", ":")) + ","
        if len(longer) + len('[""]') > size:
            return b'[%b"%b"]' % (text.encode(), b"x" * (size - len(text) - len('[""]')))
        text = longer
    raise AssertionError("unreachable")

"""What a run writes and what it gives back: the snapshot's values are immortal, those of the program are not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sandbox._spare import ReadyIsolate
from tests.sandbox._isolates import CLOCK_US, LIMITS, SEED, make_setup

if TYPE_CHECKING:
    from tests.sandbox._isolates import Host

MOST_PAGES = 26  # 22 when written; each is a fault, a copy of 4 KiB, and memory that a run holds while it waits

RINGS = "const ring = () => { const a = { bytes: new Uint8Array(1000) }, b = { a }; a.b = b; return a };"
"""A function that makes a cycle of about a kilobyte."""


def test_a_run_with_a_host_call_writes_few_pages_of_memory(host: Host) -> None:
    isolate = ReadyIsolate(host.module, memory_bytes=LIMITS["memory_bytes"])

    def work() -> None:
        isolate.start(make_setup(), b"await host.add({a: 1})", clock_us=CLOCK_US, seed=SEED)
        isolate.settle(b'[{"id":1,"ok":true,"value":2}]', clock_us=CLOCK_US)

    assert len(isolate.written_pages(work)) <= MOST_PAGES


def test_cycles_that_a_program_drops_are_collected(host: Host) -> None:
    kib = 3 * LIMITS["memory_bytes"] // 1024

    assert host.run(f"{RINGS} for (let i = 0; i < {kib}; i++) ring(); 'done'").value == "done"


@pytest.mark.parametrize("holder", ["globalThis.kept", "Array.prototype.kept", "host.constructor", "JSON.kept"])
def test_cycles_that_hung_on_something_of_the_snapshot_are_collected(host: Host, holder: str) -> None:
    kib = 3 * LIMITS["memory_bytes"] // 1024
    replace = f"try {{ {holder} = ring() }} catch {{ ring() }}"

    assert host.run(f"{RINGS} for (let i = 0; i < {kib}; i++) {replace}; 'done'").value == "done"


def test_what_hangs_on_something_of_the_snapshot_survives_a_collection(host: Host) -> None:
    kib = 2 * LIMITS["memory_bytes"] // 1024
    source = f"""{RINGS}
        const names = ["Array", "Map", "Promise", "JSON", "Math", "Error", "console"];
        for (const name of names) {{ globalThis[name].kept = {{ name, self: null }}; globalThis[name].kept.self = globalThis[name].kept }}
        class Own extends Map {{ size2() {{ return this.size * 2 }} }}
        const own = new Own([[1, 2]]), weak = new WeakRef(own), listed = [new Date(5), /a(b)/g, Symbol.for("x")];
        for (let i = 0; i < {kib}; i++) ring();
        JSON.stringify([names.map((name) => globalThis[name].kept.self.name), own.size2(), weak.deref() === own,
            listed[0].getTime(), "ab".replace(listed[1], "$1"), Symbol.keyFor(listed[2]), typeof Array.from])
    """  # noqa: E501 - the program's own lines

    names = ["Array", "Map", "Promise", "JSON", "Math", "Error", "console"]
    assert json.loads(host.run(source).value) == [names, 2, True, 5, "b", "x", "function"]


def test_a_weak_reference_to_a_dropped_cycle_is_empty_after_a_collection(host: Host) -> None:
    kib = LIMITS["memory_bytes"] // 1024
    source = f"""{RINGS}
        let dropped = ring();
        const weak = new WeakRef(dropped);
        dropped = undefined;
        await null; // a target stays until the job that looked at it is over
        for (let i = 0; i < {kib}; i++) ring();
        weak.deref() === undefined
    """

    assert host.run(source).value is True

"""A fresh isolate of a Python peer for each program; run in an environment of its own.

``_isolate_peer.py PEER COUNT`` prints ``{"version", "samples_s": [...], "cpu_s"}``: each sample makes an isolate, runs
a program with one host call in it and throws the isolate away. With ``kernels FILE`` in place of a count, each kernel
of that JSON file is run instead: ``{"version", "kernels_s": {name: [...]}}``.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = "(async () => await call(1))()"
DENO = Path(sys.executable).with_name("deno")
DENO_PROGRAM = """
const say = (text) => Deno.stdout.writeSync(new TextEncoder().encode(text + "\\n"));
const call = async (value) => {
  say(JSON.stringify(value));
  const bytes = new Uint8Array(1000);
  return JSON.parse(new TextDecoder().decode(bytes.subarray(0, await Deno.stdin.read(bytes))));
};
say(JSON.stringify(await (async () => await call(1))()));
"""


def main(peer: str, count: str, kernels: str = "") -> None:
    """Measure one peer and print the result."""
    if count == "kernels":
        result: Any = {
            "kernels_s": {name: time_kernel(text) for name, text in json.loads(Path(kernels).read_text()).items()}
        }
    else:
        result = PEERS[peer](int(count))
    print(json.dumps({"version": version(peer), **result}))  # noqa: T201 - read by the benchmark


def repeat(once: Callable[[], None], count: int) -> list[float]:
    """Time ``once`` as often as ``count`` says, after a tenth as many calls that are not counted."""
    samples = []
    for number in range(count + count // 10):
        started = time.perf_counter()
        once()
        if number >= count // 10:
            samples.append(time.perf_counter() - started)
    return samples


def cpu_s() -> float:
    """Return the processor time of this process and of those it has waited for."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def measured(once: Callable[[], None], count: int) -> dict[str, Any]:
    """Return the samples, and the processor time of all of them."""
    before = cpu_s()
    samples = repeat(once, count)
    return {"samples_s": samples, "cpu_s": (cpu_s() - before) * count / (count + count // 10)}


def expect(value: object) -> None:
    """Stop where the program did not come to what it was given."""
    if value != 1:
        raise ValueError(f"the program came to {value!r}")


def run_quickjs(count: int) -> dict[str, Any]:
    """Native quickjs-ng in this very process: no sandbox."""
    quickjs: Any = import_module("quickjs")  # each peer has an environment of its own, and none is in ours

    def once() -> None:
        context = quickjs.Context()
        context.add_callable("call", lambda value: value)
        context.eval(f"globalThis.result = undefined; {PROGRAM}.then((value) => {{ result = value }})")
        while context.execute_pending_job():
            pass
        expect(context.eval("result"))

    return measured(once, count)


def time_kernel(text: str) -> list[float]:
    """Run a kernel in native quickjs-ng."""
    quickjs: Any = import_module("quickjs")

    return repeat(lambda: quickjs.Context().eval(text), 10)


def run_mini_racer(count: int) -> dict[str, Any]:
    """V8 in this very process."""
    mini_racer: Any = import_module("py_mini_racer")

    async def answer(value: object) -> object:
        return value

    async def once() -> None:
        with mini_racer.MiniRacer() as isolate:
            async with isolate.wrap_py_function(answer) as call:
                start = isolate.eval(f"(call) => {PROGRAM}")
                expect(await start(call))

    with asyncio.Runner() as runner:
        return measured(lambda: runner.run(once()), count)


def run_monty(count: int) -> dict[str, Any]:
    """A session of pydantic-monty in a worker of its pool. It runs Python, not JavaScript."""
    monty: Any = import_module("pydantic_monty")
    before = cpu_s()
    with monty.Monty(min_processes=2) as pool:

        def once() -> None:
            with pool.checkout() as session:
                expect(session.feed_run("call(1)", external_lookup={"call": lambda value: value}))

        samples = repeat(once, count)
    return {"samples_s": samples, "cpu_s": (cpu_s() - before) * count / (count + count // 10)}


def run_deno(count: int) -> dict[str, Any]:
    """A Deno process for each program, without any permission."""
    script = Path(sys.prefix, "program.js")
    script.write_text(DENO_PROGRAM)

    def once() -> None:
        command: list[str | Path] = [DENO, "run", "--no-config", "--no-remote", "--quiet", script]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - as written here
            if process.stdin is None or process.stdout is None:
                raise OSError("no pipe to the process")
            process.stdin.write(process.stdout.readline())
            process.stdin.close()
            expect(json.loads(process.stdout.read()))

    return measured(once, count)


PEERS = {"quickjs-ng": run_quickjs, "mini-racer": run_mini_racer, "pydantic-monty": run_monty, "deno": run_deno}

main(*sys.argv[1:])

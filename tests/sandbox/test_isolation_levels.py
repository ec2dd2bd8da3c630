"""Who shares a process with a run: anybody, runs of the same user, or nobody.

Citation: DESIGN, "Guest code runs in worker processes"; fault 41 of the threat model.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from sandbox import Capabilities, HostCall, Limits, Sandbox, SandboxConfig, WorkerLost
from sandbox._capabilities import encode_setup
from sandbox._forks import ForkedWorkers
from sandbox._frames import Start, encode_start
from tests.sandbox._programs import Held, executor, until, value_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox import HostError, Isolation, Outcome
    from sandbox._frames import Report
    from sandbox._process import WorkerProcess

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def isolating(cache_dir: Path, isolation: Isolation, *, workers: int = 2, max_workers: int = 4) -> Sandbox:
    return Sandbox(SandboxConfig(workers=workers, max_workers=max_workers, cache_dir=cache_dir, isolation=isolation))


@pytest.fixture
async def by_run(cache_dir: Path) -> AsyncIterator[Sandbox]:
    """A sandbox in which each run has a process."""
    async with isolating(cache_dir, "run") as sandbox:
        yield sandbox


class Seen:
    """A handler that notes which processes hold a run while one is going on."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.pids: list[int] = []
        self._sandbox = sandbox

    async def __call__(self, _: HostCall) -> bytes:
        self.pids += [worker.pid for worker in self._sandbox.status().workers if worker.runs]
        return b"1"


def parent_of(pid: int) -> int:
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["PPid"])


async def template_of(sandbox: Sandbox) -> int:
    """Return the parent of a worker; one that has served its run may be gone before the sandbox has noticed."""
    with anyio.fail_after(30):
        while True:
            for worker in sandbox.status().workers:
                with suppress(FileNotFoundError, ProcessLookupError):
                    return parent_of(worker.pid)
            await anyio.sleep(0.01)


def children_of(pid: int) -> dict[int, str]:
    """Return the state of every process whose parent is ``pid``, by its number: ``Z`` is a zombie."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:  # it ended while this looked
                continue
            if int(parent) == pid:
                found[int(entry.name)] = state
    return found


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("isolation", ["shared", "user", "run"])
async def test_programs_run_alike_at_each_level(cache_dir: Path, isolation: Isolation) -> None:
    async with isolating(cache_dir, isolation) as sandbox:
        execute = executor(sandbox)
        outcomes = [await execute(f"console.log('here'); (await host.echo({n})) + 1", owner="ann") for n in range(5)]
        endless = await execute("for (;;) {}", cpu_s=0.2, owner="ann")
        after = await execute("6 * 7", owner="ann")

    assert [value_of(outcome) for outcome in outcomes] == [1, 2, 3, 4, 5]
    assert [line.text for line in outcomes[0].logs] == ["here"]
    assert type(endless.error).__name__ == "CpuLimitExceeded"
    assert value_of(after) == 42
    assert sandbox.status().isolation == isolation


@only_linux
async def test_users_never_share_a_worker_where_each_has_one(cache_dir: Path) -> None:
    async with isolating(cache_dir, "user", workers=1, max_workers=2) as sandbox:
        pids: dict[str, set[int]] = {"ann": set(), "ben": set(), "cyd": set()}
        for owner in ["ann", "ben", "cyd"] * 3:
            seen = Seen(sandbox)
            value_of(await executor(sandbox)("await host.echo(1)", owner=owner, on_call=seen))
            pids[owner].update(seen.pids)

    assert all(pids.values())
    assert not pids["ann"] & pids["ben"]
    assert not pids["ben"] & pids["cyd"]
    assert not pids["ann"] & pids["cyd"]
    assert sandbox.status().lost_workers == 0


async def test_a_user_keeps_a_worker_from_run_to_run(cache_dir: Path) -> None:
    async with isolating(cache_dir, "user") as sandbox:
        seen = Seen(sandbox)
        for _ in range(5):
            await executor(sandbox)("await host.echo(1)", owner="ann", on_call=seen)

    assert len(set(seen.pids)) == 1


async def test_each_run_has_a_process_that_ends_with_it(by_run: Sandbox) -> None:
    seen = Seen(by_run)
    for _ in range(10):
        value_of(await executor(by_run)("await host.echo(1)", on_call=seen))
    await until(lambda: not any(is_there(pid) for pid in seen.pids))

    assert len(seen.pids) == len(set(seen.pids)) == 10


@only_linux
async def test_the_process_of_a_run_is_sealed_as_a_worker_is(by_run: Sandbox) -> None:
    held = Held()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_held, by_run, held, [])
        await held.is_called.wait()
        pid = next(worker.pid for worker in by_run.status().workers if worker.runs)
        threads = [thread.joinpath("status").read_text() for thread in Path(f"/proc/{pid}/task").iterdir()]
        sockets = [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir() if "socket:" in str(link.readlink())]
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        template_threads = list(Path(f"/proc/{parent_of(pid)}/task").iterdir())
        held.let_go.set()

    active = {layer.name for layer in by_run.status().layers if layer.is_active}
    filters = [line for thread in threads for line in thread.splitlines() if line.startswith("Seccomp_filters")]
    assert len(threads) == 2
    assert all("NoNewPrivs:\t1" in thread and "CapEff:\t0000000000000000" in thread for thread in threads)
    assert all(("Seccomp:\t2" in thread) == ("seccomp" in active) for thread in threads)
    assert "seccomp" not in active or all(int(line.split()[1]) >= 2 for line in filters)  # the template's and its own
    assert len(sockets) == 1
    assert environment == b""
    assert len(template_threads) == 1


async def run_held(sandbox: Sandbox, held: Held, outcomes: list[Outcome | WorkerLost]) -> None:
    try:
        outcomes.append(await executor(sandbox)("await host.wait()", on_call=held))
    except WorkerLost as error:
        outcomes.append(error)


@only_linux
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGABRT, signal.SIGSTOP])
async def test_a_run_whose_process_is_ended_is_lost_and_no_other(by_run: Sandbox, end: signal.Signals) -> None:
    held, other, lost, kept = Held(), Held(), list["Outcome | WorkerLost"](), list["Outcome | WorkerLost"]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_held, by_run, held, lost)
        await held.is_called.wait()
        pid = next(worker.pid for worker in by_run.status().workers if worker.runs)
        template = parent_of(pid)
        tasks.start_soon(run_held, by_run, other, kept)
        await other.is_called.wait()
        os.kill(pid, end)
        if end != signal.SIGSTOP:  # that one is found out when it owes an answer
            await until(lambda: bool(lost))
        held.let_go.set()
        other.let_go.set()
        await until(lambda: bool(kept) and bool(lost))
    await until(lambda: not is_there(pid) and "Z" not in children_of(template).values())

    assert isinstance(lost[0], WorkerLost)
    assert not isinstance(kept[0], WorkerLost)
    assert value_of(kept[0]) == "unharmed"


@only_linux
async def test_a_run_that_is_given_up_leaves_no_process_behind(by_run: Sandbox) -> None:
    with anyio.move_on_after(0.3):
        await executor(by_run)("for (;;) {}", cpu_s=60)
    await until(lambda: not any(worker.runs for worker in by_run.status().workers))
    template = await template_of(by_run)
    spare = {worker.pid for worker in by_run.status().workers}

    await until(lambda: set(children_of(template)) <= spare | {worker.pid for worker in by_run.status().workers})


@only_linux
async def test_a_template_that_is_killed_is_started_again_and_takes_its_children_with_it(by_run: Sandbox) -> None:
    held, lost = Held(), list["Outcome | WorkerLost"]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_held, by_run, held, lost)
        await held.is_called.wait()
        pid = next(worker.pid for worker in by_run.status().workers if worker.runs)
        template = parent_of(pid)
        children = {worker.pid for worker in by_run.status().workers}
        os.kill(template, signal.SIGKILL)
        await until(lambda: bool(lost))
        after = await executor(by_run)("1 + 1")
    await until(lambda: not any(is_there(pid) for pid in (template, *children)))
    await until(lambda: not children & {worker.pid for worker in by_run.status().workers})

    assert isinstance(lost[0], WorkerLost)
    assert value_of(after) == 2
    assert await template_of(by_run) != template


@only_linux
async def test_closing_the_sandbox_ends_the_template_and_its_children(cache_dir: Path) -> None:
    async with isolating(cache_dir, "run") as sandbox:
        await executor(sandbox)("1")
        pids = [worker.pid for worker in sandbox.status().workers]
        template = await template_of(sandbox)
    await until(lambda: not any(is_there(pid) for pid in [template, *pids]))

    assert template not in children_of(os.getpid())


async def test_a_sandbox_closes_while_the_next_process_is_on_its_way(cache_dir: Path) -> None:
    for _ in range(5):
        async with isolating(cache_dir, "run") as sandbox:
            outcomes = [await executor(sandbox)("1 + 1") for _ in range(3)]

        assert [value_of(outcome) for outcome in outcomes] == [2, 2, 2]


async def test_a_forked_worker_refuses_a_second_run(cache_dir: Path) -> None:
    """Its process ends rather than let a second program see what a first one left."""
    async with isolating(cache_dir, "shared") as sandbox:
        module_path = sandbox.status().module_path
    forks = ForkedWorkers(module_path=module_path, data_bytes=2**31)
    worker = await forks.start(lambda: None)
    ends = [End(), End()]
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve, worker)
            for run, end in enumerate(ends, 1):
                worker.begin(run, end, encode_start(run, START))
                with anyio.fail_after(20):
                    await end.is_there.wait()
                worker.forget(run, is_over=True)
    finally:
        await worker.aclose()
        await forks.aclose()

    assert [end.is_lost for end in ends] == [False, True]


START = Start(
    cpu_limit_us=1_000_000,
    memory_bytes=Limits().memory_bytes,
    clock_us=0,
    seed=bytes(32),
    setup=encode_setup(Capabilities(), Limits()),
    source=b"1 + 1",
)


class End:
    """Waits for the end of a run."""

    waits_for_turn = True

    def __init__(self) -> None:
        self.is_there = anyio.Event()
        self.is_lost = False

    def deliver(self, report: Report) -> None:
        if report.is_last:
            self.is_there.set()

    def lose(self, error: HostError) -> None:
        assert isinstance(error, WorkerLost)
        self.is_lost = True
        self.is_there.set()


async def serve(worker: WorkerProcess) -> None:
    await worker.serve()
    worker.lose_runs(WorkerLost("it ended"))


WITHOUT_DESCRIPTORS = """
import json, resource, anyio
from sandbox import Bounds, Capabilities, Limits, Overloaded, Sandbox, SandboxConfig

resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
held, ends = anyio.Event(), []

async def wait(call):
    await held.wait()
    return b"1"

async def main():
    async def run(source="await host.wait()"):
        try:
            outcome = await sandbox.execute(
                source, limits=Limits(), capabilities=Capabilities(methods="wait"), on_call=wait
            )
            ends.append(outcome.value.decode())
        except Overloaded as error:
            ends.append(error.bound)

    async with Sandbox(SandboxConfig(workers=1, isolation="run", bounds=Bounds(wait_s=2.0))) as sandbox:
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(run)
            while "wait_s" not in ends:
                await anyio.sleep(0.05)
            held.set()
        with anyio.fail_after(20):
            while ends[-1] != "2":
                await run("1 + 1")
    print(json.dumps(ends))

anyio.run(main)
"""


def test_runs_that_no_process_can_be_made_for_are_refused_and_the_others_go_on() -> None:
    """The portal has descriptors for some thirty processes, and fifty runs want one each."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DESCRIPTORS],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    assert ends.count("1") >= 10
    assert set(ends) == {"1", "wait_s", "2"}

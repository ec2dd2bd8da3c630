"""Worker processes: what they have, what becomes of them, and what a run in one costs another."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from sandbox import CpuLimitExceeded, Outcome, Sandbox, SandboxClosed, SandboxConfig, WorkerLost
from tests.sandbox._programs import Held, executor, until, value_of

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def secrets_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTICO_TOKEN", "s3cret")


async def worker_of(sandbox: Sandbox) -> int:
    """Return the process id of a worker that waits for a run."""
    await executor(sandbox)("1")
    return sandbox.status().workers[0].pid


@only_linux
async def test_a_worker_has_no_environment(secrets_in_the_environment: None, lone_worker: Sandbox) -> None:
    pid = await worker_of(lone_worker)

    assert Path(f"/proc/{pid}/environ").read_bytes() == b""


@only_linux
async def test_a_worker_has_no_descriptors_but_its_socket_and_the_guest(lone_worker: Sandbox) -> None:
    pid = await worker_of(lone_worker)

    kinds = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = [kind for kind in kinds if kind.startswith("socket:")]
    others = [kind for kind in kinds if kind != "/dev/null" and not kind.startswith("socket:")]

    assert len(sockets) == 1
    assert all(".cwasm" in kind or kind.startswith("/memfd:wasm") for kind in others), others


@only_linux
async def test_a_worker_is_sealed_by_its_kernel(lone_worker: Sandbox) -> None:
    pid = await worker_of(lone_worker)

    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    threads = [thread.joinpath("status").read_text() for thread in Path(f"/proc/{pid}/task").iterdir()]

    active = {layer.name for layer in lone_worker.status().layers if layer.is_active}

    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == 0
    assert len(threads) == 2
    assert all(("Seccomp:\t2" in thread) == ("seccomp" in active) for thread in threads)


@only_linux
async def test_a_worker_is_bounded_by_the_kernel_and_gives_way_to_the_portal(lone_worker: Sandbox) -> None:
    pid = await worker_of(lone_worker)

    limits = Path(f"/proc/{pid}/limits").read_text()
    hard = {line[:26].strip(): line[47:68].strip() for line in limits.splitlines()}
    nice = int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[16])

    assert hard["Max data size"] == str(SandboxConfig().worker_bytes)
    assert hard["Max core file size"] == "0"
    assert hard["Max file size"] == "0"
    assert hard["Max processes"] == "0"
    assert int(hard["Max open files"]) <= 16
    assert nice > os.nice(0)


@only_linux
async def test_a_worker_has_no_interface_to_the_network(lone_worker: Sandbox) -> None:
    pid = await worker_of(lone_worker)
    layer = next(layer for layer in lone_worker.status().layers if layer.name == "namespaces")
    if not layer.is_active:
        pytest.skip(f"namespaces: {layer.detail}")

    interfaces = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]

    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    assert Path(f"/proc/{pid}/net/route").read_text().splitlines()[1:] == []
    assert Path(f"/proc/{pid}/ns/user").readlink() != Path("/proc/self/ns/user").readlink()


@only_linux
async def test_the_analyst_is_sealed_as_a_worker_is(secrets_in_the_environment: None, lone_worker: Sandbox) -> None:
    await lone_worker.analyse("host.a()", namespace="host")
    pid = lone_worker.status().analyst_pid

    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kinds = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    active = {layer.name for layer in lone_worker.status().layers if layer.is_active}

    assert Path(f"/proc/{pid}/environ").read_bytes() == b""
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == 0
    assert (status["Seccomp"] == "2") == ("seccomp" in active)
    assert len([kind for kind in kinds if kind.startswith("socket:")]) == 1
    assert all(kind == "/dev/null" or kind.startswith("socket:") for kind in kinds), kinds


@only_linux
async def test_a_worker_knows_nothing_of_the_portal_but_the_sandbox(lone_worker: Sandbox) -> None:
    pid = await worker_of(lone_worker)

    mapped = Path(f"/proc/{pid}/maps").read_text()

    assert not any(name in mapped for name in ("orjson", "uvloop", "pydantic", "_ssl"))


async def test_a_trap_in_one_run_leaves_another_that_waits_in_the_same_worker_unharmed(lone_worker: Sandbox) -> None:
    execute, held, outcomes = executor(lone_worker), Held(), list[Outcome]()

    async def wait() -> None:
        outcomes.append(await execute("const secret = 7; [await host.wait(), secret]", on_call=held))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await held.is_called.wait()
        pid = lone_worker.status().workers[0].pid
        trapped = await execute("new Array(1e9) + ''", cpu_s=0.2)
        held.let_go.set()

    assert isinstance(trapped.error, CpuLimitExceeded)
    assert value_of(outcomes[0]) == ["unharmed", 7]
    assert lone_worker.status().workers[0].pid == pid


async def test_a_killed_worker_fails_the_run_that_had_called_its_host_and_is_replaced(lone_worker: Sandbox) -> None:
    execute, held = executor(lone_worker), Held()
    lost: list[WorkerLost] = []

    async def wait() -> None:
        try:
            await execute("await host.wait()", on_call=held)
        except WorkerLost as error:
            lost.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await held.is_called.wait()
        os.kill(lone_worker.status().workers[0].pid, signal.SIGKILL)
    after = await execute("1 + 1")

    assert [error.calls for error in lost] == [1]
    assert value_of(after) == 2


async def test_a_run_that_had_made_no_host_call_is_started_again_when_its_worker_is_killed(
    lone_worker: Sandbox,
) -> None:
    execute, outcomes = executor(lone_worker), list[Outcome]()

    async def run() -> None:
        outcomes.append(await execute("console.log('once'); await new Promise(r => setTimeout(r, 300)); 5"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await until(lambda: any(worker.runs for worker in lone_worker.status().workers))
        os.kill(lone_worker.status().workers[0].pid, signal.SIGKILL)

    assert value_of(outcomes[0]) == 5
    assert [line.text for line in outcomes[0].logs] == ["once"]


async def test_a_worker_that_stops_answering_does_not_hold_up_other_runs(cache_dir: Path) -> None:
    async with Sandbox(SandboxConfig(workers=2, cache_dir=cache_dir)) as sandbox:
        execute = executor(sandbox)
        pid = await worker_of(sandbox)
        os.kill(pid, signal.SIGSTOP)
        try:
            outcomes = [await execute(f"{n} + 1") for n in range(3)]
        finally:
            with suppress(ProcessLookupError):  # the sandbox has killed it by then
                os.kill(pid, signal.SIGKILL)

    assert [value_of(outcome) for outcome in outcomes] == [1, 2, 3]


async def test_a_new_run_does_not_wait_behind_those_that_are_inside_long_turns(cache_dir: Path) -> None:
    async with Sandbox(SandboxConfig(workers=1, max_workers=3, cache_dir=cache_dir)) as sandbox:
        execute = executor(sandbox)
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(execute_endless, sandbox)
            await until(lambda: sum(worker.is_in_long_turn for worker in sandbox.status().workers) == 2)
            outcome = await execute("1 + 1")
            still_endless = sandbox.status().active_runs
            tasks.cancel_scope.cancel()

    assert value_of(outcome) == 2
    assert still_endless == 2


async def execute_endless(sandbox: Sandbox) -> None:
    await executor(sandbox)("for (;;) {}", cpu_s=60)


async def test_more_runs_than_a_worker_holds_wait_for_their_turn(cache_dir: Path) -> None:
    config = SandboxConfig(workers=1, max_workers=1, runs_per_worker=2, cache_dir=cache_dir)
    async with Sandbox(config) as sandbox:
        execute, held, outcomes = executor(sandbox), Held(), list[Outcome]()

        async def run() -> None:
            outcomes.append(await execute("await host.wait()", on_call=held))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(run)
            await until(lambda: sandbox.status().workers[0].runs == 2)
            waiting = sandbox.status().waiting_runs
            held.let_go.set()

    assert waiting == 3
    assert [value_of(outcome) for outcome in outcomes] == ["unharmed"] * 5


async def test_closing_the_sandbox_stops_its_runs_and_ends_its_workers(cache_dir: Path) -> None:
    held, errors = Held(), list[SandboxClosed]()

    async def run() -> None:
        try:
            await executor(sandbox)("await host.wait()", on_call=held)
        except SandboxClosed as error:
            errors.append(error)

    sandbox = Sandbox(SandboxConfig(workers=1, cache_dir=cache_dir))
    async with anyio.create_task_group() as tasks, sandbox:
        tasks.start_soon(run)
        await held.is_called.wait()
        pids = [worker.pid for worker in sandbox.status().workers]

    assert len(errors) == 1
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_sandbox_opens_once(cache_dir: Path) -> None:
    async with Sandbox(SandboxConfig(workers=1, cache_dir=cache_dir)) as sandbox:
        pass

    with pytest.raises(SandboxClosed):
        async with sandbox:
            pass


async def test_a_cache_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")

    with pytest.raises(OSError, match="file"):
        async with Sandbox(SandboxConfig(workers=1, cache_dir=blocked)):
            pass

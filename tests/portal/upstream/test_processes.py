"""A portal as a process with others: what it leaves behind when it is killed, and what a signal makes it do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from portal.upstream._warden import Warden
from tests.portal.conftest import UPSTREAMS, is_running, until
from tests.portal.upstream.conftest import PATIENCE_S, serving_scripted
from tests.portal.upstream.offering import Offering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import Process

    from typegen import JsonObject

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc")


@asynccontextmanager
async def portal_process(folder: Path, server: JsonObject) -> AsyncIterator[Process]:
    """Start a portal in front of one server; the block begins when it accepts connections."""
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"up": server}}))
    env = {"PYTHONPATH": str(Path(__file__).parents[3]), "HOME": str(folder)}
    command = [sys.executable, str(UPSTREAMS / "serve.py"), str(config)]
    with anyio.fail_after(2 * PATIENCE_S):
        async with await anyio.open_process(command, stderr=subprocess.DEVNULL, env=env) as process:
            assert process.stdout is not None
            try:
                await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 1_000)
                yield process
            finally:
                if process.returncode is None:
                    process.kill()


async def test_no_process_of_a_childs_family_outlives_a_portal_that_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    server: JsonObject = {"command": sys.executable, "args": [str(UPSTREAMS / "family.py"), str(pids)]}
    async with portal_process(tmp_path, server) as portal:
        await until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        family = [int(pid) for pid in pids.read_text().split()]
        were_running = [is_running(pid) for pid in family]
        portal.send_signal(signal.SIGKILL)
        await until(lambda: not any(is_running(pid) for pid in family))

    assert were_running == [True, True]


async def test_sigusr1_has_every_server_listed_again(tmp_path: Path) -> None:
    offering = Offering.of(None)
    async with serving_scripted(offering.scripted) as url, portal_process(tmp_path, {"url": url}) as portal:
        await offering.scripted.reached("tools/list")
        portal.send_signal(signal.SIGUSR1)
        await offering.scripted.reached("tools/list", 2)
        portal.send_signal(signal.SIGTERM)
        await portal.wait()

    assert portal.returncode == 0


def test_the_warden_ends_with_the_last_group_and_begins_again_with_the_next() -> None:
    warden = Warden()
    groups = [subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)]
    for _ in range(2):
        with warden.watching(groups[0].pid), warden.watching(10**7):
            assert warden._process is not None
            pid = warden._process.pid
            assert is_running(pid)
        assert not Path(f"/proc/{pid}").exists(), "ended, and waited for"

    assert groups[0].poll() is None, "what was watched is left alone"
    groups[0].communicate(b"\n")


def test_the_next_warden_knows_what_one_that_was_killed_watched_over() -> None:
    warden = Warden()
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as child,
        warden.watching(child.pid),
    ):
        assert warden._process is not None
        warden._process.kill()
        warden._process.wait()
        with warden.watching(10**7):  # finds out that it is gone
            pass
        with warden.watching(10**7 + 1):
            following, warden._process = warden._process, None
        assert following is not None
        following.communicate()  # as when the portal ends
        code = child.wait(PATIENCE_S)

    assert code == -signal.SIGKILL


def test_a_warden_that_was_killed_costs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    warden = Warden()
    with warden.watching(10**7):
        assert warden._process is not None
        os.kill(warden._process.pid, signal.SIGKILL)
        warden._process.wait()
        with warden.watching(10**7 + 1):
            pass

    assert "their warden has gone" in caplog.text

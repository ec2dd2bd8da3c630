"""A portal as a process: it listens, refuses a taken port, and ends in good order."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client
from mcp_types import TextContent

from portal import AddressInUse, Config, Secret, serve
from tests.portal.conftest import UPSTREAMS, is_running, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import Process

PATIENCE_S = 30.0
SSE_POLL_S = 0.8  # sse-starlette looks every 0.5 s whether it should cut its streams off


@asynccontextmanager
async def portal_process(folder: Path) -> AsyncIterator[tuple[Process, str]]:
    """Start a portal in front of the slow server; gives the process and its origin."""
    slow = {"command": sys.executable, "args": [str(UPSTREAMS / "slow.py"), str(folder)]}
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"slow": slow}}))
    command = [sys.executable, str(UPSTREAMS / "serve.py"), str(config)]
    root = str(Path(__file__).parents[2])
    with anyio.fail_after(PATIENCE_S):
        async with await anyio.open_process(
            command, stderr=subprocess.DEVNULL, env={"PYTHONPATH": root, "HOME": str(Path.home())}
        ) as process:
            assert process.stdout is not None
            origin = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 1_000)
            try:
                yield process, origin.decode()
            finally:
                if process.returncode is None:
                    process.kill()


async def call_slow(origin: str, era: str, answers: list[str]) -> None:
    async with Client(f"{origin}/mcp", mode=era, cache=None) as client:
        await client.list_tools()  # else the SDK lists after the call, to check its result
        result = await client.call_tool("slow_wait", {})
        block = result.content[0]
        answers.append(block.text if isinstance(block, TextContent) else "")


async def until_exists(path: Path) -> None:
    await until(path.exists)


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_sigterm_lets_calls_in_flight_finish_and_leaves_no_process_behind(tmp_path: Path, era: str) -> None:
    answers: list[str] = []
    async with portal_process(tmp_path) as (process, origin):
        # A client with a standing stream must not hold the process up.
        async with Client(f"{origin}/mcp", mode="legacy", cache=None) as idle, anyio.create_task_group() as tasks:
            await until_ready(idle)
            tasks.start_soon(call_slow, origin, era, answers)
            await until_exists(tmp_path / "entered")
            child = int((tmp_path / "pid").read_text())
            process.send_signal(signal.SIGTERM)
            await anyio.sleep(SSE_POLL_S)
            (tmp_path / "go").touch()
        returncode = await process.wait()
        await until(lambda: not is_running(child))

    assert answers == ["answered"]
    assert returncode == 0


async def test_a_killed_portal_takes_its_children_with_it(tmp_path: Path) -> None:
    async with portal_process(tmp_path) as (process, _):
        await until_exists(tmp_path / "pid")
        child = int((tmp_path / "pid").read_text())
        process.kill()
        await process.wait()
        await until(lambda: not is_running(child))


async def until_ready(client: Client) -> None:
    while "slow_wait" not in {tool.name for tool in (await client.list_tools()).tools}:  # noqa: ASYNC110 -- of another process
        await anyio.sleep(0.02)


async def test_a_port_in_use_is_said_before_anything_is_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressInUse) as refusal:
            await serve(Config(port=port))

    assert str(refusal.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; stop what listens there, or choose another --port"
    )


async def test_a_host_that_is_not_known_is_said_likewise() -> None:
    config = Config(host="no-such-host.invalid", public_url="https://p.example.com", token=Secret("x" * 32))

    with pytest.raises(AddressInUse, match="the name is not known"):
        await serve(config)

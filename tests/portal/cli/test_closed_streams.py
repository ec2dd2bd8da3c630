"""A command that is started with standard streams closed or broken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest
from mcp import Client

from tests.acceptance._running import clean_environ, free_port, until_settled
from tests.portal.cli.conftest import TIMEOUT_S, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are looked at in /proc")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
async def test_a_portal_without_standard_streams_serves_and_stops(
    closed: str, time_server: str, tmp_path: Path
) -> None:
    config, port = tmp_path / "portico.yaml", free_port()
    config.write_text(f"servers: [{time_server}]\ndata_dir: data\n")
    portico = [sys.executable, "-m", "portico", "serve", "--config", str(config), "--port", str(port)]
    with subprocess.Popen(["sh", "-c", f'exec "$@" {closed}', "sh", *portico], env=clean_environ()) as process:
        try:
            servers = await servers_at(f"http://127.0.0.1:{port}")
            streams = [str(Path(f"/proc/{process.pid}/fd/{number}").readlink()) for number in range(3)]
            process.send_signal(signal.SIGTERM)
            code = process.wait(TIMEOUT_S)
        finally:
            process.kill()

    assert "(clock): ready" in servers
    assert not [stream for stream in streams if stream.startswith("anon_inode:")]
    assert code == 0


@pytest.mark.parametrize("is_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize(("reader", "why"), [("nobody", "Broken pipe"), ("a full disk", "No space left on device")])
def test_a_portal_whose_addresses_cannot_be_printed_says_so_and_serves(reader: str, why: str, is_json: bool) -> None:
    port = free_port()
    with unwritable(reader) as stdout, serving("--port", str(port), *["--json"] * is_json, stdout=stdout) as process:
        assert process.stderr is not None
        warning = next((text for text in process.stderr if "could not be printed" in text), "")
        health = httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=TIMEOUT_S)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=TIMEOUT_S)

    assert f"({why}); serving all the same" in warning
    assert health.is_success
    assert process.returncode == 0
    assert why not in errors


@contextmanager
def unwritable(reader: str) -> Iterator[int]:
    """A descriptor that can be opened for writing and not written to."""
    if reader == "a full disk":
        writer = os.open("/dev/full", os.O_WRONLY)
    else:
        other_end, writer = os.pipe()
        os.close(other_end)
    yield writer
    os.close(writer)


async def servers_at(origin: str) -> str:
    """What a client is told of the servers when the portal has tried each."""
    with anyio.fail_after(TIMEOUT_S):
        while not await is_healthy(origin):  # noqa: ASYNC110 -- another process gives no event
            await anyio.sleep(0.1)
        await until_settled(f"{origin}/mcp")
        async with Client(f"{origin}/mcp") as client:
            return str(await client.call_tool("portal_list_servers", {}))


async def is_healthy(origin: str) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(f"{origin}/healthz")).is_success
        except httpx.TransportError:
            return False

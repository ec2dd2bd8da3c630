"""A portal opened for the length of one command."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio

from portal._portal import Portal
from portal.cli._failures import BAD_INPUT, FAILED
from portal.cli._output import note, plural
from sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from portal._config import Config, PortalConfig
    from portal.upstream import ServerStatus

QUIET_S: Final = 1.0  # what takes longer than this says what it waits for
MARGIN_S: Final = 5.0  # beyond the longest connect timeout: an upstream reports its own failure, not ours


@asynccontextmanager
async def opened(config: Config, *, sandbox: Sandbox | None = None) -> AsyncIterator[Portal]:
    """Open a portal and wait until each of its servers is ready or has failed.

    It runs programs only with a ``sandbox`` that is open; without one, no worker process is started.
    """
    timeout_s = max((server.connect_timeout_s for server in config.servers), default=0.0) + MARGIN_S
    async with Portal(config, sandbox=Sandbox() if sandbox is None else sandbox) as portal:
        async with waiting_for(lambda: [one.id for one in portal.fleet.status() if one.status == "waiting"]):
            await portal.wait_ready(timeout_s)
        yield portal


@asynccontextmanager
async def waiting_for(server_ids: Callable[[], Sequence[str]]) -> AsyncIterator[None]:
    """Say on a terminal which servers are waited for, when the block takes longer than a moment."""

    async def say() -> None:
        await anyio.sleep(QUIET_S)
        if (waiting := server_ids()) and sys.stderr.isatty():
            note(f"waiting for {plural(len(waiting), 'server')}: {', '.join(waiting)}")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(say)
        yield
        tasks.cancel_scope.cancel()


def behind(statuses: Iterable[ServerStatus], portals: Iterable[PortalConfig]) -> tuple[ServerStatus, ...]:
    """Those of the servers that one of these portals has."""
    wanted = {member.id for portal in portals for member in portal.servers}
    return tuple(status for status in statuses if status.id in wanted)


def faults(statuses: Iterable[ServerStatus]) -> list[str]:
    """One sentence for each server that is not ready: why, and whether to wait or to change something."""
    return [f"{status.id}: {_fault(status)}" for status in statuses if status.status != "ready"]


def _fault(status: ServerStatus) -> str:
    if status.status == "waiting" or status.cause is None:
        return "did not answer in time"
    return status.cause if status.retryable else f"{status.cause} (trying again does not help)"


def exit_code(statuses: Iterable[ServerStatus]) -> int:
    """0 when all are ready, 2 when the configuration of one has to change, else 1."""
    broken = [status for status in statuses if status.status != "ready"]
    if any(status.status == "error" and not status.retryable for status in broken):
        return BAD_INPUT
    return FAILED if broken else 0

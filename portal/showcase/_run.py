"""Run the showing: serve, connect as a client does, do the job both ways, say what it took, and go on serving."""

from __future__ import annotations

import json
import socket
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from rich.console import Console
from rich.text import Text

from portal._portal import serve
from portal.showcase._caller import Caller, CallFailed, text_of
from portal.showcase._direct import work_directly
from portal.showcase._job import Job
from portal.showcase._ledger import bill
from portal.showcase._report import show_clients, show_code_run, show_comparison, show_servers
from portal.showcase._setup import demo_config
from portal.showcase._showing import CodeRun, DirectRun

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from mcp_types import CallToolResult

    from portal._config import Config
    from portal._json import JsonObject

    Snippets = Callable[[Config], Iterable[tuple[str, str, str]]]

_CALL_TIMEOUT_S: Final = 120.0  # a showing takes seconds; this is for a first start on a slow disk
_SERVERS_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.1


def run_demo(
    *, repository: Path, port: int | None = None, once: bool = False, snippets: Snippets = lambda _config: ()
) -> None:
    """Show the portal at work on ``repository``'s history and the demo tracker, on stdout, and serve until stopped.

    Without a ``port`` it is the default one, or a free one when that is taken. ``once`` stops after the showing.
    ``snippets`` makes from the configuration what to paste into clients: name, place and text of each. Raises
    ``ConfigError``, ``AddressInUse``, or ``CallFailed`` when a call of the showing failed.
    """
    console = Console(highlight=False)
    config = demo_config(repository=repository, port=port)
    if port is None and not _is_free(config):
        console.print(Text(f"Port {config.port} is taken, so this takes a free one.", style="yellow"))
        config = replace(config, port=0)
    job = Job.planned(repository=repository, today=datetime.now(UTC).date())
    anyio.run(_demo, console, config, job, once, snippets, backend_options={"use_uvloop": True})


async def _demo(console: Console, config: Config, job: Job, once: bool, snippets: Snippets) -> None:
    listening = anyio.Event()
    origin = ""

    def note(where: str) -> None:
        nonlocal origin
        origin = where
        listening.set()

    async def serving() -> None:
        await serve(config, on_ready=note)
        tasks.cancel_scope.cancel()  # stopped by a signal, perhaps in the middle of the showing

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serving)
        await listening.wait()
        await _show(console, config, job, origin)
        at = replace(config, port=urlsplit(origin).port or config.port)
        show_clients(console, at.endpoint(), snippets(at))
        if once:
            tasks.cancel_scope.cancel()
        else:
            console.print()
            console.print(Text("Serving. Ctrl-C stops it.", style="bold"))


async def _show(console: Console, config: Config, job: Job, origin: str) -> None:
    async with (
        _connected(config, f"{origin}/mcp?codemode=search_and_execute") as code_client,
        _connected(config, f"{origin}/mcp") as list_client,
    ):
        show_servers(console, await _servers(list_client))
        code = await _in_code_mode(job, code_client)
        show_code_run(console, job, code)
        show_comparison(console, code, await _directly(job, list_client))


async def _in_code_mode(job: Job, client: Client) -> CodeRun:
    caller = Caller(client)
    found = text_of(await caller.call("code", {"code": job.discovery}))
    started = perf_counter()
    result = await caller.call("code", {"code": job.program})
    duration_s = perf_counter() - started
    return CodeRun(
        found=found,
        answer=_answer(result),
        run=_run_facts(result),
        duration_s=duration_s,
        bill=bill((await client.list_tools()).tools, caller.turns),
    )


async def _directly(job: Job, client: Client) -> DirectRun:
    caller = Caller(client)
    started = perf_counter()
    answer = await work_directly(job, caller)
    duration_s = perf_counter() - started
    return DirectRun(answer=answer, duration_s=duration_s, bill=bill((await client.list_tools()).tools, caller.turns))


async def _servers(client: Client) -> list[str]:
    """Wait until no upstream is being connected any more, and return a line for each."""
    lines: list[str] = []
    with anyio.move_on_after(_SERVERS_TIMEOUT_S):
        while True:
            text = text_of(await client.call_tool("portal_list_servers", {}))
            lines = [line for line in text.splitlines() if line.startswith("- ")]
            if not any(line.endswith(": waiting") for line in lines):
                break
            await anyio.sleep(_POLL_S)
    return lines


def _answer(result: CallToolResult) -> JsonObject:
    text = text_of(result)
    try:
        answer, _ = json.JSONDecoder().raw_decode(text)
    except ValueError:
        raise CallFailed("code", text) from None
    if not isinstance(answer, dict):
        raise CallFailed("code", text)
    return answer


def _run_facts(result: CallToolResult) -> JsonObject:
    """Find the run's record in the answer's metadata."""
    for value in (result.meta or {}).values():
        if isinstance(value, dict) and "calls" in value:
            return value
    return {}


@asynccontextmanager
async def _connected(config: Config, url: str) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {config.token.reveal()}"} if config.token is not None else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=_CALL_TIMEOUT_S) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


def _is_free(config: Config) -> bool:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError:
            return False
    return True

"""Run the showing: serve, connect as a client does, do the job both ways, say what it took, and go on serving."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Final

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from rich.console import Console
from rich.text import Text

from portal._errors import AddressInUse
from portal._portal import Portal
from portal.context import bill
from portal.server import listen, serve_app
from portal.showcase._caller import Caller, CallFailed, text_of
from portal.showcase._direct import work_directly
from portal.showcase._job import Job
from portal.showcase._report import show_clients, show_code_run, show_comparison, show_servers
from portal.showcase._setup import demo_config
from portal.showcase._showing import CodeRun, DirectRun, figures

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from mcp_types import CallToolResult

    from portal._config import Config
    from typegen import JsonObject

    Snippets = Callable[[Config], Iterable[tuple[str, str, str]]]

_CALL_TIMEOUT_S: Final = 120.0  # a showing takes seconds; this is for a first start on a slow disk
_SERVERS_TIMEOUT_S: Final = 60.0


def run_demo(
    *,
    repository: Path,
    port: int | None = None,
    once: bool = False,
    as_json: bool = False,
    snippets: Snippets = lambda _config: (),
) -> None:
    """Show the portal at work on ``repository``'s history and the demo tracker, on stdout, and serve until stopped.

    Without a ``port`` it is the default one, or a free one when that is taken. ``once`` stops after the showing.
    ``as_json`` prints one JSON object, the figures, in the place of the text. ``snippets`` makes from the configuration
    what to paste into clients: name, place and text of each. Raises ``ConfigError``, ``AddressInUse``, or
    ``CallFailed`` when a call of the showing failed, or ``KeyboardInterrupt`` when a signal ended it.
    """
    console = Console(highlight=False, markup=False, emoji=False, quiet=as_json)
    config = demo_config(repository=repository, port=port)
    job = Job.planned(repository=repository, today=datetime.now(UTC).date())

    async def main() -> None:
        with _listening(console, config, may_move=port is None) as listener:
            taken = replace(config, port=listener.getsockname()[1])
            await _demo(console, taken, job, listener, once=once, snippets=snippets)

    anyio.run(main, backend_options={"use_uvloop": True})


def _listening(console: Console, config: Config, *, may_move: bool) -> socket.socket:
    try:
        return listen(config.host, config.port)
    except AddressInUse:
        if not may_move:
            raise
        console.print(Text(f"Port {config.port} is taken, so this takes a free one.", style="yellow"))
        return listen(config.host, 0)


async def _demo(
    console: Console, config: Config, job: Job, listener: socket.socket, *, once: bool, snippets: Snippets
) -> None:
    listening = anyio.Event()
    is_shown = False
    async with Portal(config) as portal, anyio.create_task_group() as tasks:

        async def serving() -> None:
            await serve_app(portal.app, listener, on_ready=listening.set, on_stop=stop)
            tasks.cancel_scope.cancel()

        def stop() -> None:
            if not is_shown:
                showing.cancel()  # its next call would find nobody listening
            portal.drain()

        tasks.start_soon(serving)
        with anyio.CancelScope() as showing:
            await listening.wait()
            console.print(Text("Starting the servers ..."))
            await portal.wait_ready(_SERVERS_TIMEOUT_S)
            show_servers(console, portal.fleet.status())
            code, direct = await _show(console, config, job)
            show_clients(console, config.endpoint(), snippets(config))
            if console.quiet:
                Console().out(json.dumps(figures(config.endpoint(), code, direct), ensure_ascii=False))
            is_shown = True
            if once:
                tasks.cancel_scope.cancel()
            else:
                console.print()
                console.print(Text("Serving. Ctrl-C stops it.", style="bold"))
    if not is_shown:
        raise KeyboardInterrupt


async def _show(console: Console, config: Config, job: Job) -> tuple[CodeRun, DirectRun]:
    async with (
        _connected(config, config.endpoint()) as code_client,
        _connected(config, config.endpoint().partition("?")[0]) as list_client,
    ):
        code = await _in_code_mode(job, code_client)
        show_code_run(console, job, code)
        direct = await _directly(job, list_client)
        show_comparison(console, code, direct)
    return code, direct


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
        bill=bill(await _definitions(client), caller.turns),
    )


async def _directly(job: Job, client: Client) -> DirectRun:
    caller = Caller(client)
    started = perf_counter()
    answer = await work_directly(job, caller)
    duration_s = perf_counter() - started
    return DirectRun(answer=answer, duration_s=duration_s, bill=bill(await _definitions(client), caller.turns))


async def _definitions(client: Client) -> list[JsonObject]:
    return [tool.model_dump(mode="json", by_alias=True) for tool in (await client.list_tools()).tools]


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

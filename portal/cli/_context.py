"""``portico context``: what tools, searches and programs cost in tokens."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 -- typer reads it
from typing import TYPE_CHECKING, Annotated

import anyio
import typer
from rich.console import Console

from portal._config import DEFAULT_PORTAL, Config
from portal._suggestion import listing
from portal._text_file import read_text_file
from portal._tokens import ENCODING, ENCODINGS, check_can_count
from portal._version import VERSION
from portal.cli._failures import UsageError
from portal.cli._options import AsJson, ConfigPath, Debug, McpConfigPath, PortalId, check_portal
from portal.cli._output import note, print_json, start_logging
from portal.cli._session import behind, exit_code, faults, opened
from portal.context import example_program, measure, page, show_report
from sandbox import Sandbox, SandboxConfig

if TYPE_CHECKING:
    from portal.context import ContextReport
    from portal.upstream import ServerStatus

_SHOWN_TOOLS = 15
_PIPE_COLUMNS = 140  # nobody's terminal decides where a line of a file ends


def context(
    *,
    program: Annotated[
        Path | None, typer.Option("--program", metavar="FILE", help="Also run this program, and count its calls.")
    ] = None,
    queries: Annotated[
        list[str] | None, typer.Option("--query", metavar="TEXT", help="Search for this; may be given several times.")
    ] = None,
    encoding: Annotated[
        str, typer.Option("--encoding", metavar="NAME", help=f"How text becomes tokens: {' or '.join(ENCODINGS)}.")
    ] = ENCODING,
    top: Annotated[int, typer.Option("--top", min=1, help="How many of the largest tools to print.")] = _SHOWN_TOOLS,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a page with charts, for a browser.")
    ] = None,
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    portal: PortalId = DEFAULT_PORTAL,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Count what tools cost in context, in each mode.

    Nothing is called, unless --program is given: that program runs as an agent's would, and its calls are made. On the
    built-in demo an example is run. Exits with 2 when a server's configuration has to change, with 1 when one does not
    answer or the program fails.
    """
    start_logging(is_debug=debug, level=logging.CRITICAL)
    if encoding not in ENCODINGS:
        raise UsageError(f'--encoding "{encoding}" is not one of {listing(ENCODINGS)}.')
    check_can_count()
    settings = Config.from_env(config=config, mcp_config=mcp_config)
    check_portal(settings, portal)
    source = _program(program, settings)

    async def run() -> tuple[ContextReport, tuple[ServerStatus, ...]]:
        async with Sandbox(SandboxConfig(workers=1)) as sandbox, opened(settings, sandbox=sandbox) as home:
            report = await measure(home, portal, encoding=encoding, queries=queries or (), program=source)
            return report, home.fleet.status()

    report, statuses = anyio.run(run)
    if html is not None:
        _write(html, page(report, made=f"Measured with Portico {VERSION} on {datetime.now(UTC):%Y-%m-%d}."))
    if as_json:
        print_json(report.as_json())
    else:
        console = Console(highlight=False, markup=False, emoji=False)
        if not console.is_terminal:
            console.width = _PIPE_COLUMNS
        show_report(console, report, top=top)
    if html is not None:
        note(f"wrote {html}")
    statuses = behind(statuses, [settings.portal(portal)])
    for fault in faults(statuses):
        note(f"without {fault}")
    raise typer.Exit(exit_code(statuses))


def _program(path: Path | None, config: Config) -> str | None:
    if path is not None:
        return read_text_file(path, noun="the program")
    is_demo = [server.transport for server in config.servers] == ["demo"]
    return example_program() if is_demo else None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--html {path} cannot be written: {error.strerror or error}.") from None

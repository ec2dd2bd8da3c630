"""``portico types``: the TypeScript declarations that programs are written against."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from portal._config import DEFAULT_PORTAL, Config
from portal._suggestion import listing, nearest
from portal.cli._failures import UsageError
from portal.cli._options import AsJson, ConfigPath, Debug, McpConfigPath, PortalId  # noqa: TC001 -- typer reads them
from portal.cli._output import note, print_json, start_logging
from portal.cli._session import exit_code, faults, opened
from typegen import declare_module

if TYPE_CHECKING:
    from engine import Catalog
    from portal._upstream import ServerStatus


def types(
    *,
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    portal: PortalId = DEFAULT_PORTAL,
    server: Annotated[str | None, typer.Option("--server", metavar="ID", help="Only this server's tools.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Print the TypeScript declarations of all tools.

    The text is a .d.ts file. Exits with 2 when a server's configuration has to change, with 1 when one does not answer.
    """
    start_logging(is_debug=debug, level=logging.ERROR)
    settings = Config.from_env(config=config, mcp_config=mcp_config)
    catalog, statuses = anyio.run(_catalog, settings, portal)
    if server is not None:
        _check_server(server, [status.id for status in statuses])
        statuses = tuple(status for status in statuses if status.id == server)
    entries = [entry for entry in catalog.tools.values() if server is None or entry.server_id == server]
    if as_json:
        print_json({entry.identifier: catalog.declaration(entry).text for entry in entries})
    else:
        typer.echo(declare_module([(entry.identifier, entry.tool) for entry in entries]), nl=False)
    for fault in faults(statuses):
        note(f"left out {fault}")
    raise typer.Exit(exit_code(statuses))


async def _catalog(config: Config, portal_id: str) -> tuple[Catalog, tuple[ServerStatus, ...]]:
    async with opened(config) as portal:
        return portal.catalog(portal_id), portal.fleet.status()


def _check_server(server_id: str, known: list[str]) -> None:
    if server_id not in known:
        near = nearest(server_id, known)
        hint = f'did you mean "{near}"?' if near else f"configured: {listing(known)}."
        raise UsageError(f'no server has the id "{server_id}": {hint}')

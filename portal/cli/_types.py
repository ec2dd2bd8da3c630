"""``portico types``: the TypeScript declarations that programs are written against."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from portal._config import DEFAULT_PORTAL, Config
from portal.cli._options import (
    AsJson,
    ConfigPath,
    Debug,
    McpConfigPath,
    PortalId,
    check_portal,
    check_server,
)
from portal.cli._output import note, print_json, start_logging
from portal.cli._session import behind, exit_code, faults, opened
from typegen import declare_module

if TYPE_CHECKING:
    from engine import Catalog
    from portal.upstream import ServerStatus


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
    start_logging(is_debug=debug, level=logging.CRITICAL)
    settings = Config.from_env(config=config, mcp_config=mcp_config)
    check_portal(settings, portal)
    if server is not None:
        check_server(settings, server)
    catalog, statuses = anyio.run(_catalog, settings, portal)
    if server is None:
        statuses = behind(statuses, [settings.portal(portal)])
    else:
        statuses = tuple(status for status in statuses if status.id == server)
    entries = [entry for entry in catalog.tools.values() if server in {None, entry.server_id}]
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

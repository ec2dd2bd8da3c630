"""``portico servers``: connect to each configured server and say how it is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio
import typer

from portal._config import Config
from portal.cli._options import AsJson, ConfigPath, Debug, McpConfigPath  # noqa: TC001 -- typer reads them
from portal.cli._output import print_json, print_table, start_logging
from portal.cli._session import exit_code, faults, opened

if TYPE_CHECKING:
    from portal.upstream import ServerStatus
    from typegen import JsonObject


def servers(
    *,
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Connect to each server and print how it is.

    Exits with 2 when a server's configuration has to change, with 1 when one does not answer.
    """
    start_logging(is_debug=debug, level=logging.CRITICAL)
    settings = Config.from_env(config=config, mcp_config=mcp_config)
    statuses = anyio.run(_statuses, settings)
    disabled = [server for server in settings.servers if not server.enabled]
    if as_json:
        off: list[JsonObject] = [{"id": server.id, "name": server.display_name, "status": "off"} for server in disabled]
        print_json([*(_as_json(status) for status in statuses), *off])
    else:
        rows = [[s.id, s.transport, s.status, str(s.tools), s.name] for s in statuses]
        rows += [[server.id, server.transport, "off", "-", server.display_name] for server in disabled]
        print_table(rows, headings=["ID", "TRANSPORT", "STATUS", "TOOLS", "NAME"])
        for fault in faults(statuses):
            typer.echo(fault, err=True)
    raise typer.Exit(exit_code(statuses))


async def _statuses(config: Config) -> tuple[ServerStatus, ...]:
    async with opened(config) as portal:
        return portal.fleet.status()


def _as_json(status: ServerStatus) -> JsonObject:
    return {
        "id": status.id,
        "name": status.name,
        "transport": status.transport,
        "status": status.status,
        "tools": status.tools,
        "protocol_version": status.protocol_version,
        "cause": status.cause,
        "retryable": status.retryable,
    }

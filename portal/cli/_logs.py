"""``portico logs``: the calls of tools, from programs and from clients."""

from __future__ import annotations

import logging
from typing import Annotated

import anyio
import typer

from portal._config import Config
from portal.cli._options import AsJson, ConfigPath, Debug, McpConfigPath  # noqa: TC001 -- typer reads them
from portal.cli._output import note, print_json, print_table, start_logging
from portal.cli._stored import (
    Failed,
    Limit,
    OfPortal,
    OfUser,
    Since,
    read_calls,
    shown_ms,
    shown_time,
    since_of,
)
from portal.store import RecordFilter


def logs(
    *,
    since: Since = None,
    server: Annotated[str | None, typer.Option("--server", metavar="ID", help="To this server only.")] = None,
    tool: Annotated[str | None, typer.Option("--tool", metavar="NAME", help="Of this tool only.")] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="ID", help="Of this run only.")] = None,
    user: OfUser = None,
    portal: OfPortal = None,
    failed: Failed = False,
    limit: Limit = 50,
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Print the calls of tools, newest first.

    Arguments and results are not kept. A call without a run was made by a client itself.
    """
    start_logging(is_debug=debug, level=logging.WARNING)
    settings = Config.from_env(config=config, mcp_config=mcp_config)
    wanted = RecordFilter(
        since=since_of(since),
        user=user,
        portal=portal,
        run=run,
        server=server,
        tool=tool,
        is_failed=failed,
        limit=limit,
    )
    records = anyio.run(read_calls, settings, wanted)
    if as_json:
        print_json([*records])
        return
    rows = [
        [
            shown_time(record),
            str(record["status"]),
            shown_ms(record),
            str(record["server"]),
            str(record["tool"]),
            str(record["user"]),
            str(record["run"] or "-"),
        ]
        for record in records
    ]
    if rows:
        print_table(rows, headings=["TIME", "STATUS", "TOOK", "SERVER", "TOOL", "USER", "RUN"])
    else:
        note("no call is recorded.")

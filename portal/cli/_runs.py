"""``portico runs``: the programs that were run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio

from portal._config import Config
from portal.cli._options import AsJson, ConfigPath, Debug, McpConfigPath  # noqa: TC001 -- typer reads them
from portal.cli._output import note, print_json, print_table, start_logging
from portal.cli._stored import (
    Failed,
    Limit,
    OfPortal,
    OfUser,
    Since,
    read_runs,
    shown_ms,
    shown_time,
    since_of,
)
from portal.store import RecordFilter

if TYPE_CHECKING:
    from typegen import JsonObject

_TOOLS_SHOWN = 3


def runs(
    *,
    since: Since = None,
    user: OfUser = None,
    portal: OfPortal = None,
    failed: Failed = False,
    limit: Limit = 50,
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Print the programs that were run, newest first.

    Each with how it ended and the tools that it called; `portico logs --run ID` prints the calls of one.
    """
    start_logging(is_debug=debug, level=logging.WARNING)
    settings = Config.from_env(config=config, mcp_config=mcp_config)
    wanted = RecordFilter(since=since_of(since), user=user, portal=portal, is_failed=failed, limit=limit)
    records = anyio.run(read_runs, settings, wanted)
    if as_json:
        print_json([*records])
        return
    rows = [
        [shown_time(r), str(r["run"]), str(r["status"]), shown_ms(r), str(r["user"]), str(r["portal"]), _tools(r)]
        for r in records
    ]
    if rows:
        print_table(rows, headings=["TIME", "RUN", "STATUS", "TOOK", "USER", "PORTAL", "CALLS"])
    else:
        note("no run is recorded.")


def _tools(record: JsonObject) -> str:
    tools = record["tools"]
    if not isinstance(tools, dict):
        return ""
    shown = [f"{name} x{count}" if count != 1 else name for name, count in [*tools.items()][:_TOOLS_SHOWN]]
    more = [f"and {len(tools) - _TOOLS_SHOWN} more"] if len(tools) > _TOOLS_SHOWN else []
    return ", ".join([*shown, *more]) or "-"

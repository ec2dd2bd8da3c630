"""``portico doctor``: what works here, what does not, and what is weaker than it could be."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from portal._config import Config
from portal.cli._checks import check_machine, check_sandbox, check_servers, check_store
from portal.cli._failures import FAILED
from portal.cli._options import AsJson, ConfigPath, Debug, McpConfigPath  # noqa: TC001 -- typer reads them
from portal.cli._output import print_json, print_table, start_logging

if TYPE_CHECKING:
    from portal.cli._checks import Check
    from typegen import JsonValue


def doctor(
    *,
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not connect to the servers.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Check this machine, the sandbox and each server.

    Says what is broken or weaker than it could be, and what to do. Exits with 1 when something is broken.
    """
    start_logging(is_debug=debug, level=logging.CRITICAL)
    settings = Config.from_env(config=config, mcp_config=mcp_config)
    checks: list[Check] = [*check_machine(settings), *anyio.run(check_sandbox, settings)]
    store = anyio.run(check_store, settings)
    checks.append(store)
    if not offline and store.state != "broken":  # nothing is served without it
        checks += anyio.run(check_servers, settings)
    if as_json:
        rows: list[JsonValue] = [
            {"subject": check.subject, "state": check.state, "detail": check.detail} for check in checks
        ]
        print_json(rows)
    else:
        print_table([[_MARKS[check.state], check.subject, check.detail] for check in checks])
    if any(check.state == "broken" for check in checks):
        raise typer.Exit(FAILED)


_MARKS = {"ok": "ok", "weak": "weak", "broken": "BROKEN"}

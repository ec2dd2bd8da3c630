"""``portico servers``: how each configured server is; ``sync`` has them listed anew.

A portal that runs here with the same servers and store knows; else the command connects to each server itself.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from portal._config import Config
from portal._control import ask_status, ask_sync
from portal._kept_offers import KeptOffers
from portal._printable import printable
from portal._redaction import Redactor, redacted_logs
from portal.cli._failures import FAILED, UsageError
from portal.cli._options import AsJson, ConfigPath, Debug, McpConfigPath, check_server
from portal.cli._output import note, print_json, print_table, start_logging
from portal.cli._session import exit_code, faults, opened, waiting_for
from portal.store import Store
from portal.upstream import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portal._control import PortalReport
    from portal.upstream import ServerStatus, Synced
    from typegen import JsonObject

ServerIds = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="The servers; all without one.")]


def servers(
    context: typer.Context,
    *,
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Print how each server is.

    The portal that runs here with these servers and this store is asked; without one, this connects to each server.

    Exits with 2 when a server's configuration has to change, with 1 when one does not answer.
    """
    if context.invoked_subcommand is not None:
        if config is not None or mcp_config is not None or as_json or debug:
            action = context.invoked_subcommand
            raise UsageError(f"options go after {action}: portico servers {action} [ID]... --config FILE.")
        return
    start_logging(is_debug=debug, level=logging.CRITICAL)
    settings = Config.from_env(config=config, mcp_config=mcp_config)
    statuses = anyio.run(_statuses, settings)
    disabled = [server for server in settings.servers if not server.enabled]
    if as_json:
        off: list[JsonObject] = [{"id": server.id, "name": server.display_name, "status": "off"} for server in disabled]
        print_json([*(_as_json(status) for status in statuses), *off])
    else:
        rows = [[s.id, s.transport, s.status, _clock(s.since), *_counts(s), s.name] for s in statuses]
        rows += [[server.id, server.transport, "off", *["-"] * 4, server.display_name] for server in disabled]
        headings = ["ID", "TRANSPORT", "STATUS", "SINCE", "TOOLS", "PROMPTS", "RESOURCES", "NAME"]
        print_table(rows, headings=headings)
        _explain(statuses)
    raise typer.Exit(exit_code(statuses))


def sync(
    ids: ServerIds = None,
    *,
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List what servers offer anew, and keep it in the store.

    The portal that runs here with these servers and this store does so, and offers what is new at once; without
    one, this connects to each server, and a portal serves what is kept from its next start on.

    Exits with 2 when a server's configuration has to change, with 1 when one could not be listed.
    """
    start_logging(is_debug=debug, level=logging.CRITICAL)
    settings = Config.from_env(config=config, mcp_config=mcp_config)
    for server_id in ids or ():
        check_server(settings, server_id)
    wanted = ids or [server.id for server in settings.servers]
    synced = anyio.run(_sync, settings, wanted)
    statuses = [one.status for one in synced]
    if as_json:
        print_json([{**_as_json(one.status), "changed": list(one.changed), "failure": one.failure} for one in synced])
    elif synced:
        rows = [[s.status.id, s.status.status, *_counts(s.status), ", ".join(s.changed) or "nothing"] for s in synced]
        print_table(rows, headings=["ID", "STATUS", "TOOLS", "PROMPTS", "RESOURCES", "CHANGED"])
        _explain(statuses)
    for server in settings.servers:
        if server.id in wanted and not server.enabled:
            note(f"{server.id} is switched off by the configuration (enabled: false), so it was not listed.")
    for one in synced:
        if one.failure is not None and one.status.status == "ready":
            note(f"{one.status.id} could not be listed: {one.failure}")
    is_listed = all(one.failure is None for one in synced)
    raise typer.Exit(exit_code(statuses) or (0 if is_listed else FAILED))


async def _statuses(config: Config) -> list[ServerStatus]:
    async with waiting_for(lambda: [server.id for server in config.servers if server.enabled]):
        report = await ask_status(config)
    if report is not None:
        _say_who_knows(report)
        return [one.status for one in report.servers]
    async with opened(config) as portal:
        return list(portal.fleet.status())


async def _sync(config: Config, server_ids: list[str]) -> tuple[Synced, ...]:
    chosen = [server for server in config.servers if server.id in server_ids]
    enabled = [server.id for server in chosen if server.enabled]
    if not enabled:
        return ()
    async with waiting_for(lambda: enabled):
        report = await ask_sync(config, enabled)
    if report is not None:
        _say_who_knows(report)
        return report.servers
    store = Store(config.store_url, retention=config.retention, secrets=config.stored_secrets())
    with redacted_logs(Redactor(config.secrets())):
        async with store:
            kept = KeptOffers(store.catalogs)
            fleet = Fleet(chosen, keep=kept.keep)
            fleet.restore(await kept.load(config.servers))
            async with fleet, waiting_for(lambda: enabled):
                return await fleet.sync()


def _say_who_knows(report: PortalReport) -> None:
    note(f"by the portal that runs here (process {report.pid})")


def _explain(statuses: Iterable[ServerStatus]) -> None:
    """Say on stderr what is wrong with each server, and what to do."""
    for fault in faults(statuses):
        typer.echo(printable(fault), err=True)
    for status in statuses:
        if status.is_code_mode:
            advice = "if it is a portal, add ?codemode=off to its url, so that programs call its tools"
            typer.echo(f"{status.id}: its tools are those of a code mode of its own; {advice}", err=True)


def _counts(status: ServerStatus) -> list[str]:
    return [str(status.tools), str(status.prompts), str(status.resources)]


def _clock(moment: float) -> str:
    """Write a moment of today as its time, another with its date."""
    then = time.localtime(moment)
    is_today = then[:3] == time.localtime()[:3]
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%dT%H:%M:%S", then)


def _as_json(status: ServerStatus) -> JsonObject:
    return {
        "id": status.id,
        "name": status.name,
        "transport": status.transport,
        "status": status.status,
        "since": status.since,
        "tools": status.tools,
        "prompts": status.prompts,
        "resources": status.resources,
        "protocol_version": status.protocol_version,
        "is_code_mode": status.is_code_mode,
        "cause": status.cause,
        "code": status.code,
        "retryable": status.retryable,
    }

"""``portico servers``: connect to each configured server and say how it is; ``sync`` keeps what they list."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from portal._config import Config
from portal._kept_offers import KeptOffers
from portal._printable import printable
from portal._redaction import Redactor, redacted_logs
from portal.cli._failures import UsageError
from portal.cli._options import AsJson, ConfigPath, Debug, McpConfigPath, check_server
from portal.cli._output import print_json, print_table, start_logging
from portal.cli._session import exit_code, faults, opened
from portal.store import Store
from portal.upstream import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portal.upstream import Change, ServerStatus
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
    """Connect to each server and print how it is.

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

    A portal serves what is kept from its next start on, before its servers answer. One that is running lists its
    servers by itself: when they announce a change, every two hours, and on the signal SIGUSR1.

    Exits with 2 when a server's configuration has to change, with 1 when one could not be listed.
    """
    start_logging(is_debug=debug, level=logging.CRITICAL)
    settings = Config.from_env(config=config, mcp_config=mcp_config)
    for server_id in ids or ():
        check_server(settings, server_id)
    synced = anyio.run(_sync, settings, frozenset(ids or ()))
    statuses = [one.status for one in synced]
    if as_json:
        print_json([{**_as_json(one.status), "changed": list(one.changed)} for one in synced])
    else:
        rows = [[s.status.id, s.status.status, *_counts(s.status), ", ".join(s.changed) or "nothing"] for s in synced]
        print_table(rows, headings=["ID", "STATUS", "TOOLS", "PROMPTS", "RESOURCES", "CHANGED"])
        _explain(statuses)
    raise typer.Exit(exit_code(statuses))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Synced:
    """How a server is after it was listed, and which of its lists are not what was kept before."""

    status: ServerStatus
    changed: tuple[str, ...]


async def _statuses(config: Config) -> tuple[ServerStatus, ...]:
    async with opened(config) as portal:
        return portal.fleet.status()


async def _sync(config: Config, ids: frozenset[str]) -> list[_Synced]:
    chosen = [server for server in config.servers if not ids or server.id in ids]
    changed: dict[str, set[str]] = {server.id: set() for server in chosen}

    def on_change(server_id: str, changes: frozenset[Change]) -> None:
        changed[server_id].update(changes - {"status"})

    store = Store(config.store_url, retention=config.retention, secrets=config.stored_secrets())
    with redacted_logs(Redactor(config.secrets())):
        async with store:
            kept = KeptOffers(store.catalogs)
            fleet = Fleet(chosen, on_change=on_change, keep=kept.keep)
            fleet.restore(await kept.load(chosen))
            async with fleet:
                await fleet.sync()
                return [_Synced(status=s, changed=tuple(sorted(changed[s.id]))) for s in fleet.status()]


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
    return time.strftime("%H:%M:%S", time.localtime(moment))


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

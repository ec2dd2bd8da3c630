"""``portico portals``: what each configured portal offers, and who may call it."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import typer

from portal._config import Config
from portal.cli._options import AsJson, ConfigPath, Debug, McpConfigPath  # noqa: TC001 -- typer reads them
from portal.cli._output import note, print_json, print_table, start_logging
from portal.cli._session import behind, exit_code, faults, opened

if TYPE_CHECKING:
    from portal._config import PortalConfig
    from portal._portal import Portal
    from portal.server import ListedTool
    from portal.upstream import ServerStatus
    from typegen import JsonObject

_KINDS = ("allow", "ask_in_programs", "ask", "deny")


def portals(
    *,
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Print each portal's address, servers and tools by permission.

    Connects to each server. Exits with 2 when a server's configuration has to change, with 1 when one does not answer.
    """
    start_logging(is_debug=debug, level=logging.CRITICAL)
    settings = Config.from_env(config=config, mcp_config=mcp_config)
    offered, statuses = anyio.run(_offered, settings)
    statuses = behind(statuses, settings.portals)
    if as_json:
        print_json([_as_json(one, settings) for one in offered])
    else:
        rows = [_row(one) for one in offered]
        headings = ["ID", "PATH", "CODE MODE", "ALLOW", "ASK IN PROGRAMS", "ASK", "DENY", "SERVERS"]
        print_table(rows, headings=headings)
    for remark in dict.fromkeys(remark for one in offered for remark in one.remarks):
        note(remark)
    for fault in faults(statuses):
        note(f"without {fault}")
    raise typer.Exit(exit_code(statuses))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offered:
    """A portal, and the number of its servers' tools by server id and permission."""

    portal: PortalConfig
    counts: dict[str, Counter[str]]
    remarks: tuple[str, ...]

    @property
    def total(self) -> Counter[str]:
        return sum(self.counts.values(), start=Counter())


async def _offered(config: Config) -> tuple[list[_Offered], tuple[ServerStatus, ...]]:
    async with opened(config) as home:
        return [_offered_by(portal, home) for portal in config.portals], home.fleet.status()


def _offered_by(portal: PortalConfig, home: Portal) -> _Offered:
    listing = home.listing(portal.id)
    counts: dict[str, Counter[str]] = {server_id: Counter() for server_id in listing.server_ids}
    for tool in listing.tools.values():
        if tool.entry.server_id in counts:
            counts[tool.entry.server_id][_permission(tool)] += 1
    for server_id, counted in counts.items():
        counted["deny"] = len(home.fleet.listing(server_id).tools) - counted.total()
    return _Offered(portal=portal, counts=counts, remarks=listing.remarks)


def _permission(tool: ListedTool) -> str:
    if tool.permission(in_program=False) == "ask":
        return "ask"
    return "ask_in_programs" if tool.permission(in_program=True) == "ask" else "allow"


def _row(one: _Offered) -> list[str]:
    counts = [str(one.total[kind]) for kind in _KINDS]
    return [one.portal.id, one.portal.path, one.portal.code_mode, *counts, ", ".join(one.counts) or "-"]


def _as_json(one: _Offered, config: Config) -> JsonObject:
    return {
        "id": one.portal.id,
        "path": one.portal.path,
        "url": config.endpoint(one.portal.id),
        "code_mode": one.portal.code_mode,
        "servers": [
            {"id": server_id, "tools": {kind: counted[kind] for kind in _KINDS}}
            for server_id, counted in one.counts.items()
        ],
        "remarks": list(one.remarks),
    }

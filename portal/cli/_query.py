"""``portico query``: find tools, and print what an agent would get."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, cast, get_args

import anyio
import typer

from engine import CallError, Detail
from portal._config import DEFAULT_PORTAL, Config
from portal._suggestion import listing
from portal.cli._failures import UsageError
from portal.cli._options import AsJson, ConfigPath, Debug, McpConfigPath, PortalId, check_portal
from portal.cli._output import note, print_json, print_text, start_logging
from portal.cli._session import behind, exit_code, faults, opened

if TYPE_CHECKING:
    from portal.upstream import ServerStatus


def query(
    text: Annotated[str, typer.Argument(metavar="QUERY", help='What is needed, as in "create issue"; or /regex/.')],
    *,
    server: Annotated[str | None, typer.Option("--server", metavar="ID", help="Only this server's tools.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many tools.")] = None,
    detail: Annotated[
        str, typer.Option("--detail", metavar="LEVEL", help="How much of each: names, types or schemas.")
    ] = "types",
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    portal: PortalId = DEFAULT_PORTAL,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Find tools and print what an agent gets.

    Exits with 2 when a server's configuration has to change, with 1 when one does not answer.
    """
    start_logging(is_debug=debug, level=logging.CRITICAL)
    settings = Config.from_env(config=config, mcp_config=mcp_config)
    check_portal(settings, portal)
    if detail not in get_args(Detail):
        raise UsageError(f'--detail "{detail}" is not one of {listing(get_args(Detail))}.')

    async def ask() -> tuple[str, tuple[ServerStatus, ...]]:
        async with opened(settings) as home:
            try:
                answer = home.engine.query(
                    text,
                    catalog=home.catalog(portal),
                    server=server,
                    limit=limit,
                    detail=cast("Detail", detail),
                )
            except CallError as error:  # an unknown server, a bad pattern: what an agent is told too
                raise UsageError(error.message) from None
            return answer, home.fleet.status()

    answer, statuses = anyio.run(ask)
    if as_json:
        print_json({"query": text, "text": answer})
    else:
        print_text(answer)
    statuses = behind(statuses, [settings.portal(portal)])
    for fault in faults(statuses):
        note(f"without {fault}")
    raise typer.Exit(exit_code(statuses))

"""``portico connect``: what to paste into a client."""

from __future__ import annotations

from typing import Annotated

import typer

from portal._config import DEFAULT_PORTAL, Config
from portal._suggestion import listing, nearest
from portal.cli._clients import ALIASES, CLIENTS, Target, snippet_for
from portal.cli._failures import UsageError
from portal.cli._options import (
    AsJson,
    ConfigPath,
    Debug,
    Host,
    McpConfigPath,
    Port,
    PortalId,
    check_portal,
)
from portal.cli._output import print_json


def connect(
    client: Annotated[str | None, typer.Argument(metavar="CLIENT", help=f"One of: {', '.join(CLIENTS)}.")] = None,
    *,
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    portal: PortalId = DEFAULT_PORTAL,
    host: Host = None,
    port: Port = None,
    as_json: AsJson = False,
    debug: Debug = False,  # noqa: ARG001 -- main reads it
) -> None:
    """Print what to paste into an MCP client.

    The client then uses this portal in code mode. Without CLIENT, the known clients are listed.
    """
    if client is None:
        if as_json:
            print_json({"clients": [*CLIENTS]})
        else:
            typer.echo("\n".join(CLIENTS))
        return
    _check_client(client)
    settings = Config.from_env(config=config, mcp_config=mcp_config, host=host, port=port)
    check_portal(settings, portal)
    target = Target(url=settings.endpoint(portal), needs_token=settings.token is not None)
    snippet = snippet_for(client, target)
    if as_json:
        print_json({"url": target.url, "place": snippet.place, "text": snippet.text, "notes": [*snippet.notes]})
        return
    typer.echo(f"Put this {snippet.place}:", err=True)
    typer.echo(snippet.text)
    for line in snippet.notes:
        typer.echo(line, err=True)


def _check_client(client: str) -> None:
    if client not in CLIENTS and client not in ALIASES:
        near = nearest(client, [*CLIENTS, *ALIASES])
        hint = f'did you mean "{near}"?' if near else f"known: {listing(CLIENTS)}."
        raise UsageError(f'there are no instructions for a client named "{client}": {hint}')

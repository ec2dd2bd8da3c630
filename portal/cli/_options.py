"""The options that commands share, as annotated types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from portal._suggestion import listing, nearest
from portal.cli._failures import UsageError

if TYPE_CHECKING:
    from portal._config import Config

ConfigPath: TypeAlias = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="The configuration, a portico.yaml.")
]
McpConfigPath: TypeAlias = Annotated[
    Path | None,
    typer.Option("--mcp-config", metavar="FILE", help="The JSON of an MCP client (Claude, Cursor, VS Code)."),
]
PortalId: TypeAlias = Annotated[str, typer.Option("--portal", metavar="ID", help="The portal of the configuration.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Debug: TypeAlias = Annotated[bool, typer.Option("--debug", help="Log in detail, and show tracebacks.")]
Host: TypeAlias = Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="The address to listen on.")]
Port: TypeAlias = Annotated[
    int | None, typer.Option("--port", "-p", min=0, max=65_535, help="The port to listen on; 0 takes a free one.")
]


def check_portal(config: Config, portal_id: str) -> None:
    """Raise ``UsageError`` unless ``config`` has this portal."""
    known = [portal.id for portal in config.portals]
    if portal_id not in known:
        near = nearest(portal_id, known)
        hint = f'did you mean "{near}"?' if near else f"configured: {listing(known)}."
        raise UsageError(f'no portal has the id "{portal_id}": {hint}')


def check_server(config: Config, server_id: str) -> None:
    """Raise ``UsageError`` unless ``config`` has this server."""
    known = [server.id for server in config.servers]
    if server_id not in known:
        near = nearest(server_id, known)
        hint = f'did you mean "{near}"?' if near else f"configured: {listing(known)}."
        raise UsageError(f'no server has the id "{server_id}": {hint}')

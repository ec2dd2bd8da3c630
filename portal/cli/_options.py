"""The options that commands share, as annotated types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

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

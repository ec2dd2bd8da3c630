"""``portico import``: an MCP client's configuration file as a portico.yaml."""

from __future__ import annotations

import logging
import os
from pathlib import Path  # noqa: TC003 -- typer reads it
from typing import Annotated

import typer

from portal._client_import import import_client_config
from portal.cli._failures import UsageError
from portal.cli._options import AsJson, Debug  # noqa: TC001 -- typer reads them
from portal.cli._output import note, print_json, start_logging


def import_config(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The JSON of an MCP client (Claude, Cursor, VS Code).")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it here instead of printing it.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Turn an MCP client's file into a portico.yaml.

    Credentials are replaced by ${VARIABLES}, and it says which to set; their values are neither printed nor written.
    """
    start_logging(is_debug=debug, level=logging.INFO)
    imported = import_client_config(file, os.environ)
    if output is not None:
        _write(output, imported.text)
        note(f"wrote {output}")
    if as_json:
        print_json(
            {
                "yaml": imported.text,
                "variables": [
                    {
                        "name": variable.name,
                        "server": variable.server,
                        "place": variable.place,
                        "was_written": variable.was_written,
                    }
                    for variable in imported.variables
                ],
            }
        )
    elif output is None:
        typer.echo(imported.text, nl=False)
    for variable in imported.variables:
        if variable.was_written:
            note(f"set {variable.name} to the {variable.place} of {variable.server} in {file}")


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:  # never over a configuration that is there
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists: remove it first, or choose another --output.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from None

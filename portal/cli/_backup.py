"""``portico backup``: copy the store to a file while it is in use."""

from __future__ import annotations

import logging
import sys
from pathlib import Path  # noqa: TC003 -- typer reads it
from typing import Annotated

import typer

from portal._config import Config
from portal.cli._failures import UsageError
from portal.cli._options import AsJson, ConfigPath, Debug, McpConfigPath  # noqa: TC001 -- typer reads them
from portal.cli._output import print_json, start_logging
from portal.store import copy_sqlite


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to make.")],
    *,
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Copy the store to a file while it is in use.

    The copy of a SQLite store is complete and checked. To restore it, stop the portals and put the copy in the
    store's place. For PostgreSQL use pg_dump.
    """
    start_logging(is_debug=debug, level=logging.WARNING)
    store = Config.from_env(config=config, mcp_config=mcp_config).store_url
    if store.path is None:
        raise UsageError(f"the store is PostgreSQL: use pg_dump --format=custom --file={file} {store}")
    if not store.path.exists():
        raise UsageError(f"the store {store} is not there yet: it is made when a portal starts.")
    try:
        copy_sqlite(store.path, file, _show_progress if sys.stderr.isatty() else None)
    except FileExistsError:
        raise UsageError(f"{file} exists: name a new file.") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.") from None
    size = file.stat().st_size
    if as_json:
        print_json({"store": str(store), "file": str(file), "bytes": size})
    else:
        typer.echo(f"Copied the store {store} to {file} ({size / 2**20:.1f} MiB).")


def _show_progress(share: float) -> None:
    typer.echo(f"\r{share:4.0%}" + ("\n" if share >= 1 else ""), nl=False, err=True)

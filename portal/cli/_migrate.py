"""``portico migrate``: bring the store to the schema of this version."""

from __future__ import annotations

import logging

import anyio
import typer

from portal._config import Config
from portal.cli._options import AsJson, ConfigPath, Debug, McpConfigPath  # noqa: TC001 -- typer reads them
from portal.cli._output import print_json, start_logging
from portal.store import migrate as migrate_store


def migrate(
    *,
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Bring the store to the schema of this version.

    Starting a portal does the same. A store that is not there yet is made; a SQLite store is copied beside itself
    first. One of a newer version is refused.
    """
    start_logging(is_debug=debug, level=logging.WARNING)
    store = Config.from_env(config=config, mcp_config=mcp_config).store_url
    done = anyio.run(migrate_store, store)
    if as_json:
        backup = str(done.backup) if done.backup is not None else None
        print_json({"store": str(store), "before": done.before, "after": done.after, "backup": backup})
    elif done.before is None:
        typer.echo(f"Made the store {store} with schema {done.after}.")
    elif done.before == done.after:
        typer.echo(f"The store {store} has schema {done.after}: nothing to do.")
    else:
        copy = f" It was copied to {done.backup} first." if done.backup is not None else ""
        typer.echo(f"Brought the store {store} from schema {done.before} to {done.after}.{copy}")

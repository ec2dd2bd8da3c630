"""``portico serve``: run the portal until it is told to stop."""

from __future__ import annotations

import json
import logging
import resource
import sys
from typing import TYPE_CHECKING, Final

import anyio
import typer

from portal._config import Config
from portal._portal import serve as serve_portal
from portal.cli._collector import spare_collector
from portal.cli._failures import discard
from portal.cli._options import AsJson, ConfigPath, Debug, Host, McpConfigPath, Port  # noqa: TC001 -- typer reads them
from portal.cli._output import plural, start_logging

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("portico.portal")

MAX_OPEN_FILES: Final = 2**16


def serve(
    *,
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    host: Host = None,
    port: Port = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Serve the configured servers, or the built-in demo.

    When it accepts connections it prints the addresses to give to clients; with --json, as one line of JSON.
    """
    settings = Config.from_env(config=config, mcp_config=mcp_config, host=host, port=port)
    start_logging(is_debug=debug, level=logging.INFO, serves=True)
    _allow_open_files()

    async def run() -> None:
        await serve_portal(settings, on_ready=_announcer(settings, as_json=as_json))

    anyio.run(run, backend_options={"use_uvloop": True})


def _allow_open_files() -> None:
    """Raise this process's own bound on open files: each connection is one, and many a system begins at 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if resource.RLIM_INFINITY != soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _announcer(config: Config, *, as_json: bool) -> Callable[[str], None]:
    def announce(origin: str) -> None:
        spare_collector()
        try:
            typer.echo(_addresses(config, origin, as_json=as_json))
        except OSError as error:
            logger.warning("the addresses could not be printed (%s); serving all the same", error.strerror)
            discard(sys.stdout)

    return announce


def _addresses(config: Config, origin: str, *, as_json: bool) -> str:
    enabled = [server.id for server in config.servers if server.enabled]
    urls = {portal.id: f"{origin}{portal.path}?codemode=search_and_execute" for portal in config.portals}
    if as_json:
        return json.dumps({"origin": origin, "portals": urls, "servers": enabled})
    return "\n".join(
        [
            f"Portico serves {plural(len(enabled), 'server')} ({', '.join(enabled)}) in code mode at",
            *(f"  {url}" + (f"  (portal {portal_id})" if len(urls) > 1 else "") for portal_id, url in urls.items()),
            "To connect a client: portico connect claude-code, cursor, vscode, claude, codex, inspector ...",
        ]
    )

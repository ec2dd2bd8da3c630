"""``portico stdio``: the portal for one client, over the standard streams of this process."""

from __future__ import annotations

import logging
import re
import signal
from typing import TYPE_CHECKING, Annotated, Final

import anyio
import typer

from portal._config import DEFAULT_PORTAL, Config
from portal._portal import serve_stdio
from portal._signals import end_signals
from portal.cli._failures import UsageError
from portal.cli._options import ConfigPath, Debug, McpConfigPath, PortalId, check_portal
from portal.cli._output import start_logging
from portal.server import BadQuery, view_of

if TYPE_CHECKING:
    from portal._config import CodeMode

_OPTION: Final = re.compile(r"\??\b(codemode|optimize_context|access)\b(=?)")


def stdio(
    *,
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    portal: PortalId = DEFAULT_PORTAL,
    codemode: Annotated[
        str | None, typer.Option("--codemode", metavar="MODE", help="search_and_execute, or off.")
    ] = None,
    optimize_context: Annotated[
        str | None,
        typer.Option("--optimize-context", metavar="MODE", help="minimize_tools, or search_and_execute."),
    ] = None,
    access: Annotated[
        str | None, typer.Option("--access", metavar="KIND", help="read: only tools that change nothing.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Serve one client over stdin and stdout, until it closes stdin.

    The modes are those of the address of `portico serve`. Logs go to stderr.
    """
    settings = Config.from_env(config=config, mcp_config=mcp_config)
    check_portal(settings, portal)
    start_logging(is_debug=debug, level=logging.WARNING, serves=True)
    asked = {"codemode": codemode, "optimize_context": optimize_context, "access": access}
    policy: CodeMode = next(each.code_mode for each in settings.portals if each.id == portal)
    try:
        view = view_of([(name, value) for name, value in asked.items() if value is not None], policy)
    except BadQuery as mistake:
        raise UsageError(_as_flags(str(mistake))) from None

    async def run() -> None:
        # Around everything, so that a second one does not end the process before the portal has closed its servers.
        with anyio.open_signal_receiver(*end_signals()) as ends:
            async with anyio.create_task_group() as tasks:

                async def stop_on_end() -> None:
                    async for _ in ends:
                        tasks.cancel_scope.cancel()

                async def stop_on_interrupt() -> None:
                    with anyio.open_signal_receiver(signal.SIGINT) as interrupts:
                        async for _ in interrupts:
                            tasks.cancel_scope.cancel()

                tasks.start_soon(stop_on_end)
                tasks.start_soon(stop_on_interrupt)
                await serve_stdio(settings, portal_id=portal, view=view)
                tasks.cancel_scope.cancel()

    anyio.run(run, backend_options={"use_uvloop": True})


def _as_flags(message: str) -> str:
    """Name the options as the command line does."""
    return _OPTION.sub(lambda found: f"--{found[1].replace('_', '-')}{' ' if found[2] else ''}", message)

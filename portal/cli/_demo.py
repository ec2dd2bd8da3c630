"""``portico demo``: one program over three servers, shown, measured, and then left to try."""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from portal.cli._clients import CLIENTS, Target, snippet_for
from portal.cli._options import AsJson, Debug, Port  # noqa: TC001 -- typer reads them
from portal.cli._output import note, start_logging
from portal.showcase import is_repository, run_demo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portal._config import Config

_SHOWN: Final = {
    "claude-code": "Claude Code",
    "claude": "Claude Desktop",
    "cursor": "Cursor",
    "vscode": "VS Code",
    "inspector": "MCP Inspector",
}


def demo(
    *,
    repository: Annotated[
        Path,
        typer.Option("--repository", metavar="FOLDER", help="The Git repository to read; this folder if not given."),
    ] = Path(),
    once: Annotated[bool, typer.Option("--once", help="Stop after the showing instead of serving on.")] = False,
    port: Port = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show one program over three servers, and serve on.

    The built-in tracker, Git on a repository and the time of day work together in one program, beside the same job by
    direct tool calls: what came back, the calls, the time and the tokens of each.
    """
    start_logging(is_debug=debug, level=logging.ERROR, serves=True)
    folder = repository.absolute()
    if folder.is_dir() and not is_repository(folder):
        note(f"{folder} is no Git repository, so that there are no commits to show: name one with --repository")
    run_demo(repository=folder, port=port, once=once, as_json=as_json, snippets=_snippets)


def _snippets(config: Config) -> Iterator[tuple[str, str, str]]:
    target = Target(url=config.endpoint(), needs_token=config.token is not None)
    for client, name in _SHOWN.items():
        snippet = snippet_for(client, target)
        yield name, snippet.place, snippet.text
    others = ", ".join(client for client in CLIENTS if client not in _SHOWN)
    # By the path that this very command was started by: `make run` leaves the environment's folder out of the PATH.
    yield f"Others ({others})", "in a terminal", f"{shlex.quote(sys.argv[0])} connect CLIENT --port {config.port}"

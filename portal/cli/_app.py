"""The commands by name, and the way in from the shell."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Final

import typer

from portal._signals import ignore_sync_signal
from portal.cli._failures import reported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class _Command:
    """``function`` in ``portal.cli.<module>``; ``summary`` is the first line of its docstring.

    ``actions`` are functions there that may follow the command's name, under their own.
    """

    module: str
    function: str
    summary: str
    actions: tuple[str, ...] = ()


COMMANDS: Final = {
    "demo": _Command("_demo", "demo", "Show one program over three servers, and serve on."),
    "serve": _Command("_serve", "serve", "Serve the configured servers, or the built-in demo."),
    "stdio": _Command("_stdio", "stdio", "Serve one client over stdin and stdout, until it closes stdin."),
    "connect": _Command("_connect", "connect", "Print what to paste into an MCP client."),
    "exec": _Command("_exec", "exec_program", "Run one program and print what an agent gets."),
    "query": _Command("_query", "query", "Find tools and print what an agent gets."),
    "types": _Command("_types", "types", "Print the TypeScript declarations of all tools."),
    "context": _Command("_context", "context", "Count what tools cost in context, in each mode."),
    "import": _Command("_import", "import_config", "Turn an MCP client's file into a portico.yaml."),
    "servers": _Command("_servers", "servers", "Print how each server is.", actions=("sync",)),
    "portals": _Command("_portals", "portals", "Print each portal's address, servers and tools by permission."),
    "runs": _Command("_runs", "runs", "Print the programs that were run, newest first."),
    "logs": _Command("_logs", "logs", "Print the calls of tools, newest first."),
    "migrate": _Command("_migrate", "migrate", "Bring the store to the schema of this version."),
    "backup": _Command("_backup", "backup", "Copy the store to a file while it is in use."),
    "doctor": _Command("_doctor", "doctor", "Check this machine, the sandbox and each server."),
}


def main() -> None:
    """Run the command line of this process: 0 for success, 1 for a failed operation, 2 for bad input."""
    _open_standard_streams()
    ignore_sync_signal()
    arguments = sys.argv[1:]
    with reported(shows_traceback="--debug" in arguments):
        command_line(arguments)(arguments, prog_name="portico")


def _open_standard_streams() -> None:
    """Give each standard stream that is closed the null device, so that no socket gets its number.

    A child would have that as its standard stream, and libuv ends the process in place of closing such a number.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            taken = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
            os.set_inheritable(taken, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 -- until the end


def command_line(arguments: Sequence[str]) -> typer.Typer:
    """The application for these arguments.

    Only the command that they name is imported: the engine and the MCP SDK take longer than listing the commands.
    """
    app = typer.Typer(
        name="portico",
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_portico)
    named = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, command in COMMANDS.items():
        if name != named:
            app.command(name, short_help=command.summary)(_listed)
        elif command.actions:
            app.add_typer(_group(command), name=name, short_help=command.summary)
        else:
            app.command(name, short_help=command.summary)(_function(command, command.function))
    return app


def _group(command: _Command) -> typer.Typer:
    group = typer.Typer()
    group.callback(invoke_without_command=True)(_function(command, command.function))
    for action in command.actions:
        group.command(action)(_function(command, action))
    return group


def _function(command: _Command, name: str) -> Callable[..., None]:
    function: Callable[..., None] = getattr(import_module(f"portal.cli.{command.module}"), name)
    return function


def _listed() -> None:
    """Stand for a command that is listed only."""


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from portal._version import VERSION  # noqa: PLC0415 -- reads the installed metadata

        typer.echo(f"portico {VERSION}")
        raise typer.Exit


def _portico(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Many MCP servers behind one endpoint, with code mode."""

"""``portico exec``: run one program, and print what an agent would get."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from engine import Catalog, Engine, UpstreamError
from portal._config import DEFAULT_PORTAL, Config
from portal._text_file import read_text_file
from portal.cli._failures import BAD_INPUT, FAILED, UsageError
from portal.cli._options import (
    AsJson,
    ConfigPath,
    Debug,
    McpConfigPath,
    PortalId,
    check_portal,
)
from portal.cli._output import note, print_json, print_text, start_logging
from sandbox import Sandbox, SandboxConfig

if TYPE_CHECKING:
    from engine import Answer, ToolCall
    from typegen import JsonObject


def exec_program(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The program; @FILE reads a file, - reads stdin.")],
    *,
    config: ConfigPath = None,
    mcp_config: McpConfigPath = None,
    demo: Annotated[bool, typer.Option("--demo", help="Use the tools of the built-in demo.")] = False,
    portal: PortalId = DEFAULT_PORTAL,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="TOOL", help="Call this tool without asking, as in files_move; repeatable."),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run one program and print what an agent gets.

    It has no tools, unless a configuration or --demo gives it some; for those that need your word it asks on the
    terminal. Exits with 1 when the program fails, with 2 when it is not JavaScript.
    """
    start_logging(is_debug=debug, level=logging.CRITICAL)
    source = _source(code)
    if demo and (config is not None or mcp_config is not None):
        raise UsageError("--demo excludes --config and --mcp-config: choose one.")
    if demo or config is not None or mcp_config is not None:
        settings = Config.from_env(config=config, mcp_config=mcp_config)
        check_portal(settings, portal)
        answer = anyio.run(_run_with_tools, source, settings, portal, allow or [])
    else:
        answer = anyio.run(_run_alone, source)
    if as_json:
        print_json(_as_json(answer))
    else:
        print_text(answer.text)
    if answer.is_error:
        is_unreadable = answer.run.status == "SyntaxError" and not answer.run.calls
        raise typer.Exit(BAD_INPUT if is_unreadable else FAILED)


def _source(code: str) -> str:
    if code == "-":
        try:
            code = sys.stdin.buffer.read().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UsageError("the program on stdin is not UTF-8 text.") from None
    elif code.startswith("@"):
        code = read_text_file(Path(code[1:]), noun="the program")
    if not code.strip():
        raise UsageError("the program is empty: give it as CODE, as @FILE, or as - for stdin.")
    return code


async def _run_alone(source: str) -> Answer:
    async def no_tools(call: ToolCall) -> JsonObject:
        raise UpstreamError("there are no tools here", server=call.entry.server_id, tool=call.entry.name)

    async with Sandbox(SandboxConfig(workers=1)) as sandbox, Engine(sandbox) as engine:
        return await engine.code(source, catalog=Catalog.build(()), invoker=no_tools)


async def _run_with_tools(source: str, config: Config, portal_id: str, allow: list[str]) -> Answer:
    from portal.cli._session import behind, faults, opened  # noqa: PLC0415 -- the SDK and the HTTP stack, not needed alone
    from portal.cli._terminal import TerminalConversation  # noqa: PLC0415 -- as above
    from portal.server import LOCAL_USER  # noqa: PLC0415 -- as above

    async with Sandbox(SandboxConfig(workers=1)) as sandbox, opened(config, sandbox=sandbox) as portal:
        for fault in faults(behind(portal.fleet.status(), [config.portal(portal_id)])):
            note(f"without {fault}")
        catalog = portal.catalog(portal_id)
        return await portal.engine.code(
            source,
            catalog=catalog,
            invoker=portal.invoker(
                portal_id, conversation=TerminalConversation(), allowed=_identifiers(allow, catalog)
            ),
            on_end=lambda run: portal.recorder.write_run(run.as_json(), user=LOCAL_USER, portal=portal_id),
        )


def _identifiers(names: list[str], catalog: Catalog) -> frozenset[str]:
    """Return the tools that are meant. Raises ``UsageError`` for one that there is not."""
    found: set[str] = set()
    for name in names:
        entry = catalog.find(name)
        if entry is None:
            near = catalog.nearest(name)
            hint = f"did you mean {near[0]}?" if near else "portico query lists what there is."
            raise UsageError(f"--allow {name}: there is no such tool; {hint}")
        found.add(entry.identifier)
    return frozenset(found)


def _as_json(answer: Answer) -> JsonObject:
    return {
        "text": answer.text,
        "is_error": answer.is_error,
        "blocks": [*answer.blocks[1:]],
        "run": answer.run.as_json(),
    }

"""What to paste into each MCP client, so that it uses a portal in code mode.

The token itself is never written: each client reads ``PORTICO_TOKEN`` in its own way, or asks for it.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from typegen import JsonObject

NAME: Final = "portico"
TOKEN_VARIABLE: Final = "PORTICO_TOKEN"  # noqa: S105 -- the variable's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The address to connect to, and whether it asks for the token."""

    url: str
    needs_token: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """``text`` goes, exactly as it is, where ``place`` says; ``notes`` are for the person."""

    place: str
    text: str
    notes: tuple[str, ...] = ()


def _json(value: JsonObject) -> str:
    return json.dumps(value, indent=2)


def _bearer(target: Target, reference: str) -> JsonObject:
    return {"headers": {"Authorization": f"Bearer {reference}"}} if target.needs_token else {}


def _shell_header(target: Target, option: str) -> str:
    # Double quotes, so that the shell puts the token in: it is nowhere in what is printed.
    return f' {option} "Authorization: Bearer ${TOKEN_VARIABLE}"' if target.needs_token else ""


def _claude_code(target: Target) -> Snippet:
    url = shlex.quote(target.url)
    header = _shell_header(target, "--header")
    return Snippet(
        place="in a terminal",
        text=f"claude mcp add --transport http {NAME} {url}{header}",
        notes=("With --scope user it is there in every project, with --scope project in the project's .mcp.json.",),
    )


def _claude_desktop(target: Target) -> Snippet:
    notes = ["Settings > Developer > Edit Config opens the file. Restart Claude afterwards; it needs Node.js for npx."]
    if target.url.startswith("https://") and not target.needs_token:
        notes.append("Or, with no file: Settings > Connectors > Add custom connector, with the address above.")
    return Snippet(
        place="in claude_desktop_config.json",
        text=_json({"mcpServers": {NAME: _remote_entry(target)}}),
        notes=tuple(notes),
    )


def _remote_entry(target: Target) -> JsonObject:
    entry: JsonObject = {"command": "npx", "args": ["-y", *_remote_arguments(target)]}
    if target.needs_token:
        # No blank inside an argument: Claude on Windows and Cursor do not quote them for npx (mcp-remote's README).
        entry["env"] = {"AUTH_HEADER": f"Bearer <the value of {TOKEN_VARIABLE}>"}
    return entry


def _remote_arguments(target: Target) -> list[str]:
    arguments = ["mcp-remote", target.url, "--transport", "http-only"]
    if target.url.startswith("http://"):
        arguments.append("--allow-http")
    return [*arguments, *(["--header", "Authorization:${AUTH_HEADER}"] if target.needs_token else [])]


def _cursor(target: Target) -> Snippet:
    entry: JsonObject = {"url": target.url, **_bearer(target, f"${{env:{TOKEN_VARIABLE}}}")}
    return Snippet(
        place="in ~/.cursor/mcp.json, or .cursor/mcp.json of a project",
        text=_json({"mcpServers": {NAME: entry}}),
        notes=(f"Start Cursor from a shell where {TOKEN_VARIABLE} is set.",) if target.needs_token else (),
    )


def _vscode(target: Target) -> Snippet:
    entry: JsonObject = {"type": "http", "url": target.url, **_bearer(target, "${input:portico-token}")}
    content: JsonObject = {"servers": {NAME: entry}}
    if target.needs_token:
        question: JsonObject = {"type": "promptString", "id": "portico-token", "password": True}
        content["inputs"] = [{**question, "description": f"The portal's token ({TOKEN_VARIABLE})"}]
    return Snippet(
        place="in .vscode/mcp.json, or in what the command MCP: Open User Configuration opens", text=_json(content)
    )


def _codex(target: Target) -> Snippet:
    lines = [f"[mcp_servers.{NAME}]", f"url = {json.dumps(target.url)}"]
    if target.needs_token:
        lines.append(f'bearer_token_env_var = "{TOKEN_VARIABLE}"')
    return Snippet(place="in ~/.codex/config.toml", text="\n".join(lines))


def _gemini(target: Target) -> Snippet:
    entry: JsonObject = {"httpUrl": target.url, **_bearer(target, f"${TOKEN_VARIABLE}")}
    return Snippet(place="in ~/.gemini/settings.json", text=_json({"mcpServers": {NAME: entry}}))


def _windsurf(target: Target) -> Snippet:
    entry: JsonObject = {"serverUrl": target.url, **_bearer(target, f"${{env:{TOKEN_VARIABLE}}}")}
    return Snippet(place="in ~/.codeium/windsurf/mcp_config.json", text=_json({"mcpServers": {NAME: entry}}))


def _zed(target: Target) -> Snippet:
    entry: JsonObject = {"url": target.url, **_bearer(target, f"<the value of {TOKEN_VARIABLE}>")}
    return Snippet(place="in Zed's settings (zed: open settings file)", text=_json({"context_servers": {NAME: entry}}))


def _inspector(target: Target) -> Snippet:
    url = shlex.quote(target.url)
    header = _shell_header(target, "--header")
    return Snippet(
        place="in a terminal",
        text=f"npx -y @modelcontextprotocol/inspector --cli {url} --transport http{header} --method tools/list",
        notes=("Without --cli it opens in the browser: choose Streamable HTTP and give it the address above.",),
    )


def _mcp_remote(target: Target) -> Snippet:
    command = shlex.join(["npx", "-y", *_remote_arguments(target)])
    prefix = f'AUTH_HEADER="Bearer ${TOKEN_VARIABLE}" ' if target.needs_token else ""
    return Snippet(
        place="as the command of any client that speaks only stdio",
        text=prefix + command,
    )


def _python(target: Target) -> Snippet:
    if not target.needs_token:
        return Snippet(place="in a program, with the package mcp 2", text=_PYTHON.format(url=target.url))
    return Snippet(
        place="in a program, with the package mcp 2",
        text=_PYTHON_SIGNED_IN.format(url=target.url, variable=TOKEN_VARIABLE),
    )


_PYTHON: Final = """\
import anyio
from mcp import Client


async def main() -> None:
    async with Client("{url}") as client:
        result = await client.call_tool("code", {{"code": "codemode.servers()"}})
        print(result.content[0].text)


anyio.run(main)"""
_PYTHON_SIGNED_IN: Final = """\
import os

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

headers = {{"Authorization": f"Bearer {{os.environ['{variable}']}}"}}


async def main() -> None:
    async with (
        httpx2.AsyncClient(headers=headers, timeout=300) as http,
        Client(streamable_http_client("{url}", http_client=http)) as client,
    ):
        result = await client.call_tool("code", {{"code": "codemode.servers()"}})
        print(result.content[0].text)


anyio.run(main)"""

CLIENTS: Final[dict[str, Callable[[Target], Snippet]]] = {
    "claude": _claude_desktop,
    "claude-code": _claude_code,
    "codex": _codex,
    "cursor": _cursor,
    "gemini": _gemini,
    "inspector": _inspector,
    "mcp-remote": _mcp_remote,
    "python": _python,
    "vscode": _vscode,
    "windsurf": _windsurf,
    "zed": _zed,
}
ALIASES: Final = {
    "claude-desktop": "claude",
    "code": "vscode",
    "copilot": "vscode",
    "gemini-cli": "gemini",
    "vs-code": "vscode",
}


def snippet_for(client: str, target: Target) -> Snippet:
    """What to paste into ``client``. Raises ``KeyError`` for a name that is not in ``CLIENTS`` or ``ALIASES``."""
    return CLIENTS[ALIASES.get(client, client)](target)

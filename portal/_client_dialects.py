"""The JSON that MCP clients keep their servers in, as a ``Config``: the dialects of Claude, Cursor and VS Code.

Claude (Desktop and Code) and Cursor write ``{"mcpServers": {name: {...}}}``, VS Code ``{"servers": {name: {...}},
"inputs": [...]}``, where the workspace's settings file has the same under ``mcp``. A server has either ``command``,
``args``, ``env`` and ``cwd``, or ``url`` and ``headers``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portal._config import Config
from portal._config_file import process_settings
from portal._errors import ConfigError
from portal._expand import Expander
from portal._jsonc_source import parse_jsonc
from portal._marked import Marked, Section
from portal._server_config import Auth, HeadersAuth, NoAuth, ServerConfig, Transport, slug
from portal._suggestion import listing
from portal._text_file import read_text_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from portal._expand import Dialect

logger = logging.getLogger("portico.config")

_TRANSPORTS: Final[dict[str, Transport]] = {
    "stdio": "stdio",
    "local": "stdio",
    "http": "http",
    "streamable-http": "http",
    "streamable_http": "http",
    "streamableHttp": "http",
    "sse": "sse",
}
# What a client keeps for itself: it says nothing about the server, so that leaving it out changes nothing.
_CLIENT_ONLY: Final = frozenset(
    {
        *(
            "$schema",
            "alwaysAllow",
            "autoApprove",
            "description",
            "dev",
            "gallery",
            "icon",
            "metadata",
            "note",
            "notes",
        ),
        *("oauthScopes", "sampling", "sandboxEnabled", "timeout", "trust", "version"),
    }
)
_HINTS: Final = {
    "envFile": 'put the variables under "env": Portico reads no .env file.',
    "oauth": "signing in to an upstream with OAuth is not available in this version: use headers.",
    "auth": "signing in to an upstream with OAuth is not available in this version: use headers.",
    "headersHelper": 'Portico runs no helper: write the header under "headers", for instance with ${NAME}.',
    "serverUrl": 'write "url".',
    "httpUrl": 'write "url".',
    "transport": 'write "type".',
    "disabledTools": "deny tools in a portico.yaml instead.",
    "excludeTools": "deny tools in a portico.yaml instead.",
    "includeTools": "deny the others in a portico.yaml instead.",
}


def load_mcp_config(path: Path, environ: Mapping[str, str], *, host: str | None, port: int | None) -> Config:
    """Read a client's file; each server becomes an upstream whose id is made from its name."""
    top, servers = read_client_servers(path, environ)
    return top.build(Config, servers=servers, **process_settings(environ, host=host, port=port))


def read_client_servers(
    path: Path, environ: Mapping[str, str], *, resolve: Dialect | None = None
) -> tuple[Section, tuple[ServerConfig, ...]]:
    """Read the servers of a client's file; ``resolve``, where given, is asked first what a reference stands for."""
    if path.suffix.lower() in {".yaml", ".yml"}:
        raise ConfigError("this is YAML, and --mcp-config takes a client's JSON: pass it with --config.", file=path)
    if path.suffix.lower() == ".toml":
        raise ConfigError('TOML is not read: write the servers as JSON, {"mcpServers": {...}}.', file=path)
    text = read_text_file(path, noun="the MCP client's file")
    if not text.strip():
        raise ConfigError('the file is empty: it should hold {"mcpServers": {...}}.', file=path)
    known = _Dialect(file=path, environ=environ).resolve

    def dialect(reference: str, line: int) -> str | None:
        first = resolve(reference, line) if resolve is not None else None
        return known(reference, line) if first is None else first

    expander = Expander(file=path, environ=environ, dialect=dialect)
    top = Section(node=parse_jsonc(text, path), file=path, expander=expander)
    return top, _servers(_server_table(top))


@dataclass(frozen=True, slots=True)
class _Dialect:
    """The references that Cursor and VS Code know beside the shell's."""

    file: Path
    environ: Mapping[str, str]

    def resolve(self, reference: str, line: int) -> str | None:
        """The value of a reference that belongs to an editor; ``None`` for any other."""
        folder = self.file.absolute().parent
        workspace = folder.parent if folder.name in {".vscode", ".cursor"} else folder
        known = {
            "workspaceFolder": str(workspace),
            "workspaceFolderBasename": workspace.name,
            "userHome": self.environ.get("HOME"),
            "pathSeparator": "/",
            "/": "/",
        }
        if reference.startswith("input:"):
            variable = variable_name(reference.removeprefix("input:"))
            message = f"${{{reference}}} is a question that VS Code asks; nobody is asked here: write ${{{variable}}}"
            raise ConfigError(f"{message} and set that variable.", file=self.file, line=line)
        return known.get(reference)


def variable_name(text: str) -> str:
    """Make the name of an environment variable of any text: ``api-key`` is ``API_KEY``."""
    name = "".join(c if c.isascii() and c.isalnum() else "_" for c in text).upper()
    return f"_{name}" if name[:1].isdigit() else name


def _server_table(top: Section) -> Section:
    nested = top.section("mcp") if "mcp" in top.fields else None
    tables = [table for name in ("mcpServers", "servers") if (table := top.section(name)) is not None]
    if nested is not None:
        tables += [table for name in ("mcpServers", "servers") if (table := nested.section(name)) is not None]
    if len(tables) > 1:
        places = listing(f'"{table.place}"' for table in tables)
        raise top.error(f"the file has both {places}: keep one.", tables[1].place)
    if not tables:
        names = listing(f'"{name}"' for name in list(top.fields)[:5])
        bare = top.fields and all(_is_server(item) for item in top.fields.values())
        fix = 'wrap it as {"mcpServers": {...}}.' if bare else f"found {names}; is it the right file?"
        raise top.error(f'the file has neither "mcpServers" (Claude, Cursor) nor "servers" (VS Code): {fix}')
    if not tables[0].fields:
        raise top.error(f'"{tables[0].place}" is empty: add a server, or start without --mcp-config for the demo.')
    return tables[0]


def _is_server(item: Marked) -> bool:
    return isinstance(item.value, dict) and not item.value.keys().isdisjoint({"command", "url"})


def _servers(table: Section) -> tuple[ServerConfig, ...]:
    lines: dict[str, tuple[str, int]] = {}
    servers: list[ServerConfig] = []
    for name in table.fields:
        section = table.section(name)
        if section is None:
            raise table.error(f'"{name}" is empty: give it a command or a url, or remove it.', name)
        server = _server(name, section)
        if server.id in lines:
            first, line = lines[server.id]
            message = f'"{name}" and "{first}" (line {line}) both become the server id "{server.id}": rename one.'
            raise table.error(message, name)
        lines[server.id] = (name, table.line_of(name))
        servers.append(server)
    return tuple(servers)


def _server(name: str, section: Section) -> ServerConfig:
    server_id = slug(name)
    if not server_id:
        raise section.error(f'the name "{name}" has no letter or digit to make an id of: rename it.')
    section.expander.drain()
    fields = {key: section.text(key) for key in ("url", "command", "cwd")}
    transport = _transport(section)
    args, env = section.texts("args"), section.secrets("env")
    headers = section.secrets("headers")
    auth: Auth = section.build(HeadersAuth, headers=headers) if headers else NoAuth()
    display = section.text("name") or name
    is_disabled, is_enabled = section.flag("disabled"), section.flag("enabled")
    ignored = [key for key in section.fields if key in _CLIENT_ONLY and section.take(key) is not None]
    section.finish(hints=_HINTS)
    if ignored:
        place = f"{section.file}:{section.node.line}"
        logger.info("%s: %s of server %s concerns the client alone and is left out", place, listing(ignored), name)
    return section.build(
        ServerConfig,
        id=server_id,
        name=display,
        url=fields["url"],
        command=fields["command"],
        args=args,
        env=env,
        cwd=fields["cwd"],
        transport=transport,
        auth=auth,
        enabled=not is_disabled and is_enabled is not False,
        sensitive=section.expander.drain(),
    )


def _transport(section: Section) -> Transport:
    kind = section.text("type")
    if kind is None:
        return "auto"
    if kind not in _TRANSPORTS:
        options = listing(("stdio", "http", "sse"))
        raise section.error(f'type "{kind}" is not a transport that Portico speaks: {options} are.', "type")
    return _TRANSPORTS[kind]

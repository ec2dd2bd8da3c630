"""An MCP client's configuration file as the equivalent ``portico.yaml``, without the credentials that it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import yaml

from portal._client_dialects import read_client_servers, variable_name
from portal._secret_guess import hidden_arguments, hidden_header, hidden_url, hidden_value
from portal._server_config import HeadersAuth

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from portal._secret_guess import Hide
    from portal._server_config import ServerConfig

_MARK: Final = re.compile(r"\x80(\d+)\x81")
"""A reference while the values are checked: its number, between control characters that addresses and headers allow."""
_VARIABLE: Final = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(:-.*)?", re.DOTALL)
_BEARER: Final = re.compile(r"Bearer\s+(\S+)", re.IGNORECASE)
_LINE_CHARS: Final = 10_000  # a value is never broken over lines

Yaml = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One environment variable that the new file refers to; ``was_written`` says that the old one held its value."""

    name: str
    server: str
    place: str
    was_written: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The new file, and the variables that must be set before it is used."""

    text: str
    variables: tuple[Variable, ...]


def import_client_config(path: Path, environ: Mapping[str, str]) -> Imported:
    """Translate a client's file. Credentials become ``${NAME}``; their values are in nothing that comes back.

    Raises ``ConfigError`` for what Portico cannot do, as reading the file for serving does.
    """
    variables = _Variables()
    _, servers = read_client_servers(path, environ, resolve=variables.keep_reference)
    table = [_server(server, variables) for server in servers]
    body = yaml.dump(
        {"servers": table},
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=_LINE_CHARS,
        default_flow_style=False,
    )
    listed = variables.listed()
    return Imported(text=_heading(path.name, listed) + body, variables=listed)


@dataclass(slots=True)
class _Variables:
    """The variables by name: those that the old file refers to, and those made for the values that it holds."""

    referred: dict[str, None] = field(default_factory=dict)
    made: dict[str, tuple[str, Variable]] = field(default_factory=dict)
    marked: list[str] = field(default_factory=list)

    def keep_reference(self, reference: str, _line: int) -> str | None:
        """Keep a reference to a variable as one; whatever else stands in braces is for the reader."""
        if reference == "userHome":
            return self._mark("HOME")
        if reference.startswith("input:"):
            reference = variable_name(reference.removeprefix("input:"))
        found = _VARIABLE.fullmatch(reference)
        if found is None or reference in {"workspaceFolder", "workspaceFolderBasename", "pathSeparator"}:
            return None
        if found[2] is None:
            self.referred.setdefault(found[1])
        return self._mark(f"{found[1]}{found[2] or ''}")

    def hiding(self, server: ServerConfig, place: str, *, prefixed: bool = True) -> Hide:
        """Return what hides a credential in ``place`` of ``server`` behind a variable of its own."""

        def hide(name: str, value: str) -> str:
            where = " ".join(part for part in (place, name) if part)
            wanted = [variable_name(f"{server.id} {name or 'secret'}")]
            if not prefixed:
                wanted.insert(0, variable_name(name))
            wanted += [f"{wanted[-1]}_{number}" for number in range(2, len(self.made) + 3)]
            chosen = next(one for one in wanted if one not in self.referred and self._is_free(one, value))
            variable = Variable(name=chosen, server=server.id, place=where, was_written=True)
            self.made.setdefault(chosen, (value, variable))
            return self._mark(chosen)

        return hide

    def listed(self) -> tuple[Variable, ...]:
        """Return those with a value that the old file held, then those that it referred to itself."""
        made = [variable for _, variable in self.made.values()]
        referred = [Variable(name=name, server="", place="", was_written=False) for name in self.referred]
        return (*made, *referred)

    def written(self, text: str) -> str:
        """Write a value as the configuration spells it: references in braces, a literal ``${`` doubled."""
        return _MARK.sub(lambda found: f"${{{self.marked[int(found[1])]}}}", text.replace("${", "$${"))

    def _mark(self, reference: str) -> str:
        self.marked.append(reference)
        return f"\x80{len(self.marked) - 1}\x81"

    def _is_free(self, name: str, value: str) -> bool:
        return name not in self.made or self.made[name][0] == value


def _server(server: ServerConfig, variables: _Variables) -> Yaml:
    entry: Yaml = {"id": server.id}
    if server.display_name != server.id:
        entry["name"] = variables.written(server.display_name)
    if server.url is not None:
        entry["url"] = variables.written(hidden_url(server.url, variables.hiding(server, "url")))
        if server.transport != "auto":
            entry["transport"] = server.transport
    if server.command is not None:
        entry["command"] = variables.written(server.command)
    if server.args:
        shown = hidden_arguments(server.args, variables.hiding(server, "args"))
        entry["args"] = _Row(variables.written(argument) for argument in shown)
    if server.env:
        hide = variables.hiding(server, "env", prefixed=False)
        shown_env = {name: hidden_value(name, value.reveal(), hide) for name, value in server.env.items()}
        entry["env"] = {name: variables.written(text) for name, text in shown_env.items()}
    if server.cwd is not None:
        entry["cwd"] = variables.written(server.cwd)
    if isinstance(server.auth, HeadersAuth):
        entry["auth"] = _auth(server, server.auth, variables)
    if not server.enabled:
        entry["enabled"] = False
    return entry


def _auth(server: ServerConfig, auth: HeadersAuth, variables: _Variables) -> Yaml:
    shown: dict[str, object] = {}
    for name, value in auth.headers.items():
        hide = variables.hiding(server, "header")
        if len(auth.headers) == 1 and name.lower() == "authorization" and _BEARER.fullmatch(value.reveal()):
            token = hidden_header("token", value.reveal(), hide)
            return {"type": "bearer", "token": variables.written(token.split(maxsplit=1)[1])}
        shown[name] = variables.written(hidden_header(name, value.reveal(), hide))
    return {"type": "headers", "headers": shown}


def _heading(name: str, variables: tuple[Variable, ...]) -> str:
    lines = [f"Made from {name} by `portico import`."]
    written = [variable for variable in variables if variable.was_written]
    if written:
        lines.append(f"Set these variables first; their values are in {name}:")
        lines += [f"  {variable.name}: {variable.place} of {variable.server}" for variable in written]
    referred = [variable.name for variable in variables if not variable.was_written]
    if referred:
        lines.append(f"It also reads, as {name} does: {', '.join(referred)}")
    return "".join(f"# {line}\n" for line in lines)


class _Row(list[str]):
    """A list that stands on one line."""


class _Dumper(yaml.SafeDumper):
    """Writes lists of arguments in brackets, and indents the items of other lists."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 -- PyYAML's
        """Indent a list below its key."""
        super().increase_indent(flow, indentless=False)


def _row(dumper: _Dumper, row: _Row) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", row, flow_style=True)


_Dumper.add_representer(_Row, _row)

"""``portico.yaml`` as a ``Config``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict, TypeVar, cast

from portal._config import Config, SignIn
from portal._errors import ConfigError
from portal._expand import Expander
from portal._limits_config import LimitsConfig, RetentionConfig
from portal._marked import Section
from portal._portals_section import portals_in, wording_of_server
from portal._python_provider import load_provider
from portal._secret import Secret
from portal._server_config import (
    Auth,
    BearerAuth,
    HeadersAuth,
    NoAuth,
    ServerConfig,
    Session,
    Transport,
    normal_id,
)
from portal._text_file import read_text_file
from portal._yaml_source import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox import Isolation

T = TypeVar("T")

_TOP_HINTS: Final = {
    "mcpServers": "that is of an MCP client's JSON: turn its file into YAML with `portico import`, or pass it with "
    "--mcp-config.",
    "server": 'servers are a list under "servers".',
    "portal": 'portals are a list under "portals".',
    "token": "set the environment variable PORTICO_TOKEN instead.",
    "listen": 'write "host" and "port".',
}
_WHOLE_LIMITS: Final = (
    *("memory_mb", "calls", "concurrent_calls", "answer_chars"),
    *("user_runs", "user_waiting", "user_memory_mb", "total_runs", "total_memory_mb"),
)
_SERVER_HINTS: Final = {
    "type": 'write "transport" (auto, http, sse or stdio), or leave it out.',
    "headers": "write auth: {type: headers, headers: {...}}.",
    "token": "write auth: {type: bearer, token: ...}.",
    "module": "write python: module:name.",
    "disabled": "write enabled: false.",
    "timeout": 'write "call_timeout_s", "total_timeout_s" or "connect_timeout_s".',
}


class ProcessSettings(TypedDict, total=False):
    """What the command line and the environment decide, whatever the file."""

    host: str
    port: int
    token: Secret
    data_dir: Path


def process_settings(environ: Mapping[str, str], *, host: str | None, port: int | None) -> ProcessSettings:
    """Collect ``--host``, ``--port``, ``PORTICO_TOKEN`` and the data folder.

    That is ``PORTICO_DATA_DIR``, else the user's (XDG base directories).
    """
    settings = ProcessSettings()
    if host is not None:
        settings["host"] = host
    if port is not None:
        settings["port"] = port
    if environ.get("PORTICO_TOKEN"):
        settings["token"] = Secret(environ["PORTICO_TOKEN"])
    data_home = Path(environ.get("XDG_DATA_HOME", ""))
    if environ.get("PORTICO_DATA_DIR"):
        settings["data_dir"] = Path(environ["PORTICO_DATA_DIR"]).expanduser().absolute()
    elif data_home.is_absolute():
        settings["data_dir"] = data_home / "portico"
    elif data_home.parts:  # the specification has a relative path ignored
        settings["data_dir"] = Path.home() / ".local" / "share" / "portico"
    return settings


def load_config(path: Path, environ: Mapping[str, str], *, host: str | None, port: int | None) -> Config:
    """Read and check a configuration file; ``host`` and ``port``, where given, win over its own."""
    if path.suffix.lower() == ".json":
        message = "this is JSON, and --config takes YAML: an MCP client's file goes with --mcp-config."
        raise ConfigError(message, file=path)
    node = parse_yaml(read_text_file(path, noun="the configuration file"), path)
    top = Section(node=node, file=path, expander=Expander(file=path, environ=environ))
    file_host, file_port = top.text("host"), top.integer("port")
    settings = process_settings(
        environ, host=file_host if host is None else host, port=file_port if port is None else port
    )
    data_dir = top.text("data_dir")
    if data_dir is not None and not environ.get("PORTICO_DATA_DIR"):  # as --host, it wins over the file
        settings["data_dir"] = path.parent / Path(data_dir).expanduser()
    public_url = top.text("public_url")
    proxies = top.texts("trusted_proxies")
    sign_in = _sign_in(top.section("access"))
    limits = _limits(top.section("limits"))
    isolation = cast("Isolation", _or(top.text("isolation"), "shared"))  # Config checks the word
    store = top.secret("store")
    retention = _retention(top.section("retention"))
    servers = _servers(top)
    portals = portals_in(top, servers)
    top.finish(hints=_TOP_HINTS)
    return top.build(
        Config,
        servers=servers,
        portals=portals,
        public_url=public_url,
        sign_in=sign_in,
        trusted_proxies=proxies,
        limits=limits,
        isolation=isolation,
        store=store,
        retention=retention,
        **settings,
    )


def _sign_in(access: Section | None) -> SignIn | None:
    if access is None:
        return None
    sign_in = access.text("sign_in")
    access.finish(hints={"token": "set the environment variable PORTICO_TOKEN instead."})
    return cast("SignIn | None", sign_in)  # Config checks the word


def _limits(section: Section | None) -> LimitsConfig:
    if section is None:
        return LimitsConfig()
    defaults = LimitsConfig()
    numbers = {key: section.number(key) for key in ("run_cpu_s", "run_wall_s", "user_cpu_s")}
    integers = {key: section.integer(key) for key in _WHOLE_LIMITS}
    section.finish()
    return section.build(
        LimitsConfig,
        run_cpu_s=_or(numbers["run_cpu_s"], defaults.run_cpu_s),
        run_wall_s=_or(numbers["run_wall_s"], defaults.run_wall_s),
        memory_mb=_or(integers["memory_mb"], defaults.memory_mb),
        calls=_or(integers["calls"], defaults.calls),
        concurrent_calls=_or(integers["concurrent_calls"], defaults.concurrent_calls),
        answer_chars=_or(integers["answer_chars"], defaults.answer_chars),
        user_runs=_or(integers["user_runs"], defaults.user_runs),
        user_waiting=_or(integers["user_waiting"], defaults.user_waiting),
        user_cpu_s=_or(numbers["user_cpu_s"], defaults.user_cpu_s),
        user_memory_mb=_or(integers["user_memory_mb"], defaults.user_memory_mb),
        total_runs=_or(integers["total_runs"], defaults.total_runs),
        total_memory_mb=integers["total_memory_mb"],
    )


def _retention(section: Section | None) -> RetentionConfig:
    if section is None:
        return RetentionConfig()
    defaults = RetentionConfig()
    days, minutes = section.integer("logs_days"), section.integer("results_minutes")
    section.finish()
    return section.build(
        RetentionConfig,
        logs_days=_or(days, defaults.logs_days),
        results_minutes=_or(minutes, defaults.results_minutes),
    )


def _servers(top: Section) -> tuple[ServerConfig, ...]:
    lines: dict[str, int] = {}
    servers: list[ServerConfig] = []
    for section in top.sections("servers"):
        server = _server(section)
        if server.id in lines:
            message = f'server id "{server.id}" is used twice (first on line {lines[server.id]}): rename one.'
            raise section.error(message, "id")
        lines[server.id] = section.line_of("id")
        servers.append(server)
    if not servers:
        top.take("portals")
        top.finish(hints=_TOP_HINTS)  # a mistyped "servers" is why
        message = "the file names no servers: add one under servers:, or start without --config for the demo."
        raise top.error(message, "servers")
    return tuple(servers)


def _server(section: Section) -> ServerConfig:
    server_id = section.text("id")
    if server_id is None:
        raise section.error(f'{section.place} needs an id, for instance "id: files".')
    section.expander.drain()
    base = ServerConfig(id="defaults", transport="demo")
    fields = {key: section.text(key) for key in ("name", "url", "command", "cwd", "python", "transport", "session")}
    args, env = section.texts("args"), section.secrets("env")
    auth = _auth(section.section("auth"))
    flags = {key: section.flag(key) for key in ("per_user", "enabled")}
    seconds = {key: section.number(key) for key in ("connect_timeout_s", "call_timeout_s", "total_timeout_s")}
    bounds = {key: section.integer(key) for key in ("max_concurrent", "max_answer_mb", "max_list_mb")}
    tools, prompts = (wording_of_server(section.section(key)) for key in ("tools", "prompts"))
    section.finish(hints=_SERVER_HINTS)
    call_timeout_s = _or(seconds["call_timeout_s"], base.call_timeout_s)
    server = section.build(
        ServerConfig,
        id=normal_id(server_id),
        name=fields["name"],
        url=fields["url"],
        command=fields["command"],
        args=args,
        env=env,
        cwd=fields["cwd"],
        python=fields["python"],
        transport=cast("Transport", _or(fields["transport"], "auto")),
        auth=auth,
        per_user=_or(flags["per_user"], base.per_user),
        session=cast("Session | None", fields["session"]),
        enabled=_or(flags["enabled"], base.enabled),
        connect_timeout_s=_or(seconds["connect_timeout_s"], base.connect_timeout_s),
        call_timeout_s=call_timeout_s,
        # Who lets a call be silent for longer than the default total has not asked for less in all.
        total_timeout_s=_or(seconds["total_timeout_s"], max(base.total_timeout_s, call_timeout_s)),
        max_concurrent=_or(bounds["max_concurrent"], base.max_concurrent),
        max_answer_mb=_or(bounds["max_answer_mb"], base.max_answer_mb),
        max_list_mb=_or(bounds["max_list_mb"], base.max_list_mb),
        tools=tools,
        prompts=prompts,
        sensitive=section.expander.drain(),
    )
    if server.python is not None and server.enabled:  # imported now, while the line to correct is known
        section.build(load_provider, server.python, folder=section.file.parent)
    return server


def _auth(section: Section | None) -> Auth:
    if section is None:
        return NoAuth()
    auth: Auth
    match section.text("type"):
        case "none":
            auth = NoAuth()
        case "bearer":
            token = section.secret("token")
            if token is None:
                raise section.error(f"{section.place} needs a token, for instance token: ${{MY_TOKEN}}.", "type")
            auth = section.build(BearerAuth, token=token)
        case "headers":
            headers = section.secrets("headers")
            if not headers:
                raise section.error(f"{section.place} needs headers: a mapping of names to values.", "type")
            auth = section.build(HeadersAuth, headers=headers)
        case "oauth":
            message = (
                "auth type oauth is not available in this version: use bearer or headers, or leave this server out."
            )
            raise section.error(message, "type")
        case other:
            what = "is missing" if other is None else f'"{other}" is unknown'
            raise section.error(f"{section.place}.type {what}: write none, bearer or headers.", "type")
    section.finish()
    return auth


def _or(value: T | None, default: T) -> T:
    return default if value is None else value

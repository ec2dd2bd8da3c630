"""The configuration of one portal process: listening, access, upstreams, portals and limits."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from platformdirs import user_data_path

from portal._curation import Permission, Rules, Wording
from portal._errors import ConfigError
from portal._limits_config import LimitsConfig, RetentionConfig
from portal._server_config import ServerConfig, check_http_url, check_id
from portal._store_url import DEFAULT_FILE, StoreUrl
from portal._suggestion import listing, nearest
from sandbox import Isolation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from portal._secret import Secret

CodeMode: TypeAlias = Literal["off", "opt_in", "default_on", "enforced"]
SignIn: TypeAlias = Literal["required", "none"]

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8808
DEFAULT_PORTAL: Final = "default"  # the one that answers at /mcp
MIN_TOKEN_CHARS: Final = 16  # 64 bits as hexadecimal: the least that cannot be guessed over the network
MIN_REDACTED_CHARS: Final = 6  # a shorter value ("1", "info") would blank ordinary words out of every log line

_HOSTNAME: Final = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)

# First path segments that the HTTP app needs, now or for the pages to come.
RESERVED_PORTAL_IDS: Final = frozenset(
    {
        *("mcp", "sse", "messages", "healthz", "readyz", "metrics", "admin", "static", "assets", "api"),
        *("authorize", "token", "register", "revoke", "login", "logout", "callback", "servers-callback", "well-known"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalServer:
    """A server as one portal offers it, with rules for its tools and prompts.

    ``default`` is for tools that no rule names, new ones among them; with ``deny`` the rules are a list of what is
    allowed. ``None`` allows them all, but asks before a program calls one that says itself that it is destructive.
    """

    id: str
    default: Permission | None = None
    tools: Rules = field(default_factory=Rules)
    prompts: Rules = field(default_factory=Rules)

    def __post_init__(self) -> None:
        if self.default is not None and self.default not in get_args(Permission):
            options = listing(get_args(Permission))
            raise ConfigError(f'default "{self.default}" is not one of {options}.', key="default")


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalConfig:
    """One endpoint: ``/mcp`` for the id ``default``, else ``/{id}/mcp``, with the servers that it offers.

    With a ``hostname`` of its own it answers at ``/mcp`` there as well. Without ``prefix`` tools and prompts are listed
    by their names alone; of two that would share a name only the first does.
    """

    id: str = DEFAULT_PORTAL
    servers: tuple[PortalServer, ...] = ()
    code_mode: CodeMode = "opt_in"
    hostname: str | None = None
    prefix: bool = True

    def __post_init__(self) -> None:
        check_id(self.id, noun="portal", reserved=RESERVED_PORTAL_IDS)
        if self.code_mode not in get_args(CodeMode):
            options = listing(get_args(CodeMode))
            raise ConfigError(f'code_mode "{self.code_mode}" is not one of {options}.', key="code_mode")
        repeated = _first_repeated(server.id for server in self.servers)
        if repeated is not None:
            raise ConfigError(f'portal "{self.id}" names the server "{repeated}" twice.', key="servers")
        if self.hostname is not None:
            object.__setattr__(self, "hostname", _checked_hostname(self.hostname))

    @property
    def path(self) -> str:
        """The path of the endpoint."""
        return "/mcp" if self.id == DEFAULT_PORTAL else f"/{self.id}/mcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything an operator decides, checked as a whole.

    ``sign_in`` is ``None`` for the default: required off loopback. In this version to sign in is to send the bearer
    ``token``, which every request must carry whenever it is set. Without ``portals`` there is one, ``default``, with
    every server. ``isolation`` says who may share a process with a run: anybody, runs of its user, or none.
    ``store`` is a SQLite or PostgreSQL URL, ``None`` for the default: a SQLite file in ``data_dir``.
    Raises ``ConfigError`` when settings are wrong or contradict each other.
    """

    servers: tuple[ServerConfig, ...] = ()
    portals: tuple[PortalConfig, ...] = ()
    public_url: str | None = None
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    sign_in: SignIn | None = None
    token: Secret | None = None
    trusted_proxies: tuple[str, ...] = ()
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    isolation: Isolation = "shared"
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    store: Secret | None = None  # it may hold a password
    data_dir: Path = field(default_factory=lambda: user_data_path("portico", appauthor=False))

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigError("port must be between 0 (any free one) and 65535.", key="port")
        if not self.host.strip() or any(character in self.host for character in "/ ?#"):
            raise ConfigError(f'host "{self.host}" is not a host name or address to listen on.', key="host")
        if self.isolation not in get_args(Isolation):
            options = listing(get_args(Isolation))
            raise ConfigError(f'isolation "{self.isolation}" is not one of {options}.', key="isolation")
        self._check_public_url()
        self._check_access()
        self._check_proxies()
        self._check_servers()
        _ = self.store_url

    @classmethod
    def from_env(
        cls,
        *,
        config: Path | None = None,
        mcp_config: Path | None = None,
        host: str | None = None,
        port: int | None = None,
    ) -> Config:
        """Read the configuration that the command line and the process's environment name.

        ``config`` is a YAML file, ``mcp_config`` the JSON file of an MCP client; with neither, the built-in demo.
        ``host`` and ``port`` win over the file. This is the only place where the environment is read.
        """
        environ = dict(os.environ)
        if config is not None and mcp_config is not None:
            raise ConfigError("--config and --mcp-config exclude each other: name one file.")
        if config is not None:
            return cls.load(config, environ, host=host, port=port)
        if mcp_config is not None:
            return cls.from_mcp_config(mcp_config, environ, host=host, port=port)
        return cls.demo(environ, host=host, port=port)

    @classmethod
    def load(
        cls, path: Path, environ: Mapping[str, str], *, host: str | None = None, port: int | None = None
    ) -> Config:
        """Read a ``portico.yaml``; ``environ`` answers ``${VAR}``. Raises ``ConfigError`` with the file and line."""
        from portal._config_file import load_config  # noqa: PLC0415 -- the file formats build on this module

        return load_config(path, environ, host=host, port=port)

    @classmethod
    def from_mcp_config(
        cls, path: Path, environ: Mapping[str, str], *, host: str | None = None, port: int | None = None
    ) -> Config:
        """Read the JSON that an MCP client has: the dialects of Claude, Cursor and VS Code."""
        from portal._client_dialects import load_mcp_config  # noqa: PLC0415 -- as above

        return load_mcp_config(path, environ, host=host, port=port)

    @classmethod
    def demo(cls, environ: Mapping[str, str], *, host: str | None = None, port: int | None = None) -> Config:
        """The embedded demo: one built-in server, loopback, nothing to set up."""
        from portal._config_file import process_settings  # noqa: PLC0415 -- as above

        settings = process_settings(environ, host=host, port=port)
        return cls(servers=(ServerConfig(id="tracker", name="Tracker", transport="demo"),), **settings)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the listening address."""
        return is_loopback(self.host)

    @property
    def origin(self) -> str:
        """The address that clients use, without a path: ``public_url``, else where the process listens."""
        if self.public_url is not None:
            return self.public_url
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def store_url(self) -> StoreUrl:
        """Where the store is."""
        if self.store is None:
            return StoreUrl.file(self.data_dir / DEFAULT_FILE)
        return StoreUrl.parse(self.store.reveal(), data_dir=self.data_dir)

    def endpoint(self, portal_id: str = DEFAULT_PORTAL) -> str:
        """The address of a portal to give to a client, with code mode asked for."""
        portal = self.portal(portal_id)
        address = f"{self.origin}{portal.path}" if portal.hostname is None else f"https://{portal.hostname}/mcp"
        return f"{address}?codemode=search_and_execute"

    def server(self, server_id: str) -> ServerConfig:
        """Return the server with this id. Raises ``KeyError`` when there is none."""
        for server in self.servers:
            if server.id == server_id:
                return server
        raise KeyError(server_id)

    def portal(self, portal_id: str) -> PortalConfig:
        """Return the portal with this id. Raises ``KeyError`` when there is none."""
        for portal in self.portals:
            if portal.id == portal_id:
                return portal
        raise KeyError(portal_id)

    def secrets(self) -> tuple[Secret, ...]:
        """Every credential worth hiding in a log: those of ``MIN_REDACTED_CHARS`` and more, longest first."""
        return self._long(server.secrets() for server in self.servers)

    def stored_secrets(self) -> tuple[Secret, ...]:
        """Those of them that are cut out of what is stored (see ``ServerConfig.stored_secrets``)."""
        return self._long(server.stored_secrets() for server in self.servers)

    def _long(self, of_servers: Iterable[Iterable[Secret]]) -> tuple[Secret, ...]:
        own = (self.token,) if self.token is not None else ()
        every = chain(own, self.store_url.secrets(), *of_servers)
        found = {secret for secret in every if len(secret) >= MIN_REDACTED_CHARS}
        return tuple(sorted(found, key=len, reverse=True))

    def _check_public_url(self) -> None:
        if self.public_url is None:
            return
        check_http_url(self.public_url, key="public_url")
        parts = urlsplit(self.public_url)
        if parts.path not in {"", "/"} or parts.query or parts.username is not None:
            message = "public_url is the address before any path: write it as https://tools.example.com"
            raise ConfigError(message, key="public_url")
        object.__setattr__(self, "public_url", f"{parts.scheme}://{parts.netloc}".lower())

    def _check_access(self) -> None:
        if self.sign_in is not None and self.sign_in not in get_args(SignIn):
            raise ConfigError(f'sign_in "{self.sign_in}" is not one of required and none.', key="sign_in")
        if self.token is not None:
            _check_token(self.token, is_loopback=self.is_loopback)
        if self.sign_in == "none" and self.token is not None:
            message = "sign_in: none contradicts PORTICO_TOKEN, which is set: remove one of them."
            raise ConfigError(message, key="sign_in")
        if self.sign_in == "required" and self.token is None:
            message = "sign_in: required needs a bearer token in this version: set PORTICO_TOKEN, for instance to the"
            raise ConfigError(f"{message} output of `openssl rand -hex 32`.", key="sign_in")
        if not self.is_loopback:
            self._check_exposed()

    def _check_exposed(self) -> None:
        where = f"Listening on {self.host} makes the portal reachable from other machines"
        if self.sign_in == "none":
            message = f"{where}, and sign_in: none is for loopback only: remove it and set PORTICO_TOKEN."
            raise ConfigError(message, key="sign_in")
        missing = []
        if self.public_url is None:
            missing.append("public_url (the https address that clients use, in the configuration file)")
        if self.token is None:
            missing.append("PORTICO_TOKEN (a bearer token, for instance from `openssl rand -hex 32`)")
        if missing:
            message = f"{where}: set {listing(missing)} first, or listen on {DEFAULT_HOST}."
            raise ConfigError(message, key="host")

    def _check_proxies(self) -> None:
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy, strict=False)
            except ValueError:
                message = f'trusted_proxies: "{proxy}" is not an IP address or network (10.0.0.5, 10.0.0.0/8).'
                raise ConfigError(message, key="trusted_proxies") from None

    def _check_servers(self) -> None:
        known = [server.id for server in self.servers]
        repeated = _first_repeated(known)
        if repeated is not None:
            raise ConfigError(f'two servers have the id "{repeated}": rename one.', key="servers")
        if not self.portals:
            everything = tuple(PortalServer(id=server_id) for server_id in known)
            object.__setattr__(self, "portals", (PortalConfig(servers=everything),))
        repeated = _first_repeated(portal.id for portal in self.portals)
        if repeated is not None:
            raise ConfigError(f'two portals have the id "{repeated}": rename one.', key="portals")
        repeated = _first_repeated([portal.hostname for portal in self.portals if portal.hostname is not None])
        if repeated is not None:
            raise ConfigError(
                f'two portals have the hostname "{repeated}": one name leads to one portal.', key="portals"
            )
        for portal in self.portals:
            for server in portal.servers:
                if server.id not in known:
                    raise ConfigError(unknown_server(server.id, known, portal_id=portal.id), key="portals")
                for one, other in wordings(server, self.server(server.id)):
                    one.over(other)


def wordings(offered: PortalServer, server: ServerConfig) -> tuple[tuple[Wording, Wording], ...]:
    """Pair what a portal says of the wording of tools, and of prompts, with what the server itself does."""
    return (offered.tools.wording, server.tools), (offered.prompts.wording, server.prompts)


def unknown_server(server_id: str, known: list[str], *, portal_id: str) -> str:
    """The sentence for a portal that names a server that is not configured."""
    near = nearest(server_id, known)
    hint = f'did you mean "{near}"?' if near else f"configured: {listing(known)}."
    return f'portal "{portal_id}" names the server "{server_id}", which is not under servers: {hint}'


def is_loopback(host: str) -> bool:
    """Whether ``host`` (a name or an address to listen on) is reachable from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_token(token: Secret, *, is_loopback: bool) -> None:
    text = token.reveal()
    if not text or any(not "!" <= character <= "~" for character in text):
        message = "PORTICO_TOKEN must be printable ASCII without spaces, for instance from `openssl rand -hex 32`."
        raise ConfigError(message, key="token")
    if not is_loopback and len(text) < MIN_TOKEN_CHARS:
        message = f"PORTICO_TOKEN is too short to listen beyond loopback: use at least {MIN_TOKEN_CHARS} characters,"
        raise ConfigError(f"{message} for instance from `openssl rand -hex 32`.", key="token")


def _first_repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _checked_hostname(hostname: str) -> str:
    """Return a host name in lower case. Raises ``ConfigError`` for what is none, an address or a port among them."""
    name = hostname.strip().lower()
    if not _HOSTNAME.fullmatch(name):
        message = (
            f'hostname "{hostname}" is not a host name: write it as docs.tools.example.com, without scheme or port.'
        )
        raise ConfigError(message, key="hostname")
    return name

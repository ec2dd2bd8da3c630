"""What the operator says of one upstream server: where it is and how to sign in to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args
from urllib.parse import parse_qsl, urlsplit

from portal._curation import Wording
from portal._errors import ConfigError
from portal._secret import Secret
from portal._secret_guess import is_credential
from portal._suggestion import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


Transport: TypeAlias = Literal["auto", "http", "sse", "stdio", "python", "demo"]
Session: TypeAlias = Literal["shared", "user", "client"]

CONNECT_TIMEOUT_S: Final = 30.0  # `npx -y` and `uvx` download a package the first time they start
CALL_TIMEOUT_S: Final = 120.0  # clients give up at 60 to 300 s; a tool that reports progress is not cut by it
TOTAL_TIMEOUT_S: Final = 600.0  # twice what common clients wait for a call: whatever it reports, nobody waits still
MAX_CONCURRENT: Final = 32  # two runs at their full width of 16 calls; what a server meant for one user still stands
MAX_ANSWER_MB: Final = 16  # several hundred times what clients show a model of one answer
MAX_LIST_MB: Final = 64  # the longest list measured, 2,594 real operations, has 4 MB
MAX_ID_CHARS: Final = 32  # list-mode names keep the whole id and 16 characters of the tool within 48

# The id is the part of a tool's name before the first underscore, so that it can have none itself.
_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2, token
_UNSAFE_IN_HEADER: Final = re.compile(r"[^\t\x20-\x7e\x80-\xff]")  # RFC 9110 section 5.5: no CR, LF or NUL
_SECRET_PARAMETER: Final = re.compile(r"key|token|secret|passw|auth|sig|cred", re.IGNORECASE)
_ENV_NAME: Final = re.compile(r"[^=\0]+")
_PYTHON_PATH: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")
PYTHON_EXAMPLE: Final = 'write module:name, for instance "shop_tools:tools" for tools = Tools("shop") in shop_tools.py'

RESERVED_SERVER_IDS: Final = frozenset({"portal"})  # portal_list_servers and its like are the portal's own
# Set by the transport itself: a fixed value would break the framing or the protocol's session.
RESERVED_HEADERS: Final = frozenset(
    {
        *("accept", "connection", "content-length", "content-type", "host", "te", "transfer-encoding", "upgrade"),
        *("last-event-id", "mcp-protocol-version", "mcp-session-id"),
    }
)


def normal_id(text: str) -> str:
    """The id that a file's spelling stands for: ``my_server`` is ``my-server``."""
    return text.replace("_", "-")


def slug(text: str) -> str:
    """The nearest valid id to any text (``My Server!`` becomes ``my-server``); empty when nothing of it is usable."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MAX_ID_CHARS].strip("-")


def check_id(text: str, *, noun: str, reserved: frozenset[str]) -> None:
    """Raise ``ConfigError`` unless ``text`` is an id: lower-case letters, digits and hyphens, and not reserved."""
    if not _ID.fullmatch(text) or len(text) > MAX_ID_CHARS:
        better = slug(text)
        hint = f' (for instance "{better}")' if better and better != text else ""
        message = f'{noun} id "{text}" must be 1 to {MAX_ID_CHARS} lower-case letters, digits and hyphens{hint}.'
        raise ConfigError(message, key="id")
    if text in reserved:
        raise ConfigError(f'{noun} id "{text}" is reserved for Portico itself: choose another.', key="id")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAuth:
    """The upstream asks for no credential."""

    def secrets(self) -> Iterator[Secret]:
        """Yield nothing."""
        yield from ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerAuth:
    """The upstream takes ``Authorization: Bearer <token>``."""

    token: Secret

    def __post_init__(self) -> None:
        text = self.token.reveal()
        if text[:7].lower() == "bearer ":
            raise ConfigError('give the token alone: Portico writes "Bearer " before it.', key="token")
        if not text or re.search(r"[^\x21-\x7e]", text):
            message = "a bearer token must not be empty or hold spaces, line breaks or non-ASCII characters."
            raise ConfigError(message, key="token")

    def secrets(self) -> Iterator[Secret]:
        """Yield the token."""
        yield self.token


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadersAuth:
    """The upstream takes these HTTP headers with every request; their values count as secrets."""

    headers: Mapping[str, Secret]

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ConfigError(f'"{name}" is not a header name.', key=name)
            if name.lower() in RESERVED_HEADERS:
                raise ConfigError(f'the header "{name}" is set by the connection itself: remove it.', key=name)
            if _UNSAFE_IN_HEADER.search(value.reveal()):
                message = f'the value of the header "{name}" holds a line break or another unsafe character.'
                raise ConfigError(message, key=name)

    def secrets(self) -> Iterator[Secret]:
        """Yield the header values, and the credential after the scheme of an ``Authorization: Basic ...``."""
        for value in self.headers.values():
            yield value
            _, blank, credential = value.reveal().strip().rpartition(" ")
            if blank:
                yield Secret(credential)


Auth: TypeAlias = NoAuth | BearerAuth | HeadersAuth


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """One upstream: exactly one of ``url``, ``command``, ``python`` and the built-in ``demo`` transport.

    ``python`` names typed functions as ``module:name``: trusted code, imported into the portal's process.
    ``transport`` is never ``auto`` for a command (it becomes ``stdio``) or for functions (``python``). An address, a
    command and its arguments are not in the ``repr``: they may carry a key. ``sensitive`` holds what was expanded into
    them. ``session`` is ``None`` for the default, which follows from the transport and from what a client can do.

    ``tools`` and ``prompts`` hold aliases and descriptions in every portal that says nothing else.

    ``call_timeout_s`` is how long a call may be silent, ``total_timeout_s`` how long it may take, both without the time
    that a person is asked; ``max_concurrent`` counts exchanges, and answers above ``max_answer_mb`` and lists above
    ``max_list_mb`` (mebibytes) are refused before they are parsed.
    """

    id: str
    name: str | None = None
    url: str | None = field(default=None, repr=False)
    command: str | None = field(default=None, repr=False)
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    cwd: str | None = field(default=None, repr=False)
    python: str | None = None
    transport: Transport = "auto"
    auth: Auth = field(default_factory=NoAuth)
    per_user: bool = False
    session: Session | None = None
    enabled: bool = True
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    call_timeout_s: float = CALL_TIMEOUT_S
    total_timeout_s: float = TOTAL_TIMEOUT_S
    max_concurrent: int = MAX_CONCURRENT
    max_answer_mb: int = MAX_ANSWER_MB
    max_list_mb: int = MAX_LIST_MB
    tools: Wording = field(default_factory=Wording)
    prompts: Wording = field(default_factory=Wording)
    sensitive: tuple[Secret, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        check_id(self.id, noun="server", reserved=RESERVED_SERVER_IDS)
        if self.transport not in get_args(Transport):
            options = listing(get_args(Transport))
            raise ConfigError(f'transport "{self.transport}" is not one of {options}.', key="transport")
        if self.session is not None and self.session not in get_args(Session):
            options = listing(get_args(Session))
            raise ConfigError(f'session "{self.session}" is not one of {options}.', key="session")
        if self.per_user and self.session == "shared":
            raise ConfigError('per_user and "session: shared" contradict each other: drop one.', key="session")
        self._check_bounds()
        self._check_target()

    @property
    def display_name(self) -> str:
        """The name for people: ``name``, else the id."""
        return self.name or self.id

    @property
    def max_answer_bytes(self) -> int:
        """The longest answer to a call that is read."""
        return self.max_answer_mb * 2**20

    @property
    def max_list_bytes(self) -> int:
        """The longest list of tools, prompts or resources that is read, all its pages together."""
        return self.max_list_mb * 2**20

    def secrets(self) -> Iterator[Secret]:
        """Yield every credential that this server's configuration holds."""
        yield from self.auth.secrets()
        yield from self.env.values()
        yield from self.sensitive
        if self.url is not None:
            yield from _url_secrets(self.url)

    def stored_secrets(self) -> Iterator[Secret]:
        """Yield those that must not be written down: not what only stands in ``env``, as a region or a level does.

        Else a result that holds such a word could not be kept as it is.
        """
        yield from self.auth.secrets()
        plain = {value for name, value in self.env.items() if not is_credential(name, value.reveal())}
        yield from (secret for secret in self.secrets() if secret not in plain)

    def _check_bounds(self) -> None:
        for key in ("connect_timeout_s", "call_timeout_s", "total_timeout_s"):
            if not 0 < getattr(self, key) <= 86_400:
                raise ConfigError(f"{key} must be more than 0 and at most 86400 seconds.", key=key)
        for key, most in (("max_concurrent", 10_000), ("max_answer_mb", 1_024), ("max_list_mb", 1_024)):
            if not 1 <= getattr(self, key) <= most:
                raise ConfigError(f"{key} must be between 1 and {most}.", key=key)
        if self.total_timeout_s < self.call_timeout_s:
            message = "total_timeout_s must not be less than call_timeout_s, which is a part of it: raise it."
            raise ConfigError(message, key="total_timeout_s")

    def _check_target(self) -> None:
        if self.transport == "demo":
            self._refuse("url", "command", "python", why="the built-in demo has neither address nor command")
        elif self.python is not None:
            self._check_python(self.python)
        elif self.transport == "python":
            message = 'transport python needs python, as in "python: shop_tools:tools".'
            raise ConfigError(message, key="transport")
        elif self.url is not None and self.command is not None:
            message = f'server "{self.id}" has both url and command: keep the one that says where it is.'
            raise ConfigError(message, key="command")
        elif self.url is not None:
            self._check_url(self.url)
        elif self.command is not None:
            self._check_command()
        else:
            message = f'server "{self.id}" needs a url (an HTTP server), a command (a program) or python (functions).'
            raise ConfigError(message, key="id")

    def _check_url(self, url: str) -> None:
        if self.transport == "stdio":
            message = "transport stdio starts a command: write command instead of url, or transport http."
            raise ConfigError(message, key="transport")
        check_http_url(url, key="url")
        self._refuse("args", "env", "cwd", why="it belongs to a command, and this server has a url")

    def _check_command(self) -> None:
        if self.transport in {"http", "sse"}:
            message = f"transport {self.transport} needs a url; a command speaks stdio."
            raise ConfigError(message, key="transport")
        if not isinstance(self.auth, NoAuth):
            message = "auth is for servers with a url: give a command its credential through env."
            raise ConfigError(message, key="auth")
        if not self.command or "\0" in self.command:
            raise ConfigError("command must name a program.", key="command")
        for name, value in self.env.items():
            if not _ENV_NAME.fullmatch(name) or "\0" in value.reveal():
                raise ConfigError(f'"{name}" cannot be an environment variable.', key=name)
        object.__setattr__(self, "transport", "stdio")

    def _check_python(self, python: str) -> None:
        if self.transport not in {"auto", "python"}:
            message = f"transport {self.transport} is not for functions: leave it out beside python."
            raise ConfigError(message, key="transport")
        self._refuse("url", "command", "args", "env", "cwd", why="python functions are called in the portal itself")
        if not isinstance(self.auth, NoAuth):
            raise ConfigError("auth is for servers with a url: functions are called in the portal itself.", key="auth")
        check_provider_path(python)
        object.__setattr__(self, "transport", "python")

    def _refuse(self, *keys: str, why: str) -> None:
        for key in keys:
            if getattr(self, key):
                raise ConfigError(f'{key} cannot stand in server "{self.id}": {why}.', key=key)


def _url_secrets(url: str) -> Iterator[Secret]:
    parts = urlsplit(url)
    if parts.password:
        yield Secret(parts.password)
    for name, value in parse_qsl(parts.query):
        if _SECRET_PARAMETER.search(name):
            yield Secret(value)


def check_http_url(url: str, *, key: str) -> None:
    """Raise ``ConfigError`` unless ``url`` is an absolute http or https address without a fragment."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid or re.search(r"[\s\x00-\x1f]", url):
        message = f"{key} is not an address that Portico can reach: write http://host[:port]/path or https://..."
        raise ConfigError(message, key=key)
    if "#" in url:
        raise ConfigError(f"{key} must not have a fragment (the part from #): remove it.", key=key)


def check_provider_path(path: str) -> None:
    """Raise ``ConfigError`` unless ``path`` is a module's dotted name, a colon and a name in it."""
    module, _, name = path.partition(":")
    if _PYTHON_PATH.fullmatch(path) and not module.endswith(".py"):
        return
    better = f"{module.removesuffix('.py').strip('./').replace('/', '.')}:{name or 'tools'}"
    advice = f'write it as "{better}"' if _PYTHON_PATH.fullmatch(better) else PYTHON_EXAMPLE
    raise ConfigError(f'python: "{path}" is not a module\'s name, a colon and a name in it: {advice}.', key="python")

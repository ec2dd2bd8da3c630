"""Where the store is: SQLite's file or a PostgreSQL database, read from one URL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from portal._errors import ConfigError
from portal._secret import Secret

if TYPE_CHECKING:
    from typing import Self

DEFAULT_FILE: Final = "portico.db"

# What people write, and the driver that is meant; the store has one driver for each database.
_SQLITE: Final = frozenset({"sqlite", "sqlite+aiosqlite"})
_POSTGRESQL: Final = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUrl:
    """A store's address: ``path`` is SQLite's file and None for PostgreSQL; ``url`` is what the driver gets."""

    backend: Literal["sqlite", "postgresql"]
    url: Secret
    shown: str
    path: Path | None = None

    def __str__(self) -> str:
        return self.shown

    @classmethod
    def parse(cls, text: str, *, data_dir: Path) -> Self:
        """Read a URL; a relative SQLite path lies in ``data_dir``. Raises ``ConfigError`` without its password."""
        try:
            parts = urlsplit(text)
        except ValueError:
            raise _error("it is no URL") from None
        if parts.scheme in _SQLITE:
            return cls.file(data_dir / _sqlite_path(text, netloc=parts.netloc))
        if parts.scheme not in _POSTGRESQL:
            what = f'"{parts.scheme}:"' if parts.scheme else "no scheme"
            raise _error(f"it has {what}")
        if parts.path in {"", "/"}:
            raise _error("it names no database")
        # libpq says sslmode and asyncpg says ssl, with the same values.
        query = urlencode([("ssl" if key == "sslmode" else key, value) for key, value in parse_qsl(parts.query)])
        url = urlunsplit(("postgresql+asyncpg", parts.netloc, parts.path, query, ""))
        host = parts.netloc.rpartition("@")[2]
        return cls(backend="postgresql", url=Secret(url), shown=f"postgresql://{host}{parts.path}")

    @classmethod
    def file(cls, path: Path) -> Self:
        """The SQLite store in one file."""
        absolute = path.absolute()
        return cls(backend="sqlite", url=Secret(f"sqlite+aiosqlite:///{absolute}"), shown=str(absolute), path=absolute)

    def secrets(self) -> tuple[Secret, ...]:
        """The credentials in the address: what no log line may hold."""
        if self.backend == "sqlite":
            return ()
        user_info = urlsplit(self.url.reveal()).netloc.rpartition("@")[0]
        password = user_info.partition(":")[2]
        return (Secret(password), Secret(unquote(password))) if password else ()


def _sqlite_path(text: str, *, netloc: str) -> Path:
    path = text.partition("://")[2]
    if netloc or not path.startswith("/") or "?" in path or not path[1:]:
        raise _error("a SQLite file is written with three slashes, and four for an absolute path")
    return Path(unquote(path[1:]))


def _error(what: str) -> ConfigError:
    message = (
        f"store must be like sqlite:///{DEFAULT_FILE} or postgresql+asyncpg://user:password@host/database: {what}."
    )
    return ConfigError(message, key="store")

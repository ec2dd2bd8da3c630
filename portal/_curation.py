"""What an operator says of single tools and prompts: what they are called, what is said of them, who may call them.

Rules name tools and prompts by the names that their server gives them, never by an alias. In ``allow``, ``ask`` and
``deny`` a name may hold ``*`` for anything; one written out counts before one with ``*``, and of several with ``*`` the
strictest counts.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from portal._errors import ConfigError
from portal._glob import matches_glob
from portal._suggestion import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Permission: TypeAlias = Literal["allow", "ask", "deny"]

MAX_ALIAS_CHARS: Final = 40  # as Cloudflare's portals have it, so that a list of aliases moves between the two
ALIAS: Final = re.compile(r"[a-zA-Z0-9]+(?:[_-][a-zA-Z0-9]+)*")


def check_renames(rename: Mapping[str, str]) -> None:
    """Raise ``ConfigError`` for an alias that is no name, and for one that two names would have."""
    for name, alias in rename.items():
        if not ALIAS.fullmatch(alias) or len(alias) > MAX_ALIAS_CHARS:
            message = (
                f'"{alias}" cannot be an alias of "{name}": write 1 to {MAX_ALIAS_CHARS} letters and digits, with '
                "single - or _ between them."
            )
            raise ConfigError(message, key=name)
    for alias, count in Counter(rename.values()).items():
        if count > 1:
            names = [name for name in rename if rename[name] == alias]
            message = f'{listing(names)} are all renamed to "{alias}": give each an alias of its own.'
            raise ConfigError(message, key=names[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Aliases (``rename``) and descriptions (``describe``) in place of a server's own, by the server's own names."""

    rename: Mapping[str, str] = field(default_factory=dict)
    describe: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_renames(self.rename)

    def over(self, other: Wording) -> Wording:
        """Return these words and, for what they leave out, those of ``other``. Raises ``ConfigError`` likewise."""
        return Wording(rename={**other.rename, **self.rename}, describe={**other.describe, **self.describe})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Who may call which of a server's tools, or get which of its prompts, in one portal, and their ``wording``."""

    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    wording: Wording = field(default_factory=Wording)

    def __post_init__(self) -> None:
        found: dict[str, Permission] = {}
        for permission, patterns in self.by_permission():
            for pattern in patterns:
                if not pattern:
                    raise ConfigError(f"{permission} holds an empty name: remove it.", key=permission)
                earlier = found.setdefault(pattern, permission)
                if earlier != permission:
                    message = f'"{pattern}" stands in both {earlier} and {permission}: keep it in one of them.'
                    raise ConfigError(message, key=permission)

    def by_permission(self) -> Iterator[tuple[Permission, tuple[str, ...]]]:
        """Yield each permission with its names and patterns, the strictest first."""
        yield "deny", self.deny
        yield "ask", self.ask
        yield "allow", self.allow

    def permission(self, name: str) -> Permission | None:
        """Return what is said of the tool or prompt that its server calls ``name``, ``None`` where nothing is."""
        for permission, patterns in self.by_permission():
            if name in patterns:
                return permission
        for permission, patterns in self.by_permission():
            if any("*" in pattern and matches_glob(pattern, name) for pattern in patterns):
                return permission
        return None

    def names(self) -> Iterator[tuple[str, str]]:
        """Yield every name and pattern that is spoken of, after the rule that speaks of it."""
        for permission, patterns in self.by_permission():
            for pattern in patterns:
                yield permission, pattern
        for name in self.wording.rename:
            yield "rename", name
        for name in self.wording.describe:
            yield "describe", name

"""Names in the lists of one portal: of tools and prompts, each its own, and the same in every view of the portal."""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import TYPE_CHECKING, Final

from portal.server._curated import HASH_CHARS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

MAX_NAME_CHARS: Final = 48
"""Clients add prefixes of their own, and several refuse names of more than 64 characters."""
DIGEST_CHARS: Final = 64
RESERVED_NAMES: Final = frozenset({"query"})
"""Listed beside all tools where a client asks for names alone; only without prefixes can a tool have such a name."""


def listed_name(server_id: str, tool: str) -> str:
    """Name a tool in list mode: ``{server_id}_{tool}``, and a long one shortened with a hash."""
    name = f"{server_id}_{tool}"
    return name if len(name) <= MAX_NAME_CHARS else _hashed(server_id, tool)


def give_names(
    places: Iterable[tuple[str, str]], *, keeps_prefix: Callable[[str], bool]
) -> Mapping[tuple[str, str], str]:
    """Name what servers offer: ``places`` are pairs of a server id and a name there, the first to choose first.

    Where ``keeps_prefix`` says no of a server id, a name stays as it is; if it is taken it gets its prefix after all.
    """
    names: dict[tuple[str, str], str] = {}
    taken = set(RESERVED_NAMES)
    for server_id, name in places:
        choices = chain([] if keeps_prefix(server_id) else [name], _prefixed(server_id, name))
        names[server_id, name] = given = next(choice for choice in choices if choice not in taken)
        taken.add(given)
    return names


def _prefixed(server_id: str, name: str) -> Iterator[str]:
    """Yield the names that a tool may have, the best one first: no two tools have all of them in common."""
    yield listed_name(server_id, name)
    for length in range(HASH_CHARS, DIGEST_CHARS + 1):
        yield _hashed(server_id, name, length)


def _hashed(server_id: str, tool: str, length: int = HASH_CHARS) -> str:
    name = f"{server_id}_{tool}"
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:length]
    return f"{name[: max(0, MAX_NAME_CHARS - length - 1)]}_{digest}"

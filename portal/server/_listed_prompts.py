"""Prompts of one portal, under names that no two of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from portal.server._curated import CuratedServer
    from typegen import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPrompt:
    """A prompt as clients see it, under ``name``; ``own_name`` is its server's name for it."""

    name: str
    server_id: str
    own_name: str
    definition: JsonObject


def listed_prompts(
    servers: Iterable[CuratedServer], names: Mapping[tuple[str, str], str]
) -> Mapping[str, ListedPrompt]:
    """Return the prompts by the names that clients see, in the order of the servers; ``names`` holds them by place."""
    listed = [
        ListedPrompt(
            name=(name := names[server.id, prompt.name]),
            server_id=server.id,
            own_name=prompt.own_name,
            definition={**prompt.definition, "name": name},
        )
        for server in servers
        for prompt in server.prompts
    ]
    return {prompt.name: prompt for prompt in listed}

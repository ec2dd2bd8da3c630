"""What a portal says that it can do: what the servers behind it can, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portal.upstream import Offers
    from typegen import JsonObject, JsonValue


def capabilities_of(offers: Iterable[Offers]) -> JsonObject:
    """Return the capabilities of a portal of servers with these ``offers``.

    A portal always has tools, its own. A server that has never answered so far may have anything: a client that is
    told so finds an empty list at worst, and one that is told otherwise would never look again.
    """
    known = list(offers)
    is_unknown = any(offer.protocol_version is None for offer in known)

    def has(name: str) -> bool:
        return is_unknown or any(name in offer.capabilities for offer in known)

    capabilities: JsonObject = {"tools": {"listChanged": True}}
    if has("prompts"):
        capabilities["prompts"] = {"listChanged": True}
    if has("resources"):
        subscribes = is_unknown or any(_subscribes(offer.capabilities.get("resources")) for offer in known)
        capabilities["resources"] = {"listChanged": True, **({"subscribe": True} if subscribes else {})}
    for name in ("completions", "logging"):
        if has(name):
            capabilities[name] = {}
    return capabilities


def _subscribes(resources: JsonValue) -> bool:
    return isinstance(resources, dict) and resources.get("subscribe") is True

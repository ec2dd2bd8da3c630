"""What the configured servers offer, kept in the store from one start to the next."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import orjson

from portal._redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portal._server_config import ServerConfig
    from portal.store import Catalogs
    from typegen import JsonObject


class KeptOffers:
    """What each server listed last. A server that moved to another address starts with nothing."""

    def __init__(self, catalogs: Catalogs) -> None:
        self._catalogs = catalogs

    async def load(self, servers: Iterable[ServerConfig]) -> dict[str, JsonObject]:
        """Return what was kept, by server id, and forget servers that were removed. Raises ``StoreError``."""
        kept = await self._catalogs.load()
        configured = tuple(servers)
        await self._catalogs.forget_removed(server.id for server in configured)
        return {server.id: kept[key] for server in configured if (key := (server.id, _source(server))) in kept}

    async def keep(self, server: ServerConfig, offers: JsonObject) -> None:
        """Keep what a server listed; a failure is logged."""
        await self._catalogs.save(server.id, _source(server), offers)


def _source(server: ServerConfig) -> str:
    """A hash of where the server is: without its credentials, which may change and are not to be kept even so."""
    parts = [server.transport, server.url, server.command, server.args, server.cwd]
    place = orjson.dumps(parts if server.python is None else [*parts, server.python]).decode()
    return hashlib.sha256(Redactor(server.secrets()).clean(place).encode()).hexdigest()

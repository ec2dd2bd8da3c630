"""``logging/setLevel``: for the client that asks, and for the servers that can say more or less."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio

from portal._errors import UpstreamFailure
from portal.server._announcements import LEVELS
from portal.server._params import shown, text_param
from portal.wire import INVALID_PARAMS, RpcError

if TYPE_CHECKING:
    from portal._config import PortalConfig
    from portal.server._announcements import Announcements
    from portal.server._request import ClientRequest
    from portal.upstream import Caller, Fleet, Upstream
    from typegen import JsonObject

logger = logging.getLogger("portico.portal")


class LogLevels:
    """The levels of log messages that the clients of one portal want.

    A session of one client or user gets the level that it asked for. One that is shared gets the least severe that
    anybody asked for, and each client is told what it wants of that.
    """

    def __init__(self, *, config: PortalConfig, fleet: Fleet, announcements: Announcements) -> None:
        self._config = config
        self._fleet = fleet
        self._announcements = announcements
        self._shared: dict[str, int] = {}

    async def set_level(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Set the level for a client. Raises ``RpcError`` for a level that there is not."""
        level = text_param(params, "level", of="logging/setLevel")
        if level not in LEVELS:
            raise RpcError(INVALID_PARAMS, f"There is no level {shown(level)}; the levels are {', '.join(LEVELS)}")
        for listener in self._announcements.listeners_of(request.caller):
            listener.log_level = level
        async with anyio.create_task_group() as tasks:
            for server in self._config.servers:
                upstream = self._upstream(server.id, request.caller, level)
                if upstream is not None:
                    tasks.start_soon(_tell, upstream, level)
        return {}

    def _upstream(self, server_id: str, caller: Caller, level: str) -> Upstream | None:
        """Return the session that is to be told, if its server logs to clients and the level is news to it."""
        if server_id not in self._fleet.server_ids:
            return None
        listing = self._fleet.listing(server_id)
        if "logging" not in listing.offers.capabilities or listing.is_modern is not False:
            return None
        try:
            upstream = self._fleet.upstream(server_id, caller)
        except UpstreamFailure:
            return None
        if upstream is listing:
            if LEVELS.index(level) >= self._shared.get(server_id, len(LEVELS)):
                return None
            self._shared[server_id] = LEVELS.index(level)
        return upstream


async def _tell(upstream: Upstream, level: str) -> None:
    try:
        await upstream.request("logging/setLevel", {"level": level})
    except UpstreamFailure as failure:
        logger.debug("a log level could not be set: %s", failure.message)

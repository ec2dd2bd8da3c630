"""``logging/setLevel``: for the client that asks, and for the servers that can say more or less."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal._errors import UpstreamFailure
from portal.server._params import shown, text_param
from portal.wire import INVALID_PARAMS, LOG_LEVELS, RpcError

if TYPE_CHECKING:
    from portal._config import PortalConfig
    from portal.server._announcements import Announcements
    from portal.server._request import ClientRequest
    from portal.upstream import Caller, Fleet, Upstream
    from typegen import JsonObject


class LogLevels:
    """The levels of log messages that the clients of one portal want.

    A session of one client or user gets the level that it asked for. One that is shared gets the least severe that
    anybody asked for, at any portal, and each client is told what it wants of that.
    """

    def __init__(self, *, config: PortalConfig, fleet: Fleet, announcements: Announcements) -> None:
        self._config = config
        self._fleet = fleet
        self._announcements = announcements

    async def set_level(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Set the level for a client. Raises ``RpcError`` for a level that there is not."""
        level = text_param(params, "level", of="logging/setLevel")
        if level not in LOG_LEVELS:
            raise RpcError(INVALID_PARAMS, f"There is no level {shown(level)}; the levels are {', '.join(LOG_LEVELS)}")
        for listener in self._announcements.listeners_of(request.caller):
            listener.log_level = level
        for server in self._config.servers:
            if server.id in self._fleet.server_ids:
                self._upstream(server.id, request.caller).want_log_level(level)
        return {}

    def _upstream(self, server_id: str, caller: Caller) -> Upstream:
        """Return the session that is to be told; none is opened where the server is not known to log to clients."""
        listing = self._fleet.listing(server_id)
        if "logging" not in listing.offers.capabilities or listing.is_modern is not False:
            return listing
        try:
            return self._fleet.upstream(server_id, caller)
        except UpstreamFailure:
            return listing

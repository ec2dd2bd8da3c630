"""The least level of log messages that is wanted of one upstream, made known to each session that is opened."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio

from portal._errors import UpstreamFailure
from portal.upstream._channel import SessionLost
from portal.wire import LOG_LEVELS

if TYPE_CHECKING:
    from portal.upstream._exchange import Timeouts
    from portal.upstream._session import UpstreamSession

logger = logging.getLogger("portico.upstream")


class LogLevel:
    """What is ``wanted`` of an upstream; None while nobody wants anything. ``run`` is the task that tells a session.

    Servers of MCP 2026-07-28 are told with each request instead.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.wanted: str | None = None
        self._changed = anyio.Event()

    def want(self, level: str, *, is_shared: bool) -> None:
        """Want this level from now on; where others share the session, the least severe that anybody wanted."""
        if is_shared and self.wanted is not None:
            level = min(level, self.wanted, key=LOG_LEVELS.index)
        self.wanted = level
        self._changed.set()

    async def run(self, session: UpstreamSession, *, timeouts: Timeouts) -> None:
        """Tell a session what is wanted, for as long as it lasts."""
        if session.is_modern or "logging" not in session.capabilities:
            return
        told: str | None = None
        while True:
            self._changed = anyio.Event()
            if self.wanted is not None and self.wanted != told:
                told = self.wanted
                try:
                    await session.request("logging/setLevel", {"level": told}, timeouts=timeouts)
                except SessionLost:
                    return
                except UpstreamFailure as failure:
                    logger.debug("%s: a log level could not be set: %s", self._upstream, failure.message)
            await self._changed.wait()

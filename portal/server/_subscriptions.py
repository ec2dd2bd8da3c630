"""Which resources the clients of one portal watch, and the subscriptions with upstreams that follow from that."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from portal._errors import UpstreamFailure
from portal.server._resources import NOT_HERE
from portal.wire import INVALID_PARAMS, RpcError

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from portal.server._announcements import Listener
    from portal.server._lists import Lists
    from portal.upstream import Fleet, Upstream

logger = logging.getLogger("portico.portal")


class Subscriptions:
    """Subscribes upstream for the listeners of one portal. ``tasks`` is where those of streams are made and dropped."""

    def __init__(self, *, fleet: Fleet, lists: Lists) -> None:
        self._fleet = fleet
        self._lists = lists
        self._held: dict[tuple[Listener, str], tuple[Upstream, str]] = {}
        self.tasks: TaskGroup | None = None

    async def subscribe(self, listener: Listener, uri: str) -> None:
        """Have ``listener`` told when the resource changes. Raises ``RpcError`` and ``UpstreamFailure``."""
        if uri in listener.watched:
            return
        route = self._lists.of(listener.caller, is_read_only=False).route_resource(uri)
        if not route:
            raise RpcError(INVALID_PARAMS, f"Unknown resource: {uri[:256]}")
        reason: UpstreamFailure | None = None
        for server_id, own_uri in route:
            if listener.is_removed:
                return
            try:
                await self._subscribe_at(server_id, own_uri, listener, uri)
            except UpstreamFailure as failure:  # another server may have it; else this is the reason
                if reason is None or reason.code in NOT_HERE:
                    reason = failure
            else:
                return
        if reason is not None:
            raise reason

    async def unsubscribe(self, listener: Listener, uri: str) -> None:
        """Tell ``listener`` of the resource no more. Raises ``UpstreamFailure``."""
        listener.watched.pop(uri, None)
        held = self._held.pop((listener, uri), None)
        if held is not None:
            upstream, own_uri = held
            await upstream.unsubscribe(own_uri)

    def added(self, listener: Listener) -> None:
        """Subscribe for a stream that has just begun; what cannot be watched is never told of."""
        if self.tasks is not None:
            self.tasks.start_soon(self._subscribe_all, listener)

    def removed(self, listener: Listener) -> None:
        """Drop the subscriptions of a connection that has ended."""
        if self.tasks is not None:
            self.tasks.start_soon(self._unsubscribe_all, listener)

    async def _subscribe_at(self, server_id: str, own_uri: str, listener: Listener, uri: str) -> None:
        upstream = self._fleet.upstream(server_id, listener.caller)
        place = listener.watched[uri] = (server_id, own_uri)
        try:
            await upstream.subscribe(own_uri)
        except BaseException:
            if listener.watched.get(uri) is place:
                del listener.watched[uri]
            raise
        if listener.watched.get(uri) is place:
            self._held[listener, uri] = (upstream, own_uri)
        else:  # nobody waits for it any more
            await upstream.unsubscribe(own_uri)

    async def _subscribe_all(self, listener: Listener) -> None:
        for uri in sorted(listener.uris):
            if listener.is_removed:
                return
            try:
                await self.subscribe(listener, uri)
            except (RpcError, UpstreamFailure) as failure:
                logger.debug("a resource cannot be watched: %s", failure)

    async def _unsubscribe_all(self, listener: Listener) -> None:
        for uri in tuple(listener.watched):
            try:
                await self.unsubscribe(listener, uri)
            except UpstreamFailure as failure:
                logger.debug("a subscription could not be ended: %s", failure)

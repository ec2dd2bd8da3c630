"""What an upstream is asked to tell of itself: changed lists, and the resources that somebody subscribed to."""

from __future__ import annotations

import logging
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio

from portal._errors import UpstreamFailure
from portal.upstream._breaker import jittered
from portal.upstream._channel import SessionLost
from portal.wire import SUBSCRIPTION_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from portal.upstream._exchange import Timeouts
    from portal.upstream._session import UpstreamSession
    from typegen import JsonObject

logger = logging.getLogger("portico.upstream")

ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"
ACKNOWLEDGE_S: Final = 2.0
"""How long a new stream may take to begin before the one that it replaces is closed."""
FIRST_RETRY_S: Final = 1.0
LAST_RETRY_S: Final = 60.0

_LIST_FILTERS: Final = {
    "tools": "toolsListChanged",
    "prompts": "promptsListChanged",
    "resources": "resourcesListChanged",
}


class Subscriptions:
    """The resources of one upstream that are watched, counted, and made known to each session that is opened."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._uris: Counter[str] = Counter()
        self._told: dict[str, UpstreamSession] = {}
        self._pending: dict[str, _Pending] = {}
        self._changed = anyio.Event()

    def __len__(self) -> int:
        return len(self._uris)

    @asynccontextmanager
    async def adding(self, uri: str) -> AsyncIterator[bool]:
        """Count one more who watches ``uri``; give whether it is the first, who has the server told in the block.

        Others wait for what comes of that. A failure is theirs too: nobody watches then. Raises ``UpstreamFailure``.
        """
        while (pending := self._pending.get(uri)) is not None:
            await pending.done.wait()
            if pending.failure is not None:
                raise pending.failure
        if not self._add(uri):
            yield False
            return
        pending = self._pending[uri] = _Pending()
        try:
            yield True
        except BaseException as error:
            pending.failure = error if isinstance(error, UpstreamFailure) else None  # else the next one is the first
            self.remove(uri)
            raise
        finally:
            del self._pending[uri]
            pending.done.set()

    def remove(self, uri: str) -> bool:
        """Count one less; return whether it was the last. One who never watched is not counted."""
        if uri not in self._uris:
            return False
        self._uris[uri] -= 1
        if self._uris[uri]:
            return False
        del self._uris[uri]
        self._told.pop(uri, None)
        self._changed.set()
        return True

    def tell(self, uri: str, session: UpstreamSession) -> bool:
        """Note that ``session`` is told of ``uri``; return whether that is new."""
        if self._told.get(uri) is session:
            return False
        self._told[uri] = session
        return True

    async def run(
        self,
        session: UpstreamSession,
        *,
        timeouts: Timeouts,
        on_notification: Callable[[str, JsonObject], None],
        on_gap: Callable[[], None],
    ) -> None:
        """Have a session that was just opened tell what is watched, for as long as it lasts.

        ``on_gap`` is called when something may have been missed.
        """
        if session.is_modern:
            await self._listen(session, on_notification, on_gap)
        else:
            await self._subscribe_again(session, timeouts)

    def _add(self, uri: str) -> bool:
        self._uris[uri] += 1
        if self._uris[uri] > 1:
            return False
        self._changed.set()
        return True

    async def _subscribe_again(self, session: UpstreamSession, timeouts: Timeouts) -> None:
        for uri in list(self._uris):
            is_theirs = uri in self._pending and uri not in self._told  # who adds it tells the server of it
            if is_theirs or not self.tell(uri, session):
                continue
            try:
                await session.request("resources/subscribe", {"uri": uri}, timeouts=timeouts)
            except SessionLost:
                return
            except UpstreamFailure as failure:
                logger.warning("%s: a subscription was not taken up again: %s", self._upstream, failure.message)

    async def _listen(
        self, session: UpstreamSession, on_notification: Callable[[str, JsonObject], None], on_gap: Callable[[], None]
    ) -> None:
        """Hold one stream open (MCP 2026-07-28, subscriptions/listen), and replace it when what is watched changes."""
        async with anyio.create_task_group() as tasks:
            former = anyio.CancelScope()
            while True:
                self._changed = anyio.Event()
                stream = _Stream(self._filters(session), on_notification, on_gap)
                if stream.filters:
                    tasks.start_soon(self._hold, session, stream)
                    with anyio.move_on_after(ACKNOWLEDGE_S):
                        await stream.opened.wait()
                former.cancel()
                former = stream.scope
                await self._changed.wait()

    async def _hold(self, session: UpstreamSession, stream: _Stream) -> None:
        """Open the stream again and again, until its scope is cancelled.

        Proxies cut streams by the minute: one that began and lasted longer than the pause before it was no failure.
        """
        retry_s = FIRST_RETRY_S
        with stream.scope:
            while True:
                began, stream.has_begun = time.monotonic(), False
                try:
                    await session.listen(stream.filters, stream.take)
                except (UpstreamFailure, SessionLost) as failure:
                    logger.debug("%s: no subscription (%s)", self._upstream, type(failure).__name__)
                stream.opened.set()
                if stream.has_begun and time.monotonic() - began >= retry_s:
                    retry_s = FIRST_RETRY_S
                await anyio.sleep(jittered(retry_s))
                retry_s = min(retry_s * 2, LAST_RETRY_S)

    def _filters(self, session: UpstreamSession) -> JsonObject:
        filters: JsonObject = {}
        for capability, name in _LIST_FILTERS.items():
            said = session.capabilities.get(capability)
            if isinstance(said, dict) and said.get("listChanged"):
                filters[name] = True
        if self._uris:
            filters["resourceSubscriptions"] = list(self._uris)
        return filters


class _Pending:
    """The server is being told of a resource for the first time; ``done`` is set when it was, or could not be."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.failure: UpstreamFailure | None = None


class _Stream:
    """One stream of notifications; ``opened`` is set when it has begun, or could not begin."""

    def __init__(
        self, filters: JsonObject, on_notification: Callable[[str, JsonObject], None], on_gap: Callable[[], None]
    ) -> None:
        self.filters = filters
        self.scope = anyio.CancelScope()
        self.opened = anyio.Event()
        self.has_begun = False
        self._on_notification = on_notification
        self._on_gap = on_gap

    def take(self, method: str, params: JsonObject) -> None:
        self.has_begun = True
        if method != ACKNOWLEDGED:
            self._on_notification(method, _without_id(params))
        elif self.opened.is_set():  # not the first time: what was announced in between is lost
            self._on_gap()
        else:
            self.opened.set()


def _without_id(params: JsonObject) -> JsonObject:
    """Return what is told without the subscription's id, which is of this exchange alone."""
    meta = params.get("_meta")
    if not isinstance(meta, dict) or SUBSCRIPTION_KEY not in meta:
        return params
    rest = {key: value for key, value in meta.items() if key != SUBSCRIPTION_KEY}
    told = {key: value for key, value in params.items() if key != "_meta"}
    return {**told, "_meta": rest} if rest else told

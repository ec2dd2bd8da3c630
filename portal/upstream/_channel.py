"""The contract of a transport: it carries one request to an upstream and brings back its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import anyio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portal.upstream._exchange import Exchange
    from portal.wire import Message
    from typegen import JsonObject


class SessionLost(Exception):  # noqa: N818 -- an event that the owner of a session answers, not an error of anybody's
    """Raised when the upstream no longer knows this session, so that a request on it had no effect."""


class Loss:
    """Whether, and why, a session has ended by itself; and whether there is reason to find out."""

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.suspicion = anyio.Event()
        self.cause = ""

    def note(self, cause: str) -> None:
        """Say that the session is over; the first cause counts."""
        if not self.event.is_set():
            self.cause = cause
            self.event.set()


class Channel(Protocol):
    """A way to one upstream, open. The session above it knows the eras; a channel knows how bytes travel."""

    is_http: bool
    """Whether requests carry headers, and a modern client sends no notifications."""

    async def request(self, exchange: Exchange, params: JsonObject, *, headers: Mapping[str, str]) -> JsonObject:
        """Send a request and return its result as it came, taking what comes in between to the exchange.

        When the wait is cancelled, the upstream is told so in the way of its era, within a bounded time. Raises
        ``wire.RpcError`` for its error, ``SessionLost``, and ``TransportFailure``.
        """
        ...

    async def notify(self, message: Message) -> None:
        """Send a notification or an answer.

        Raises ``TransportFailure``, and ``wire.RpcError`` and ``SessionLost`` where something answers it all the same.
        """

    def settle(self, version: str, *, is_modern: bool) -> None:
        """Learn the protocol version that was agreed on."""

    def listen(self) -> None:
        """Begin to listen for what belongs to no request, in a session that has just been made."""

    async def close(self) -> None:
        """End the session there, within a bounded time; never raises what the upstream does."""

"""A channel on which all requests share one stream of messages either way: stdio, and HTTP+SSE."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from portal.upstream._failures import TransportFailure
from portal.wire import INVALID_REQUEST, Outgoing, RpcError, kind_of_unread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from portal.upstream._channel import Loss
    from portal.upstream._exchange import Exchange
    from portal.upstream._inbound import Inbound
    from portal.wire import Message, RequestId
    from typegen import JsonObject

logger = logging.getLogger("portico.upstream")


class DuplexChannel:
    """Requests over ``send``, whose answers ``take`` gets in any order."""

    is_http = False

    def __init__(
        self, send: Callable[[Message], Awaitable[None]], *, inbound: Inbound, loss: Loss, server_id: str
    ) -> None:
        self._send = send
        self._inbound = inbound
        self._loss = loss
        self._server_id = server_id
        self._outgoing = Outgoing()
        self._ended: str | None = None
        inbound.send = send
        inbound.has_one_stream = True

    def settle(self, version: str, *, is_modern: bool) -> None:
        """Nothing on this transport says the version."""

    def listen(self) -> None:
        """What belongs to no request comes on the same stream."""

    async def request(
        self,
        exchange: Exchange,
        params: JsonObject,
        *,
        headers: Mapping[str, str],  # noqa: ARG002 -- a Channel
    ) -> JsonObject:
        """Send a request and return its result, as a ``Channel`` does."""
        if self._ended is not None:
            raise TransportFailure(self._ended, kind="unsent")
        return await self._outgoing.request(
            exchange.method,
            params,
            send=self._send,
            request_id=exchange.request_id,
            tell_cancelled=exchange.method != "initialize",
        )

    async def notify(self, message: Message) -> None:
        """Send a notification, or an answer."""
        await self._send(message)

    async def close(self) -> None:
        """Nothing to say at the end: the stream closes."""

    def take(self, message: Message) -> None:
        """Take a message of the upstream."""
        if "method" in message:
            self._inbound.take(message, None)
        elif not self._outgoing.settle(message):
            logger.debug("%s: an answer that nobody waits for", self._server_id)

    def refuse(self, failure: TransportFailure, request_id: RequestId) -> None:
        """Fail the request whose answer cannot be taken, if it still waits."""
        self._outgoing.fail(failure, request_id=request_id)

    def refuse_unread(self, data: bytes, failure: TransportFailure) -> bool:
        """Refuse what ``data``, which could not be read, answers or asks; return whether its ends say that."""
        found = kind_of_unread(data)
        if found is None or found.request_id is None:
            return False
        if found.is_answer:
            self.refuse(failure, found.request_id)
        elif self._inbound.takes_requests:
            message = "The request cannot be read: it is not JSON, or nested too deep"
            self._inbound.refuse(found.request_id, RpcError(INVALID_REQUEST, message))
        return True

    def end(self, cause: str, *, too_large: bool = False) -> None:
        """Say that nothing more will come; requests that wait fail.

        What was ``too_large`` is taken for the answer of the one that waits; of several, nobody knows the fate.
        """
        if self._ended is None:
            self._ended = cause
            self._loss.note(cause)
            is_known = too_large and self._inbound.under_way == 1
            self._outgoing.fail(TransportFailure(cause, kind="too_large" if is_known else "unknown"))

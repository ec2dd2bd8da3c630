"""One open session with an upstream: requests in its era, as plain JSON either way.

Results come back as they were sent: fields that nobody here knows survive, and nothing is validated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portal._errors import UpstreamFailure, UpstreamRefused, UpstreamTimeout
from portal.upstream._channel import Loss, SessionLost
from portal.upstream._exchange import Exchange, Timeouts
from portal.upstream._failures import TransportFailure
from portal.upstream._negotiation import era_headers, era_meta
from portal.wire import (
    CAPABILITIES_KEY,
    CLIENT_INFO_KEY,
    LISTEN,
    LOG_LEVEL_KEY,
    MODERN_VERSION,
    NAMED_BY,
    VERSION_KEY,
    RpcError,
    encode_header,
    notification_message,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from portal._conversation import Conversation
    from portal.upstream._background import Background
    from portal.upstream._channel import Channel
    from portal.upstream._inbound import Inbound
    from portal.upstream._negotiation import Agreed
    from typegen import JsonObject, JsonValue

_OF_AN_ERA: Final = frozenset({VERSION_KEY, CLIENT_INFO_KEY, CAPABILITIES_KEY, LOG_LEVEL_KEY})

_NO_LIFE: Final = frozenset({401, 502, 503, 504})
"""Statuses that refuse the credential, or come from a proxy: to open the session again tells how the server is. Not so
403, which may be about the one method: a gateway that knows no ``ping`` would have the session opened without end."""


class UpstreamSession:
    """A session that is open. ``loss`` tells when it ends by itself."""

    def __init__(
        self,
        channel: Channel,
        agreed: Agreed,
        *,
        server_id: str,
        inbound: Inbound,
        loss: Loss,
        tasks: Background,
        ids: Iterator[int],
    ) -> None:
        self.protocol_version = agreed.version
        self.is_modern = agreed.version == MODERN_VERSION
        self.capabilities = agreed.capabilities
        self.server_info = agreed.server_info
        self.instructions = agreed.instructions
        self.ends_when_probed = agreed.ends_when_probed
        self.loss = loss
        self._channel = channel
        self._server_id = server_id
        self._inbound = inbound
        inbound.takes_requests = not self.is_modern
        self._tasks = tasks
        self._ids = ids

    async def request(
        self,
        method: str,
        params: JsonObject,
        *,
        timeouts: Timeouts,
        conversation: Conversation | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> JsonObject:
        """Send one request and return its result as it came, an interim one of MCP 2026-07-28 included.

        What the upstream asks and tells meanwhile goes to ``conversation``, whose capabilities are those that a modern
        upstream sees. ``headers`` are those that mirror arguments. Raises ``UpstreamFailure`` or ``SessionLost``.
        """
        try:
            return await self._perform(
                method, params, timeouts=timeouts, conversation=conversation, headers=headers or {}
            )
        except (RpcError, TransportFailure) as error:
            raise self._told(error) from error

    async def listen(self, filters: JsonObject, on_notification: Callable[[str, JsonObject], None]) -> None:
        """Hold a subscription open and hand over what comes on it, the acknowledgement first; return at its end.

        Only for MCP 2026-07-28 (subscriptions/listen); the versions before announce without being asked. Raises
        ``UpstreamFailure`` when it was refused or broke.
        """
        try:
            await self._perform(
                LISTEN,
                {"notifications": filters},
                timeouts=Timeouts(),
                on_notification=on_notification,
            )
        except (RpcError, TransportFailure) as error:
            raise self._told(error) from error

    async def notify(self, method: str) -> None:
        """Send a notification without params. Raises ``UpstreamFailure`` or ``SessionLost``."""
        try:
            await self._channel.notify(notification_message(method, None))
        except (RpcError, TransportFailure) as error:
            raise self._told(error) from error

    async def check(self, *, timeout_s: float) -> None:
        """Ask for a sign of life, and note the loss of the session when none comes."""
        try:
            await self._perform(
                "server/discover" if self.is_modern else "ping", {}, timeouts=Timeouts(total_s=timeout_s)
            )
        except (RpcError, SessionLost):
            pass  # an answer all the same; a lost session is noted already
        except TransportFailure as failure:
            if failure.kind in {"unsent", "unknown"} or failure.status in _NO_LIFE:
                self.loss.note(failure.phrase or f"HTTP {failure.status}")
        except UpstreamTimeout:
            self.loss.note(f"no sign of life within {timeout_s:g} s")

    def _told(self, error: RpcError | TransportFailure) -> UpstreamFailure:
        if isinstance(error, TransportFailure):
            return error.as_error(self._server_id)
        return UpstreamRefused(error.message, upstream=self._server_id, code=error.code, data=error.data)

    async def _perform(
        self,
        method: str,
        params: JsonObject,
        *,
        timeouts: Timeouts,
        conversation: Conversation | None = None,
        headers: Mapping[str, str] | None = None,
        on_notification: Callable[[str, JsonObject], None] | None = None,
    ) -> JsonObject:
        exchange = Exchange(
            next(self._ids),
            method,
            timeouts=timeouts,
            tasks=self._tasks,
            conversation=conversation,
            on_notification=on_notification,
        )
        self._inbound.begin(exchange)
        result: JsonObject | None = None
        try:
            with exchange.scope:
                result = await self._channel.request(
                    exchange, self._stamped(params, exchange), headers=self._headers(method, params, headers)
                )
            if result is None:
                message = f"{self._server_id} {exchange.timeout_message()}"
                raise UpstreamTimeout(message, upstream=self._server_id)
            await exchange.finish()
            return result
        finally:
            self._inbound.end(exchange)

    def _stamped(self, params: JsonObject, exchange: Exchange) -> JsonObject:
        """Return the parameters with the ``_meta`` of the era, and a token where progress is of use."""
        given = params.get("_meta")
        meta: dict[str, JsonValue] = {}
        if isinstance(given, dict):
            meta = {key: value for key, value in given.items() if key not in _OF_AN_ERA and key != "progressToken"}
        conversation = exchange.conversation
        # Progress also shows that a call lives, so it is asked for where the client does not want it.
        if exchange.method == "tools/call" or (conversation is not None and conversation.wants_progress):
            meta["progressToken"] = exchange.request_id
        if self.is_modern:
            capabilities = conversation.capabilities if conversation is not None else {}
            meta |= era_meta(capabilities, log_level=conversation.log_level if conversation is not None else None)
        if not meta:
            return {key: value for key, value in params.items() if key != "_meta"} if "_meta" in params else params
        return {**params, "_meta": meta}

    def _headers(self, method: str, params: JsonObject, given: Mapping[str, str] | None) -> Mapping[str, str]:
        if not (self.is_modern and self._channel.is_http):
            return {}
        name = params.get(NAMED_BY.get(method, ""))
        headers = era_headers(method, encode_header(name) if isinstance(name, str) else None)
        return {**headers, **given} if given else headers

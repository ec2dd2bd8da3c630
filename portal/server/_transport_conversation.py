"""What a transport can do with the client of one request: send it notifications, and requests where it may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from portal._conversation import require_declared
from portal._errors import ClientCannot
from portal.wire import INVALID_REQUEST, PROGRESS, Message, RpcError, notification_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portal.wire import Outgoing
    from typegen import JsonObject, JsonValue

Emit: TypeAlias = Callable[[Message], Awaitable[None]]


class TransportConversation:
    """The client's side of one request. A ``Conversation``.

    ``emit`` sends a message where this request's messages go. ``asks`` holds the requests that we send; without it the
    client cannot be asked in this way (MCP 2026-07-28).
    """

    __slots__ = ("_asks", "_emit", "_progress_token", "capabilities", "log_level")

    def __init__(
        self,
        emit: Emit,
        *,
        capabilities: Mapping[str, JsonValue],
        log_level: str | None,
        progress_token: JsonValue,
        asks: Outgoing | None = None,
    ) -> None:
        self._emit = emit
        self._asks = asks
        self._progress_token = progress_token if isinstance(progress_token, str | int) else None
        self.capabilities = capabilities
        self.log_level = log_level

    @property
    def wants_progress(self) -> bool:
        """Whether the client asked for progress."""
        return self._progress_token is not None

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        """Send the client a request and return its result as it came. Raises ``ClientCannot``, ``RpcError``."""
        require_declared(self.capabilities, method, params)
        if self._asks is None:
            raise ClientCannot("the client takes no requests")
        try:
            return await self._asks.request(method, params, send=self._emit)
        except ValueError as unwritable:
            raise RpcError(INVALID_REQUEST, f"the client cannot be asked this: {unwritable}") from None

    async def report_progress(self, report: JsonObject) -> None:
        """Tell the client how far the request is, if it asked for that."""
        if self._progress_token is not None:
            await self.notify(PROGRESS, {**report, "progressToken": self._progress_token})

    async def notify(self, method: str, params: JsonObject) -> None:
        """Send the client a notification that belongs to this request."""
        await self._emit(notification_message(method, params))

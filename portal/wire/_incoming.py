"""Requests and notifications of the far side, each request in a task of its own."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import anyio

from portal.wire._messages import (
    INTERNAL_ERROR,
    Message,
    RequestId,
    RpcError,
    error_message,
    response_message,
)
from portal.wire._names import CANCELLATION
from typegen import JsonObject

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from portal.wire._outgoing import Send

logger = logging.getLogger("portico.wire")

RequestHandler: TypeAlias = Callable[[RequestId, str, JsonObject], Awaitable[JsonObject]]
"""Answers a request, given its id, method and params; raises ``RpcError`` for the far side."""
NotificationHandler: TypeAlias = Callable[[str, JsonObject], Awaitable[None]]


class Incoming:
    """Serves requests of the far side in ``tasks``, and cancels those that it gives up."""

    def __init__(self, tasks: TaskGroup, *, on_request: RequestHandler, on_notification: NotificationHandler) -> None:
        self._tasks = tasks
        self._on_request = on_request
        self._on_notification = on_notification
        self._running: dict[RequestId, anyio.CancelScope] = {}

    def __len__(self) -> int:
        return len(self._running)

    async def take(self, message: Message, *, send: Send) -> None:
        """Take a request or a notification; the answer to a request goes out through ``send``."""
        method, params = message.get("method"), message.get("params")
        request_id = message.get("id")
        given: JsonObject = params if isinstance(params, dict) else {}
        if not isinstance(method, str):
            return
        if isinstance(request_id, str | int):
            self._tasks.start_soon(self._serve, request_id, method, given, send)
        elif method == CANCELLATION:
            self.cancel(given.get("requestId"))
        else:
            await self._on_notification(method, given)

    def cancel(self, request_id: object) -> None:
        """Stop a request that is running; an unknown one, or one that has ended, is nothing to do for."""
        scope = self._running.get(request_id) if isinstance(request_id, str | int) else None
        if scope is not None:
            scope.cancel()

    async def _serve(self, request_id: RequestId, method: str, params: JsonObject, send: Send) -> None:
        with anyio.CancelScope() as scope:
            self._running[request_id] = scope
            try:
                answer = await answer_to(self._on_request, request_id, method, params)
            finally:
                del self._running[request_id]
            await send(answer)


async def answer_to(handler: RequestHandler, request_id: RequestId, method: str, params: JsonObject) -> Message:
    """Answer a request, keeping our own mistakes from the far side: they are logged under a reference."""
    try:
        return response_message(request_id, await handler(request_id, method, params))
    except RpcError as error:
        return error_message(request_id, error)
    except Exception:
        reference = secrets.token_hex(4)
        logger.exception("request %s failed (reference %s)", method, reference)
        message = f"The portal failed to answer; its log says why under {reference}"
        return error_message(request_id, RpcError(INTERNAL_ERROR, message))

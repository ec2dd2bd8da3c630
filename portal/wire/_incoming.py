"""Requests of the far side, answered whatever happens."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from portal.wire._messages import (
    INTERNAL_ERROR,
    Message,
    RequestId,
    RpcError,
    error_message,
    response_message,
)
from typegen import JsonObject

logger = logging.getLogger("portico.wire")

RequestHandler: TypeAlias = Callable[[RequestId, str, JsonObject], Awaitable[JsonObject]]
"""Answers a request, given its id, method and params; raises ``RpcError`` for the far side."""


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

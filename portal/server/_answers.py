"""Answers of a portal as the bytes that go on the wire, and as a last word for requests that get none."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portal.wire import INTERNAL_ERROR, RpcError, answer_to, encode, error_message

if TYPE_CHECKING:
    from portal.server._request import ClientRequest
    from portal.server._server import ServedPortal
    from portal.wire import RequestId
    from typegen import JsonObject

logger = logging.getLogger("portico.portal")

CANCELLED: Final = -32800
"""The code of the Language Server Protocol for a request that its client gave up; MCP has none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One JSON-RPC response as text, in pieces because some are large; ``code`` is that of an error."""

    pieces: tuple[bytes, ...]
    code: int | None = None

    @property
    def text(self) -> bytes:
        """The response as one piece."""
        return b"".join(self.pieces)


async def answer(
    portal: ServedPortal, request_id: RequestId, method: str, params: JsonObject, request: ClientRequest
) -> Answer:
    """Answer a request, keeping our own mistakes from the client."""

    async def handled(_: RequestId, method: str, params: JsonObject) -> JsonObject:
        return await portal.handle(method, params, request)

    if method.endswith("/list") and params.get("cursor") is None:
        try:
            listed = portal.listed(method, request)
        except Exception:  # noqa: BLE001 -- it will fail again below, where mistakes of ours are logged and hidden
            listed = None
        if listed is not None:
            return Answer((b'{"jsonrpc":"2.0","id":%b,"result":' % encode(request_id), listed, b"}"))
    message = await answer_to(handled, request_id, method, params)
    error = message.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    try:
        return Answer((encode(message),), code=code if isinstance(code, int) else None)
    except (TypeError, ValueError) as unwritable:  # as what a server sent was: nested too deep
        logger.warning("the answer to %s cannot be written (%s)", method, type(unwritable).__name__)
        return failed(request_id, INTERNAL_ERROR, "The answer cannot be written as JSON; it may be nested too deep")


def failed(request_id: RequestId | None, code: int, message: str) -> Answer:
    """Return the answer to a request that has no other."""
    return Answer((encode(error_message(request_id, RpcError(code, message))),), code=code)


def stopped(request_id: RequestId) -> Answer:
    """Return the answer to a request that the end of the process cut short."""
    message = "The portal stopped before this was answered; whether it was done is unknown"
    return failed(request_id, INTERNAL_ERROR, message)

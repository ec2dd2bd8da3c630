"""The four kinds of message, and the error that one of them carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from typegen import JsonObject

if TYPE_CHECKING:
    from typegen import JsonValue

Message: TypeAlias = JsonObject
RequestId: TypeAlias = str | int

# JSON-RPC 2.0, section 5.1.
PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
# MCP 2026-07-28, basic, versioning.
UNSUPPORTED_VERSION: Final = -32022


class RpcError(Exception):
    """Raised when a request is answered with an error, by the far side or by us; ``data`` is what came with it."""

    def __init__(self, code: int, message: str, data: JsonValue = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    @classmethod
    def of(cls, error: JsonValue) -> RpcError:
        """Read the ``error`` of a message, whatever the far side made of it."""
        if not isinstance(error, dict):
            return cls(INTERNAL_ERROR, "the other side answered with an error that says nothing")
        code, message = error.get("code"), error.get("message")
        return cls(
            code if isinstance(code, int) and not isinstance(code, bool) else INTERNAL_ERROR,
            message if isinstance(message, str) else "the other side gave no reason",
            error.get("data"),
        )

    def as_json(self) -> JsonObject:
        """Return the ``error`` of a message."""
        error: JsonObject = {"code": self.code, "message": self.message}
        return error if self.data is None else {**error, "data": self.data}


def request_message(request_id: RequestId, method: str, params: JsonObject | None) -> Message:
    """Return a request."""
    message: Message = {"jsonrpc": "2.0", "id": request_id, "method": method}
    return message if params is None else {**message, "params": params}


def notification_message(method: str, params: JsonObject | None) -> Message:
    """Return a notification."""
    message: Message = {"jsonrpc": "2.0", "method": method}
    return message if params is None else {**message, "params": params}


def response_message(request_id: RequestId, result: JsonObject) -> Message:
    """Return the answer to a request."""
    return {"jsonrpc": "2.0", "id": request_id, "result": result}


def error_message(request_id: RequestId | None, error: RpcError) -> Message:
    """Return the answer to a request that failed; ``None`` where its id could not be read."""
    return {"jsonrpc": "2.0", "id": request_id, "error": error.as_json()}

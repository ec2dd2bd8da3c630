"""JSON-RPC 2.0 as MCP uses it, over anything that carries messages; knows nothing of tools, portals or upstreams.

Messages are plain JSON objects throughout, so that fields which nobody here knows survive.
"""

from portal.wire._incoming import Incoming, NotificationHandler, RequestHandler
from portal.wire._messages import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    Message,
    RequestId,
    RpcError,
    error_message,
    notification_message,
    request_message,
    response_message,
)
from portal.wire._outgoing import Outgoing, Send
from portal.wire._versions import HANDSHAKE_VERSIONS, KNOWN_VERSIONS, LATEST_HANDSHAKE_VERSION, MODERN_VERSION

__all__ = [
    "HANDSHAKE_VERSIONS",
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "KNOWN_VERSIONS",
    "LATEST_HANDSHAKE_VERSION",
    "METHOD_NOT_FOUND",
    "MODERN_VERSION",
    "PARSE_ERROR",
    "Incoming",
    "Message",
    "NotificationHandler",
    "Outgoing",
    "RequestHandler",
    "RequestId",
    "RpcError",
    "Send",
    "error_message",
    "notification_message",
    "request_message",
    "response_message",
]

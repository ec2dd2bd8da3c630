"""JSON-RPC 2.0 as MCP uses it, over anything that carries messages; knows nothing of tools, portals or upstreams.

Messages are plain JSON objects throughout, so that fields which nobody here knows survive.
"""

from portal.wire._encoding import decode, encode
from portal.wire._incoming import RequestHandler, answer_to
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
from portal.wire._mirrored_params import (
    MirroredParam,
    decode_header,
    encode_header,
    mirrored_params,
    param_headers,
    param_mismatch,
)
from portal.wire._names import (
    CANCELLATION,
    CAPABILITIES_KEY,
    CLIENT_INFO_KEY,
    LISTEN,
    LOG_LEVEL_KEY,
    LOG_MESSAGE,
    META_PREFIX,
    NAMED_BY,
    PROGRESS,
    SERVER_INFO_KEY,
    SUBSCRIPTION_KEY,
    VERSION_KEY,
)
from portal.wire._outgoing import Outgoing, Send
from portal.wire._versions import HANDSHAKE_VERSIONS, LATEST_HANDSHAKE_VERSION, MODERN_VERSION

__all__ = [
    "CANCELLATION",
    "CAPABILITIES_KEY",
    "CLIENT_INFO_KEY",
    "HANDSHAKE_VERSIONS",
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "LATEST_HANDSHAKE_VERSION",
    "LISTEN",
    "LOG_LEVEL_KEY",
    "LOG_MESSAGE",
    "META_PREFIX",
    "METHOD_NOT_FOUND",
    "MODERN_VERSION",
    "NAMED_BY",
    "PARSE_ERROR",
    "PROGRESS",
    "SERVER_INFO_KEY",
    "SUBSCRIPTION_KEY",
    "VERSION_KEY",
    "Message",
    "MirroredParam",
    "Outgoing",
    "RequestHandler",
    "RequestId",
    "RpcError",
    "Send",
    "answer_to",
    "decode",
    "decode_header",
    "encode",
    "encode_header",
    "error_message",
    "mirrored_params",
    "notification_message",
    "param_headers",
    "param_mismatch",
    "request_message",
    "response_message",
]

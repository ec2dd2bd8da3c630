"""What a client is told first: the answers to ``initialize`` and ``server/discover``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.server._envelope import SERVER_INFO
from portal.server._params import text_param
from portal.wire import HANDSHAKE_VERSIONS, LATEST_HANDSHAKE_VERSION, MODERN_VERSION

if TYPE_CHECKING:
    from typegen import JsonObject


def initialize_result(params: JsonObject, *, capabilities: JsonObject, instructions: str) -> JsonObject:
    """Answer ``initialize``; ``protocolVersion`` in it is the one that the session will speak.

    A version that has no handshake, or that nobody knows, is answered with the latest that has one. Raises
    ``RpcError``.
    """
    asked = text_param(params, "protocolVersion", of="initialize")
    return {
        "protocolVersion": asked if asked in HANDSHAKE_VERSIONS else LATEST_HANDSHAKE_VERSION,
        "capabilities": capabilities,
        "serverInfo": SERVER_INFO,
        "instructions": instructions,
    }


def discover_result(*, capabilities: JsonObject, instructions: str) -> JsonObject:
    """Answer ``server/discover``, naming the versions that are spoken without a handshake."""
    return {
        "supportedVersions": [MODERN_VERSION],
        "capabilities": capabilities,
        "instructions": instructions,
    }

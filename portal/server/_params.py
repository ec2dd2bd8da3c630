"""The params of requests, read by hand: what is missing or wrong is said in a sentence that names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.wire import INVALID_PARAMS, RpcError

if TYPE_CHECKING:
    from typegen import JsonObject


def text_param(params: JsonObject, name: str, *, of: str) -> str:
    """Return the text ``name``. Raises ``RpcError`` in the words of the request ``of``."""
    value = params.get(name)
    if not isinstance(value, str):
        raise RpcError(INVALID_PARAMS, f"{of} takes {name} as text")
    return value


def object_param(params: JsonObject, name: str, *, of: str) -> JsonObject:
    """Return the object ``name``, empty where it is left out. Raises ``RpcError`` likewise."""
    value = params.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RpcError(INVALID_PARAMS, f"{of} takes {name} as an object")
    return value


def shown(text: str) -> str:
    """Shorten what a client sent, to be named in a message."""
    return text if len(text) <= 128 else f"{text[:128]}…"

"""What each era of the protocol puts around a result, and what the older one cannot carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portal._version import VERSION
from portal.wire import SERVER_INFO_KEY, encode

if TYPE_CHECKING:
    from portal.server._request import ClientRequest
    from typegen import JsonObject, JsonValue

SERVER_INFO: Final[JsonObject] = {"name": "portico", "title": "Portico", "version": VERSION}
CACHED_METHODS: Final = frozenset(
    {
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
    }
)
"""Methods whose results say how long they may be kept (MCP 2026-07-28, caching)."""


def enveloped(result: JsonObject, method: str, *, is_modern: bool) -> JsonObject:
    """Return a result as it goes out to a client.

    What it says itself about its type and how long it may be kept counts, but not for whom: what a portal answers
    depends on who asks. The server that it names is this portal.
    """
    if not is_modern:
        return result
    meta = result.get("_meta")
    stamped: JsonObject = {**(meta if isinstance(meta, dict) else {}), SERVER_INFO_KEY: SERVER_INFO}
    if method in CACHED_METHODS and result.get("resultType", "complete") == "complete":
        return {"resultType": "complete", "ttlMs": 0, **result, "cacheScope": "private", "_meta": stamped}
    return {"resultType": "complete", **result, "_meta": stamped}


def tool_result(result: JsonObject, request: ClientRequest) -> JsonObject:
    """Return a tool's result without structured content that the client's version cannot carry.

    Up to 2025-11-25 that is an object and nothing else. Where no text says it too, as a server's should (MCP
    2026-07-28, tools, Structured Content), it becomes one.
    """
    structured = result.get("structuredContent", {})
    if request.is_modern or isinstance(structured, dict):
        return result
    kept = {key: value for key, value in result.items() if key != "structuredContent"}
    content = result.get("content")
    if structured is not None and isinstance(content, list) and not any(map(_is_text, content)):
        try:
            text = encode(structured).decode()
        except ValueError:  # nested too deep
            return kept
        kept["content"] = [*content, {"type": "text", "text": text}]
    return kept


def _is_text(block: JsonValue) -> bool:
    return isinstance(block, dict) and block.get("type") == "text"

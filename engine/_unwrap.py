"""An MCP tool result -> the value that a program gets, or the error that it catches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from engine._errors import UpstreamError

if TYPE_CHECKING:
    from engine._catalog import CatalogTool
    from typegen import JsonObject, JsonValue


def unwrap(result: JsonObject, entry: CatalogTool) -> JsonValue:
    """Return what ``result`` carries: structured content; else text, parsed where it is wholly a JSON object or array;
    else the blocks themselves, one alone or several as a list.

    Raises ``UpstreamError`` for a result that says ``isError``.
    """
    blocks = _blocks(result)
    texts = [part for block in blocks if block.get("type") == "text" and isinstance(part := block.get("text"), str)]
    text = "\n".join(texts)
    if result.get("isError") is True:
        raise UpstreamError(
            text or "the tool failed and gave no reason",
            server=entry.server_id,
            tool=entry.name,
            code=_error_code(result.get("structuredContent")),
            data=result.get("structuredContent"),
        )
    if result.get("structuredContent") is not None:
        return result["structuredContent"]
    if len(texts) == len(blocks):
        return parse_document(text) if blocks else None
    return blocks[0] if len(blocks) == 1 else list(blocks)


def parse_document(text: str) -> JsonValue:
    """Return the JSON object or array that ``text`` wholly is, else ``text`` itself."""
    stripped = text.strip()
    if (stripped[:1], stripped[-1:]) in {("{", "}"), ("[", "]")}:
        try:
            parsed: JsonValue = orjson.loads(stripped)
        except orjson.JSONDecodeError:
            return text
        return parsed
    return text


def _blocks(result: JsonObject) -> list[JsonObject]:
    content = result.get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _error_code(data: JsonValue) -> int | str | None:
    """Return the code that a structured error names, if it does."""
    if not isinstance(data, dict):
        return None
    code = data.get("code", data.get("status"))
    return code if isinstance(code, int | str) else None

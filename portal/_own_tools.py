"""The portal's own tools: listed beside those of its servers, and methods of a program like them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portal._upstream_tool import read_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from portal._json import JsonObject
    from portal._upstream import ServerStatus
    from portal._upstream_tool import UpstreamTool

OWN_SERVER_ID: Final = "portal"
"""Reserved in configurations; so ``portal_list_servers`` splits as every other name does."""
OWN_SERVER_NAME: Final = "Portico"

_LIST_SERVERS: Final[JsonObject] = {
    "name": "list_servers",
    "title": "List servers",
    "description": "List the servers behind this portal, one a line: name, id, and whether it is ready.",
    "inputSchema": {"type": "object", "properties": {}, "additionalProperties": False},
    "annotations": {"readOnlyHint": True, "openWorldHint": False},
}

OWN_TOOLS: Final[tuple[UpstreamTool, ...]] = read_tools([_LIST_SERVERS], upstream=OWN_SERVER_ID)


def list_servers(servers: Iterable[ServerStatus]) -> JsonObject:
    """Answer ``portal_list_servers``: causes stay with the operator, who may read an address in them."""
    lines = [f"- {server.name} ({server.id}): {server.status}" for server in servers]
    return {"content": [{"type": "text", "text": "\n".join(lines) or "No servers are configured."}]}


OWN_ANSWERS: Final[Mapping[str, Callable[[Iterable[ServerStatus]], JsonObject]]] = {"list_servers": list_servers}

"""The portal's own tools: listed beside those of its servers, and methods of a program like them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portal.server._tool_results import error_result, text_result
from portal.upstream import UpstreamTool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portal._config import PortalConfig
    from portal.server._switches import Switches
    from portal.upstream import Caller, Fleet, ServerStatus
    from typegen import JsonObject, JsonValue

OWN_SERVER_ID: Final = "portal"
"""Reserved in configurations; so ``portal_list_servers`` splits as every other name does."""
OWN_SERVER_NAME: Final = "Portico"

_NOTHING: Final[JsonObject] = {"type": "object", "properties": {}, "additionalProperties": False}
_LIST_SERVERS: Final[JsonObject] = {
    "name": "list_servers",
    "title": "List servers",
    "description": "List the servers behind this portal, one a line: name, id, and whether it is ready.",
    "inputSchema": _NOTHING,
    "annotations": {"readOnlyHint": True, "openWorldHint": False},
}
_TOGGLE_SERVERS: Final[JsonObject] = {
    "name": "toggle_servers",
    "title": "Choose servers",
    "description": "Tell the user where to choose which servers of this portal are on.",
    "inputSchema": _NOTHING,
    "annotations": {"readOnlyHint": True, "openWorldHint": False},
}
_TOGGLE_ONE: Final[JsonObject] = {
    "name": "toggle_single_server",
    "title": "Switch a server",
    "description": "Switch one server of this portal on (toggle) or off (untoggle) for the user.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "server_id": {"type": "string", "description": "An id from portal_list_servers"},
            "action": {"enum": ["toggle", "untoggle"]},
        },
        "required": ["server_id", "action"],
        "additionalProperties": False,
    },
    "annotations": {"destructiveHint": False, "idempotentHint": True, "openWorldHint": False},
}

OWN_TOOLS: Final = tuple(UpstreamTool.own(each) for each in (_LIST_SERVERS, _TOGGLE_SERVERS, _TOGGLE_ONE))


class OwnTools:
    """Answers the calls of one portal's own tools."""

    def __init__(self, *, portal: PortalConfig, fleet: Fleet, switches: Switches) -> None:
        self._portal = portal
        self._fleet = fleet
        self._switches = switches
        self._answers: Mapping[str, Callable[[Mapping[str, JsonValue], Caller], JsonObject]] = {
            "list_servers": self._list_servers,
            "toggle_servers": self._toggle_servers,
            "toggle_single_server": self._toggle_single_server,
        }

    def call(self, name: str, arguments: Mapping[str, JsonValue], caller: Caller) -> JsonObject:
        """Answer one call with an MCP result."""
        return self._answers[name](arguments, caller)

    def _list_servers(self, _: Mapping[str, JsonValue], caller: Caller) -> JsonObject:
        # Causes of errors stay with the operator, who may read an address in them.
        off = self._switches.off_for(caller.user)
        lines = [
            f"- {server.name} ({server.id}): {'off' if server.id in off else server.status}"
            for server in self._offered()
        ]
        return text_result("\n".join(lines) or "No servers are configured.")

    def _toggle_servers(self, _: Mapping[str, JsonValue], _caller: Caller) -> JsonObject:
        return text_result(
            "This portal has no page for it yet. Switch one server with portal_toggle_single_server {server_id, "
            f'action}}; for everybody, edit "servers:" of the portal "{self._portal.id}" in its configuration file.'
        )

    def _toggle_single_server(self, arguments: Mapping[str, JsonValue], caller: Caller) -> JsonObject:
        server_id, action = arguments.get("server_id"), arguments.get("action")
        known = [server.id for server in self._offered()]
        # Compared, not looked up: what a client sends may be nothing that a set takes.
        if server_id not in known or action not in ("toggle", "untoggle"):
            listed = ", ".join(known) or "none"
            return error_result(f"server_id is one of: {listed}; action is toggle or untoggle.")
        is_on = action == "toggle"
        self._switches.switch(caller.user, str(server_id), is_on=is_on)
        return text_result(f"{server_id} is {'on' if is_on else 'off'}.")

    def _offered(self) -> list[ServerStatus]:
        offered = {server.id for server in self._portal.servers}
        return [status for status in self._fleet.status() if status.id in offered]

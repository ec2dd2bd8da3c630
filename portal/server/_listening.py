"""Standing wishes of a client of MCP 2026-07-28 to be told of changes: ``subscriptions/listen``.

MCP 2026-07-28, basic/patterns/subscriptions: the answer is acknowledged first, everything sent carries the id of the
request, nothing is sent that was not asked for, and a result comes only when the portal itself ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portal.server._announcements import Listener
from portal.server._envelope import SERVER_INFO
from portal.server._event_stream import EventStream, event
from portal.wire import (
    INVALID_PARAMS,
    LISTEN,
    PROMPTS_CHANGED,
    RESOURCE_UPDATED,
    RESOURCES_CHANGED,
    SERVER_INFO_KEY,
    SUBSCRIPTION_KEY,
    TOOLS_CHANGED,
    RpcError,
    encode,
    notification_message,
    response_message,
)

if TYPE_CHECKING:
    from portal.server._announcements import Announcements
    from portal.server._exchanges import Exchanges
    from portal.server._http_messages import HttpRequest
    from portal.server._modes import View
    from portal.upstream import Caller
    from portal.wire import Message, RequestId
    from typegen import JsonObject, JsonValue

WISHES: Final = {
    "toolsListChanged": TOOLS_CHANGED,
    "promptsListChanged": PROMPTS_CHANGED,
    "resourcesListChanged": RESOURCES_CHANGED,
}
MAX_URIS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one ``subscriptions/listen`` asks for, of what can be had."""

    request_id: RequestId
    changes: frozenset[str]
    uris: frozenset[str]

    @classmethod
    def of(cls, request_id: RequestId, params: JsonObject) -> Wishes:
        """Read the params. Raises ``RpcError``."""
        asked = params.get("notifications")
        if not isinstance(asked, dict):
            raise RpcError(INVALID_PARAMS, f"{LISTEN} takes notifications as an object")
        uris = asked.get("resourceSubscriptions", [])
        if not isinstance(uris, list) or len(uris) > MAX_URIS or not all(isinstance(uri, str) for uri in uris):
            raise RpcError(INVALID_PARAMS, f"resourceSubscriptions is a list of at most {MAX_URIS} URIs")
        changes = frozenset(name for name in WISHES if asked.get(name) is True)
        return cls(request_id, changes, frozenset(str(uri) for uri in uris))

    @property
    def methods(self) -> frozenset[str]:
        """The notifications that were asked for."""
        updates = {RESOURCE_UPDATED} if self.uris else set()
        return frozenset({WISHES[name] for name in self.changes} | updates)

    def acknowledgement(self) -> Message:
        """Return the first message."""
        granted: JsonObject = dict.fromkeys(sorted(self.changes), True)
        if self.uris:
            granted["resourceSubscriptions"] = [*sorted(self.uris)]
        return self.stamped("notifications/subscriptions/acknowledged", {"notifications": granted})

    def stamped(self, method: str, params: JsonObject) -> Message:
        """Return a notification as it goes out."""
        meta = params.get("_meta")
        stamped: JsonValue = {**(meta if isinstance(meta, dict) else {}), SUBSCRIPTION_KEY: self.request_id}
        return notification_message(method, {**params, "_meta": stamped})

    def farewell(self) -> Message:
        """Return the last message, when the portal ends it."""
        return response_message(self.request_id, self.result())

    def result(self) -> JsonObject:
        """Return the result in it."""
        meta: JsonObject = {SERVER_INFO_KEY: SERVER_INFO, SUBSCRIPTION_KEY: self.request_id}
        return {"resultType": "complete", "_meta": meta}


async def listen_over_http(
    wishes: Wishes,
    request: HttpRequest,
    *,
    caller: Caller,
    view: View,
    listeners: Announcements,
    exchanges: Exchanges,
) -> None:
    """Serve one stream until its client is gone, does not read, or the portal stops. Raises ``HttpRefusal``."""
    exchanges.check_standing()
    stream = EventStream(request.send)

    async def notify(method: str, params: JsonObject) -> None:
        await stream.write(event(encode(wishes.stamped(method, params))))

    await stream.write(event(encode(wishes.acknowledgement())))
    listener = Listener(
        caller=caller,
        view=view,
        notify=notify,
        on_stuck=stream.finish,
        uris=wishes.uris,
        methods=wishes.methods,
    )
    listeners.add(listener)
    try:
        was_told = await exchanges.hold_open(stream, request)
    finally:
        listeners.remove(listener)
    if was_told:
        await stream.end(event(encode(wishes.farewell())))

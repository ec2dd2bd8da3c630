"""``resources/read``, and subscriptions to resources by clients with a handshake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portal.server._params import shown, text_param
from portal.wire import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, RpcError

if TYPE_CHECKING:
    from portal.server._announcements import Announcements, Listener
    from portal.server._listing import Listing
    from portal.server._lists import Lists
    from portal.server._passing import Passing
    from portal.server._request import ClientRequest
    from portal.server._subscriptions import Subscriptions
    from typegen import JsonObject, JsonValue

READ: Final = "resources/read"
RESOURCE_NOT_FOUND: Final = -32002
"""Of the handshake versions; MCP 2026-07-28 answers ``INVALID_PARAMS``."""
NOT_HERE: Final = frozenset({RESOURCE_NOT_FOUND, INVALID_PARAMS, METHOD_NOT_FOUND})
"""Answers by which a server says that it has no such resource, so that another may be asked."""


class Resources:
    """Answers requests about the resources of one portal."""

    def __init__(
        self, *, lists: Lists, passing: Passing, announcements: Announcements, subscriptions: Subscriptions
    ) -> None:
        self._lists = lists
        self._passing = passing
        self._announcements = announcements
        self._subscriptions = subscriptions

    async def read(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Return what a resource holds, under the URI that the client asked for. Raises ``RpcError``."""
        uri = text_param(params, "uri", of=READ)
        route = self._lists.for_request(request).route_resource(uri)
        missing = RpcError(
            INVALID_PARAMS if request.is_modern else RESOURCE_NOT_FOUND,
            f"Resource not found: {shown(uri)}",
            {"uri": uri},
        )
        asking = self._passing.server_asking(READ, params, request)
        if asking is not None:  # the answers are for that server alone
            route = [place for place in route if place[0] == asking]
        failure: RpcError | None = None
        for server_id, own_uri in route:
            asked: JsonObject = {**params, "uri": own_uri}
            try:
                result = await self._passing.pass_on(READ, params, request, server_id=server_id, asked=asked)
            except RpcError as error:
                if len(route) == 1 and error.code != METHOD_NOT_FOUND:
                    raise _worded(error, request) from error
                if error.code not in NOT_HERE:  # another server may have it; else this is the reason
                    failure = failure or error
            else:
                return result if own_uri == uri else _renamed(result, own_uri, uri)
        raise failure or missing

    async def subscribe(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Have the client told when a resource changes. Raises ``RpcError``."""
        uri = text_param(params, "uri", of="resources/subscribe")
        for listener in self._listeners(request):
            with self._passing.refusals():
                await self._subscriptions.subscribe(listener, uri)
        return {}

    async def unsubscribe(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Tell the client of a resource no more. Raises ``RpcError``."""
        uri = text_param(params, "uri", of="resources/unsubscribe")
        for listener in self._listeners(request):
            with self._passing.refusals():
                await self._subscriptions.unsubscribe(listener, uri)
        return {}

    def _listeners(self, request: ClientRequest) -> list[Listener]:
        listeners = self._announcements.listeners_of(request.caller)
        if not listeners:
            raise RpcError(INVALID_REQUEST, "This connection cannot be told of changes")
        return listeners


def _worded(error: RpcError, request: ClientRequest) -> RpcError:
    """Return a server's word that it has no such resource, with the code that the client's version has for that."""
    is_old = request.is_modern and error.code == RESOURCE_NOT_FOUND
    return RpcError(INVALID_PARAMS, error.message, error.data) if is_old else error


def with_listed_uris(result: JsonObject, server_id: str, listing: Listing) -> JsonObject:
    """Return a result in which links and embedded resources of its server have the URIs that clients read them by."""
    blocks = result.get("content")
    if not isinstance(blocks, list) or not any(_uri_of(block) for block in blocks):
        return result
    return {**result, "content": [_relinked(block, server_id, listing) for block in blocks]}


def _relinked(block: JsonValue, server_id: str, listing: Listing) -> JsonValue:
    uri = _uri_of(block)
    if uri is None or not isinstance(block, dict):
        return block
    listed = listing.listed_uri(server_id, uri)
    if listed == uri:
        return block
    resource = block.get("resource")
    if isinstance(resource, dict):
        return {**block, "resource": {**resource, "uri": listed}}
    return {**block, "uri": listed}


def _uri_of(block: JsonValue) -> str | None:
    if not isinstance(block, dict):
        return None
    holder = block.get("resource") if block.get("type") == "resource" else block
    uri = holder.get("uri") if isinstance(holder, dict) and block.get("type") in {"resource", "resource_link"} else None
    return uri if isinstance(uri, str) else None


def _renamed(result: JsonObject, own_uri: str, uri: str) -> JsonObject:
    """Return contents under the URI that the client knows."""
    contents = result.get("contents")
    if not isinstance(contents, list):
        return result
    renamed: list[JsonValue] = [
        {**content, "uri": uri} if isinstance(content, dict) and content.get("uri") == own_uri else content
        for content in contents
    ]
    return {**result, "contents": renamed}

"""``completion/complete``: asked of the server whose prompt or template it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portal.server._params import object_param, shown
from portal.wire import INVALID_PARAMS, RpcError

if TYPE_CHECKING:
    from portal.server._listing import Listing
    from portal.server._lists import Lists
    from portal.server._passing import Passing
    from portal.server._request import ClientRequest
    from portal.upstream import Fleet
    from typegen import JsonObject

_NOTHING: Final[JsonObject] = {"completion": {"values": [], "total": 0, "hasMore": False}}
METHOD: Final = "completion/complete"


class Completion:
    """Completes the arguments of prompts and resource templates of one portal."""

    def __init__(self, *, fleet: Fleet, lists: Lists, passing: Passing) -> None:
        self._fleet = fleet
        self._lists = lists
        self._passing = passing

    async def complete(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Return what a server suggests; nothing where it suggests nothing at all. Raises ``RpcError``."""
        ref = object_param(params, "ref", of=METHOD)
        argument = object_param(params, "argument", of=METHOD)
        if not isinstance(argument.get("name"), str) or not isinstance(argument.get("value"), str):
            raise RpcError(INVALID_PARAMS, f"{METHOD} takes argument as an object with name and value")
        server_id, own_ref = _place(ref, self._lists.for_request(request))
        if "completions" not in self._fleet.listing(server_id).offers.capabilities:
            return _NOTHING
        return await self._passing.pass_on(
            METHOD, params, request, server_id=server_id, asked={**params, "ref": own_ref}
        )


def _place(ref: JsonObject, listing: Listing) -> tuple[str, JsonObject]:
    """Return the server that a reference means, and how the server itself would write it. Raises ``RpcError``."""
    name, uri = ref.get("name"), ref.get("uri")
    if ref.get("type") == "ref/prompt" and isinstance(name, str):
        prompt = listing.prompts.get(name)
        if prompt is None:
            raise RpcError(INVALID_PARAMS, f"Unknown prompt: {shown(name)}")
        return prompt.server_id, {**ref, "name": prompt.own_name}
    if ref.get("type") == "ref/resource" and isinstance(uri, str):
        template = listing.templates.get(uri)
        if template is not None:
            return template.server_id, {**ref, "uri": template.own_uri}
        route = listing.route_resource(uri)
        if route:
            return route[0][0], {**ref, "uri": route[0][1]}
        raise RpcError(INVALID_PARAMS, f"Unknown resource template: {shown(uri)}")
    raise RpcError(
        INVALID_PARAMS, f'{METHOD} takes ref as {{"type": "ref/prompt", "name"}} or {{"type": "ref/resource", "uri"}}'
    )

"""``prompts/get``: asked of the server whose prompt it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal.server._params import object_param, shown, text_param
from portal.wire import INVALID_PARAMS, RpcError

if TYPE_CHECKING:
    from portal.server._lists import Lists
    from portal.server._passing import Passing
    from portal.server._request import ClientRequest
    from typegen import JsonObject


class Prompts:
    """Answers requests about the prompts of one portal."""

    def __init__(self, *, lists: Lists, passing: Passing) -> None:
        self._lists = lists
        self._passing = passing

    async def get(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Return a prompt as its server answers. Raises ``RpcError``."""
        name = text_param(params, "name", of="prompts/get")
        object_param(params, "arguments", of="prompts/get")
        prompt = self._lists.for_request(request).prompts.get(name)
        if prompt is None:
            raise RpcError(INVALID_PARAMS, f"Unknown prompt: {shown(name)}")
        asked = {**params, "name": prompt.own_name}
        return await self._passing.pass_on("prompts/get", params, request, server_id=prompt.server_id, asked=asked)

"""Requests that may ask their client something: in which era, over how many rounds, and where they wait meanwhile.

A client with a handshake is asked while its request is open. One of MCP 2026-07-28 sends its request again with the
answers. When such a client calls an upstream of the same version, the upstream's questions and its state pass through,
and nothing is kept here; else the request is suspended: see ``SuspendedRequests``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from portal._conversation import can_be_asked
from portal.server._params import object_param
from portal.server._sealed_state import Binding, StateSeal, refused_state
from portal.server._suspended import SuspendedRequests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from portal._conversation import Conversation
    from portal.server._request import ClientRequest
    from portal.server._suspended import Suspended
    from typegen import JsonObject

    AskingWork: TypeAlias = Callable[[Conversation, JsonObject | None], Awaitable[JsonObject]]

INPUT_REQUIRED = "input_required"


class Rounds:
    """Serves the requests of one portal that may ask."""

    def __init__(self, *, portal_id: str) -> None:
        self._portal_id = portal_id
        self._seal = StateSeal()
        self.suspended = SuspendedRequests()

    def server_asking(self, method: str, params: JsonObject, request: ClientRequest) -> str | None:
        """Return the id of the server whose questions a request answers; None where it answers none.

        Raises ``RpcError`` for a state that does not belong to the request.
        """
        server_id = self._opened(method, params, request).get("server")
        return server_id if isinstance(server_id, str) else None

    async def serve(
        self,
        method: str,
        params: JsonObject,
        request: ClientRequest,
        work: AskingWork,
        *,
        server_id: str | None,
        passes: bool,
    ) -> JsonObject:
        """Do ``work`` with a conversation in which the client can be asked.

        With ``passes``, which says that all that can ask is an upstream of MCP 2026-07-28, the work may also return
        that upstream's questions (a result with ``input_required``): its second argument is then what goes to the
        upstream beside the usual params. Otherwise that is None, and the work has to ask through the conversation.
        ``server_id`` is the one upstream that can ask, None where it may be any: answers go back to it alone.
        Raises ``RpcError``, and what the work raises.
        """
        if not request.is_modern:
            return await work(request.conversation, None)
        answers = object_param(params, "inputResponses", of=method)
        opened = self._opened(method, params, request)
        if opened and opened["server"] != server_id:  # the same name means another server's by now
            raise refused_state()
        if "suspended" in opened:
            kept = self.suspended.find(opened["suspended"], user=request.caller.user)
            return await self._round(kept, method, params, request, server_id=server_id, answers=answers)
        if passes:
            result = await work(request.conversation, _carried(opened, answers))
            return self._sealed(result, method, params, request, server_id)
        if opened:  # the upstream's own state, while what now answers is no longer an upstream that could read it
            raise refused_state()
        if not can_be_asked(request.conversation.capabilities):
            return await work(request.conversation, None)
        kept = self.suspended.begin(lambda conversation: work(conversation, None), user=request.caller.user)
        return await self._round(kept, method, params, request, server_id=server_id, answers={})

    def _opened(self, method: str, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Return what the state of a request holds, nothing where it has none. Raises ``RpcError``."""
        if not request.is_modern or params.get("requestState") is None:
            return {}
        return self._seal.open(params["requestState"], self._binding(method, params, request))

    async def _round(
        self,
        kept: Suspended,
        method: str,
        params: JsonObject,
        request: ClientRequest,
        *,
        server_id: str | None,
        answers: JsonObject,
    ) -> JsonObject:
        result = await kept.attend(request.conversation, answers)
        if result is not None:
            return result
        binding = self._binding(method, params, request)
        self.suspended.suspend(kept, size=binding.size)
        return {
            "resultType": INPUT_REQUIRED,
            "inputRequests": kept.questions(),
            "requestState": self._seal.seal({"server": server_id, "suspended": kept.id}, binding),
        }

    def _sealed(
        self, result: JsonObject, method: str, params: JsonObject, request: ClientRequest, server_id: str | None
    ) -> JsonObject:
        """Seal whose questions these are, if they are any, together with the state of the upstream's own."""
        if result.get("resultType") != INPUT_REQUIRED:
            return result
        content: JsonObject = {"server": server_id}
        if "requestState" in result:
            content["upstream"] = result["requestState"]
        return {**result, "requestState": self._seal.seal(content, self._binding(method, params, request))}

    def _binding(self, method: str, params: JsonObject, request: ClientRequest) -> Binding:
        return Binding.of(params, user=request.caller.user, portal=self._portal_id, method=method)


def _carried(opened: JsonObject, answers: JsonObject) -> JsonObject:
    """Return what a round carries to the upstream."""
    carried: JsonObject = {"inputResponses": answers} if answers else {}
    return {**carried, "requestState": opened["upstream"]} if "upstream" in opened else carried

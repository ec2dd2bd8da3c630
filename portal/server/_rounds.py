"""Requests that may ask their client something: in which era, over how many rounds, and where they wait meanwhile.

A client with a handshake is asked while its request is open. One of MCP 2026-07-28 sends its request again with the
answers. When such a client calls an upstream of the same version, the upstream's questions and its state pass through,
and nothing is kept here; else the request is suspended: see ``SuspendedRequests``.
"""

from __future__ import annotations

import json
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

    async def serve(
        self, method: str, params: JsonObject, request: ClientRequest, work: AskingWork, *, passes: bool
    ) -> JsonObject:
        """Do ``work`` with a conversation in which the client can be asked.

        With ``passes``, which says that all that can ask is an upstream of MCP 2026-07-28, the work may also return
        that upstream's questions (a result with ``input_required``): its second argument is then what goes to the
        upstream beside the usual params. Otherwise that is None, and the work has to ask through the conversation.
        Raises ``RpcError``, and what the work raises.
        """
        if not request.is_modern:
            return await work(request.conversation, None)
        binding = Binding.of(params, user=request.caller.user, portal=self._portal_id, method=method)
        answers = object_param(params, "inputResponses", of=method)
        state = params.get("requestState")
        opened = self._seal.open(state, binding) if state is not None else {}
        if "suspended" in opened:
            kept = self.suspended.find(opened["suspended"], user=request.caller.user)
            return await self._round(kept, request, answers, binding)
        if passes:
            return self._sealed(await work(request.conversation, _carried(opened, answers)), binding)
        if opened:  # the upstream's own state, while what now answers is no longer an upstream that could read it
            raise refused_state()
        if not can_be_asked(request.conversation.capabilities):
            return await work(request.conversation, None)
        size = len(json.dumps(params))
        kept = self.suspended.begin(lambda conversation: work(conversation, None), user=request.caller.user, size=size)
        return await self._round(kept, request, {}, binding)

    async def _round(
        self, kept: Suspended, request: ClientRequest, answers: JsonObject, binding: Binding
    ) -> JsonObject:
        result = await self.suspended.attend(kept, request.conversation, answers)
        if result is not None:
            return result
        return {
            "resultType": INPUT_REQUIRED,
            "inputRequests": kept.questions(),
            "requestState": self._seal.seal({"suspended": kept.id}, binding),
        }

    def _sealed(self, result: JsonObject, binding: Binding) -> JsonObject:
        """Seal the state in an upstream's questions; without one of the upstream's there is none."""
        if result.get("resultType") != INPUT_REQUIRED or "requestState" not in result:
            return result
        return {**result, "requestState": self._seal.seal({"upstream": result["requestState"]}, binding)}


def _carried(opened: JsonObject, answers: JsonObject) -> JsonObject:
    """Return what a round carries to the upstream."""
    carried: JsonObject = {"inputResponses": answers} if answers else {}
    return {**carried, "requestState": opened["upstream"]} if "upstream" in opened else carried

"""Requests that pass through to one upstream as they are: those about prompts, resources and completions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from portal._errors import UpstreamFailure, UpstreamRefused, UpstreamRejected
from portal.server._questions import answered
from portal.server._rounds import INPUT_REQUIRED
from portal.server._sealed_state import ROUND_PARAMS
from portal.wire import INTERNAL_ERROR, META_PREFIX, SERVER_INFO_KEY, RpcError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portal._conversation import Conversation
    from portal.server._request import ClientRequest
    from portal.server._rounds import Rounds
    from portal.upstream import Fleet
    from typegen import JsonObject


class Passing:
    """Passes requests of one portal's clients on."""

    def __init__(self, *, fleet: Fleet, rounds: Rounds) -> None:
        self._fleet = fleet
        self._rounds = rounds

    async def pass_on(
        self, method: str, params: JsonObject, request: ClientRequest, *, server_id: str, asked: JsonObject
    ) -> JsonObject:
        """Send the request ``asked`` upstream and return its result as it came; ``params`` are those of the client.

        Raises ``RpcError``: the upstream's own, or one that says why there is no answer.
        """
        meta = forwarded_meta(request.meta)
        kept: JsonObject = {key: value for key, value in asked.items() if key not in ROUND_PARAMS}
        if meta:
            kept["_meta"] = meta

        async def work(conversation: Conversation, carried: JsonObject | None) -> JsonObject:
            async def send(carried: JsonObject) -> JsonObject:
                # Asked for with each round: a session that nobody uses while a person thinks may be closed.
                upstream = self._fleet.upstream(server_id, request.caller)
                return await upstream.request(method, {**kept, **carried}, conversation=conversation)

            if carried is not None:
                return await send(carried)
            return await answered(send, conversation, server_id=server_id, shows_pages=request.is_modern)

        passes = self._fleet.listing(server_id).is_modern is True
        with self.refusals():
            result = await self._rounds.serve(method, params, request, work, server_id=server_id, passes=passes)
        return without_exchange(result)

    def server_asking(self, method: str, params: JsonObject, request: ClientRequest) -> str | None:
        """Return the id of the server whose questions a request answers, None for none. Raises ``RpcError``."""
        return self._rounds.server_asking(method, params, request)

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Turn what an upstream fails by into what its client is answered."""
        try:
            yield
        except UpstreamRejected as rejection:  # by HTTP, whose status is no code of JSON-RPC
            raise RpcError(INTERNAL_ERROR, rejection.message) from rejection
        except UpstreamRefused as refusal:
            raise own_error(refusal) from refusal
        except UpstreamFailure as failure:
            raise RpcError(INTERNAL_ERROR, failure.message) from failure


def own_error(refusal: UpstreamRefused) -> RpcError:
    """Return a server's own JSON-RPC error, which is the client's to see as it is."""
    code = refusal.code if refusal.code is not None else INTERNAL_ERROR
    return RpcError(code, refusal.message, refusal.data)


def forwarded_meta(meta: JsonObject) -> JsonObject:
    """Return what of a request's ``_meta`` goes on to the upstream: all that is not of this exchange alone.

    What begins as the protocol's own keys speaks of the exchange between its two parties.
    """
    return {key: value for key, value in meta.items() if key != "progressToken" and not key.startswith(META_PREFIX)}


def without_exchange(answer: JsonObject) -> JsonObject:
    """Return a result without what concerned only the exchange with its upstream (MCP 2026-07-28)."""
    if answer.get("resultType") == INPUT_REQUIRED:
        return answer
    result = {**answer}
    result.pop("resultType", None)
    meta = result.get("_meta")
    if isinstance(meta, dict) and SERVER_INFO_KEY in meta:
        result["_meta"] = rest = {**meta}
        del rest[SERVER_INFO_KEY]
        if not rest:
            del result["_meta"]
    return result

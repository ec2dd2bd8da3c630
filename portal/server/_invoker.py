"""The one function through which tool calls leave the portal, from a program or from a client, and their record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import anyio
import orjson
from mcp_types import SERVER_INFO_META_KEY

from engine import ToolCall, UpstreamError
from portal._errors import UpstreamFailure, UpstreamMisbehaved, UpstreamRefused, UpstreamTimeout
from portal._records import CallRecord
from portal.server._own_tools import OWN_SERVER_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import CatalogTool
    from portal._config import PortalConfig
    from portal._conversation import Conversation
    from portal._records import CallStatus, Recorder
    from portal.server._own_tools import OwnTools
    from portal.upstream import Caller, Fleet
    from typegen import JsonObject, JsonValue

OF_THE_EXCHANGE: Final = frozenset({"resultType", SERVER_INFO_META_KEY})
"""Fields of MCP 2026-07-28 that speak of the exchange between two parties; towards the next one they are made anew."""


class PortalInvoker:
    """Makes the calls of one caller of one portal. An ``engine.Invoker``."""

    def __init__(
        self,
        *,
        portal: PortalConfig,
        fleet: Fleet,
        own_tools: OwnTools,
        recorder: Recorder,
        caller: Caller,
        conversation: Conversation,
    ) -> None:
        self._portal = portal
        self._recorder = recorder
        self._fleet = fleet
        self._own_tools = own_tools
        self._caller = caller
        self._conversation = conversation

    async def __call__(self, call: ToolCall) -> JsonObject:
        """Make the call of a program. Raises ``engine.UpstreamError`` when there is no result."""
        try:
            return await self.call(call.entry, call.arguments, run_id=call.run_id)
        except UpstreamFailure as failure:
            raise UpstreamError(
                failure.message,
                server=call.entry.server_id,
                tool=call.entry.name,
                code=failure.code,
                data=failure.data,
            ) from failure

    async def call(
        self,
        entry: CatalogTool,
        arguments: Mapping[str, JsonValue],
        *,
        run_id: str | None = None,
    ) -> JsonObject:
        """Make a call, write its record, and return the result as it came. Raises ``UpstreamFailure``."""
        started = time.perf_counter()
        status: CallStatus = "error"
        result: JsonObject | None = None
        code: int | None = None
        try:
            result = _result_of(await self._send(entry, arguments, is_direct=run_id is None), entry)
            status = "tool_error" if result.get("isError") is True else "ok"
        except UpstreamFailure as failure:
            code = failure.code
            status = "timeout" if isinstance(failure, UpstreamTimeout) else "error"
            raise
        except anyio.get_cancelled_exc_class():
            status = "cancelled"
            raise
        else:
            return result
        finally:
            self._recorder.write_call(
                CallRecord(
                    user=self._caller.user,
                    portal=self._portal.id,
                    server=entry.server_id,
                    tool=entry.name,
                    status=status,
                    duration_ms=round((time.perf_counter() - started) * 1000, 2),
                    request_bytes=_size(arguments),
                    response_bytes=_size(result) if result is not None else 0,
                    run=run_id,
                    code=code,
                )
            )

    async def _send(self, entry: CatalogTool, arguments: Mapping[str, JsonValue], *, is_direct: bool) -> JsonObject:
        if entry.server_id == OWN_SERVER_ID:
            return self._own_tools.call(entry.name, arguments, self._caller)
        upstream = self._fleet.upstream(entry.server_id, self._caller)
        tells = is_direct and self._conversation.wants_progress
        return await upstream.call(
            entry.name, arguments, on_progress=self._conversation.report_progress if tells else None
        )


def _result_of(answer: JsonObject, entry: CatalogTool) -> JsonObject:
    """Return the result in an upstream's answer, without what concerned only that exchange."""
    server = entry.server_id
    if answer.get("resultType") == "input_required":
        message = f"{server} asks a question of the user, which this version of Portico cannot pass on"
        raise UpstreamRefused(message, upstream=server)
    if not isinstance(answer.get("content"), list):
        if "structuredContent" not in answer:
            raise UpstreamMisbehaved(f"{server} answered without content", upstream=server)
        answer = {"content": [], **answer}
    if "resultType" in answer:
        answer = {key: value for key, value in answer.items() if key not in OF_THE_EXCHANGE}
    meta = answer.get("_meta")
    if isinstance(meta, dict) and SERVER_INFO_META_KEY in meta:
        rest = {key: value for key, value in meta.items() if key not in OF_THE_EXCHANGE}
        answer = {key: value for key, value in answer.items() if key != "_meta"} | ({"_meta": rest} if rest else {})
    return answer


def _size(value: Mapping[str, JsonValue]) -> int:
    try:
        return len(orjson.dumps(value))
    except TypeError:  # integers beyond 64 bits, lone surrogates: a size is not worth an error
        return 0

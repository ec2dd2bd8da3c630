"""The one function through which tool calls leave the portal, from a program or from a client, and their record."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

import anyio
import orjson

from engine import ToolCall, UpstreamError
from portal._errors import CallDenied, UpstreamFailure, UpstreamMisbehaved, UpstreamTimeout
from portal._records import CallRecord
from portal.server._approval import approve
from portal.server._own_tools import OWN_SERVER_ID
from portal.server._passing import without_exchange
from portal.server._program import CallConversation
from portal.server._questions import answered
from portal.server._rounds import INPUT_REQUIRED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import CatalogTool
    from portal._config import PortalConfig
    from portal._conversation import Conversation
    from portal._records import CallStatus, Recorder
    from portal.server._listing import Listing
    from portal.server._own_tools import OwnTools
    from portal.server._program import ProgramConversation
    from portal.upstream import Caller, Fleet
    from typegen import JsonObject, JsonValue


class PortalInvoker:
    """Makes the calls of one caller of one portal. An ``engine.Invoker`` for the calls of one ``program``.

    ``listing`` says of a tool whether the user has to be asked; ``allowed`` are identifiers of those that are
    allowed already. ``shows_pages`` is for clients that are asked to show a page instead of being told by an error that
    one has to be visited.
    """

    def __init__(
        self,
        *,
        portal: PortalConfig,
        fleet: Fleet,
        own_tools: OwnTools,
        recorder: Recorder,
        caller: Caller,
        program: ProgramConversation,
        listing: Listing,
        shows_pages: bool = False,
        allowed: frozenset[str] = frozenset(),
    ) -> None:
        self._portal = portal
        self._recorder = recorder
        self._fleet = fleet
        self._own_tools = own_tools
        self._caller = caller
        self._program = program
        self._listing = listing
        self._shows_pages = shows_pages
        self._allowed = allowed

    async def __call__(self, call: ToolCall) -> JsonObject:
        """Make the call of a program. Raises ``engine.UpstreamError`` when there is no result."""
        conversation = CallConversation(self._program, call)
        try:
            return await self._call(call.entry, call.arguments, conversation, run_id=call.run_id, in_program=True)
        except UpstreamFailure as failure:
            raise UpstreamError(
                failure.message,
                server=call.entry.server_id,
                tool=call.entry.name,
                code=failure.code,
                data=failure.data,
            ) from failure
        except CallDenied as denial:
            raise UpstreamError(denial.message, server=denial.server, tool=denial.tool, code=denial.reason) from denial

    async def call(
        self,
        entry: CatalogTool,
        arguments: Mapping[str, JsonValue],
        *,
        conversation: Conversation,
        carried: JsonObject | None = None,
        extra: JsonObject | None = None,
    ) -> JsonObject:
        """Make the call of a client, with ``extra`` params beside the usual, and return the result as it came.

        With ``carried``, what a round of MCP 2026-07-28 brings upstream, the result may be the upstream's questions;
        without it the upstream's questions are put to the client here. Raises ``UpstreamFailure`` or ``CallDenied``.
        """
        return await self._call(entry, arguments, conversation, carried=carried, extra=extra)

    async def _call(
        self,
        entry: CatalogTool,
        arguments: Mapping[str, JsonValue],
        conversation: Conversation,
        *,
        run_id: str | None = None,
        in_program: bool = False,
        carried: JsonObject | None = None,
        extra: JsonObject | None = None,
    ) -> JsonObject:
        started = time.perf_counter()
        status: CallStatus = "error"
        result: JsonObject | None = None
        code: int | str | None = None
        try:
            if self._needs_word(entry, in_program=in_program):
                await approve(entry, arguments, conversation, portal_id=self._portal.id, in_program=in_program)
            result = _result_of(await self._send(entry, arguments, conversation, carried, extra or {}), entry)
            status = _status_of(result)
        except UpstreamFailure as failure:
            code = failure.code
            status = _failed_status(failure)
            raise
        except CallDenied as denial:
            code, status = denial.reason, "denied"
            raise
        except anyio.get_cancelled_exc_class():
            status = "cancelled"
            raise
        else:
            return result
        finally:
            record = partial(
                self._record,
                entry,
                arguments,
                result,
                status=status,
                code=code,
                duration_s=time.perf_counter() - started,
                run_id=run_id,
            )
            if in_program:  # while the program goes on with the result; the client has its answer later
                asyncio.get_running_loop().call_soon(record)
            else:
                record()

    def _record(
        self,
        entry: CatalogTool,
        arguments: Mapping[str, JsonValue],
        result: JsonObject | None,
        *,
        status: CallStatus,
        code: int | str | None,
        duration_s: float,
        run_id: str | None,
    ) -> None:
        self._recorder.write_call(
            CallRecord(
                user=self._caller.user,
                portal=self._portal.id,
                server=entry.server_id,
                tool=entry.name,
                status=status,
                duration_ms=round(duration_s * 1000, 2),
                request_bytes=_size(arguments),
                response_bytes=_size(result) if result is not None else 0,
                run=run_id,
                code=code,
            )
        )

    def _needs_word(self, entry: CatalogTool, *, in_program: bool) -> bool:
        if entry.identifier in self._allowed:
            return False
        try:
            return self._listing.tool_at(entry).permission(in_program=in_program) == "ask"
        except KeyError:  # it is not listed: nothing says that it may be called
            return True

    async def _send(
        self,
        entry: CatalogTool,
        arguments: Mapping[str, JsonValue],
        conversation: Conversation,
        carried: JsonObject | None,
        extra: JsonObject,
    ) -> JsonObject:
        if entry.server_id == OWN_SERVER_ID:
            return self._own_tools.call(entry.name, arguments, self._caller)

        async def send(carried: JsonObject) -> JsonObject:
            # Asked for with each round: a session that nobody uses while a person thinks may be closed.
            upstream = self._fleet.upstream(entry.server_id, self._caller)
            return await upstream.call(entry.name, arguments, conversation=conversation, extra={**extra, **carried})

        if carried is not None:
            return await send(carried)
        return await answered(send, conversation, server_id=entry.server_id, shows_pages=self._shows_pages)


def _failed_status(failure: UpstreamFailure) -> CallStatus:
    if isinstance(failure, UpstreamTimeout):
        return "timeout"
    return "unknown" if failure.is_outcome_unknown else "error"


def _status_of(result: JsonObject) -> CallStatus:
    if result.get("resultType") == INPUT_REQUIRED:
        return "asked"
    return "tool_error" if result.get("isError") is True else "ok"


def _result_of(answer: JsonObject, entry: CatalogTool) -> JsonObject:
    """Return the result in an upstream's answer, without what concerned only that exchange."""
    server = entry.server_id
    if answer.get("resultType") != INPUT_REQUIRED and not isinstance(answer.get("content"), list):
        if "structuredContent" not in answer:
            raise UpstreamMisbehaved(f"{server} answered without content", upstream=server)
        answer = {"content": [], **answer}
    return without_exchange(answer)


def _size(value: Mapping[str, JsonValue]) -> int:
    try:
        return len(orjson.dumps(value))
    except TypeError:  # integers beyond 64 bits, lone surrogates: a size is not worth an error
        return 0

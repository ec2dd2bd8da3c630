"""``tools/call``: the tools of upstreams by their listed names, and those that the engine answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

from portal._errors import CallDenied, UpstreamFailure, UpstreamRefused, UpstreamRejected
from portal.server._context_calls import ContextCalls, answer_query
from portal.server._envelope import tool_result
from portal.server._invoker import PortalInvoker
from portal.server._modes import LISTING_MODES, Mode
from portal.server._own_tools import OWN_SERVER_ID
from portal.server._params import object_param, shown, text_param
from portal.server._passing import forwarded_meta, own_error
from portal.server._program import ProgramConversation
from portal.server._questions import pages_of
from portal.server._resources import with_listed_uris
from portal.server._sealed_state import ROUND_PARAMS
from portal.server._tool_results import error_result
from portal.wire import INVALID_PARAMS, RpcError

if TYPE_CHECKING:
    from engine import Engine
    from portal._config import PortalConfig
    from portal._conversation import Conversation
    from portal._records import Recorder
    from portal.server._announcements import Announcements
    from portal.server._listing import ListedTool, Listing
    from portal.server._lists import Lists
    from portal.server._own_tools import OwnTools
    from portal.server._request import ClientRequest
    from portal.server._rounds import Rounds
    from portal.upstream import Caller, Fleet
    from typegen import JsonObject

CONTEXT_TOOLS: Final = {
    Mode.LIST: frozenset[str](),
    Mode.CODE: frozenset({"code"}),
    Mode.NAMES: frozenset({"query"}),
    Mode.QUERY: frozenset({"query", "execute"}),
}
"""The tools of each mode that the engine answers."""
_OWN_PARAMS: Final = ROUND_PARAMS | {"name", "arguments", "task"}
"""Params of a call that do not go on as they are. Who declares no tasks ignores ``task`` (MCP 2025-11-25, tasks)."""


class ToolCalls:
    """Answers ``tools/call`` for the clients of one portal."""

    def __init__(
        self,
        *,
        config: PortalConfig,
        fleet: Fleet,
        engine: Engine,
        recorder: Recorder,
        lists: Lists,
        own_tools: OwnTools,
        rounds: Rounds,
        announcements: Announcements,
    ) -> None:
        self._config = config
        self._fleet = fleet
        self._engine = engine
        self._recorder = recorder
        self._lists = lists
        self._own_tools = own_tools
        self._rounds = rounds
        self._announcements = announcements

    def invoker(
        self,
        caller: Caller,
        listing: Listing,
        program: ProgramConversation,
        *,
        shows_pages: bool = False,
        allowed: frozenset[str] = frozenset(),
    ) -> PortalInvoker:
        """Return the function through which the calls of ``caller`` of tools in ``listing`` leave."""
        return PortalInvoker(
            portal=self._config,
            fleet=self._fleet,
            own_tools=self._own_tools,
            recorder=self._recorder,
            caller=caller,
            program=program,
            listing=listing,
            shows_pages=shows_pages,
            allowed=allowed,
        )

    async def call(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Answer one call. Raises ``RpcError`` for a tool that there is not, and with an upstream's own error."""
        name = text_param(params, "name", of="tools/call")
        arguments = object_param(params, "arguments", of="tools/call")
        if name in CONTEXT_TOOLS[request.view.mode]:
            return tool_result(await self._context_tool(name, arguments, params, request), request)
        if request.view.mode in LISTING_MODES:
            listing = self._lists.for_request(request)
            tool = listing.tools.get(name)
            if tool is not None:
                return tool_result(await self._forward(tool, arguments, params, request, listing), request)
        raise RpcError(INVALID_PARAMS, f"Unknown tool: {shown(name)}")

    async def _context_tool(
        self, name: str, arguments: JsonObject, params: JsonObject, request: ClientRequest
    ) -> JsonObject:
        if name == "query":
            listing = self._lists.for_request(request)
            name_of = listing.listed_name_of if request.view.mode is Mode.NAMES else None
            accounts = self._fleet.accounts(request.caller)
            await listing.catalog.prepare_search()
            return answer_query(
                arguments, engine=self._engine, catalog=listing.catalog, accounts=accounts, name_of=name_of
            )

        async def run(conversation: Conversation, _: JsonObject | None) -> JsonObject:
            program = ProgramConversation(conversation)
            calls = self._calls(request, program)
            if name == "code":
                answer = calls.code(arguments)
            else:
                answer = calls.execute(arguments, has_programs=request.view.has_programs)
            try:
                if not conversation.wants_progress:
                    return await answer
                result: JsonObject = {}  # type checkers believe that a task group may swallow what is raised in it
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(program.beat)
                    result = await answer
                    tasks.cancel_scope.cancel()
                return result
            finally:
                program.close()

        return await self._rounds.serve("tools/call", params, request, run, server_id=None, passes=False)

    def _calls(self, request: ClientRequest, program: ProgramConversation) -> ContextCalls:
        listing = self._lists.for_request(request)
        return ContextCalls(
            engine=self._engine,
            portal=self._config,
            recorder=self._recorder,
            catalog=listing.catalog,
            invoker=self.invoker(request.caller, listing, program, shows_pages=request.is_modern),
            caller=request.caller,
            accounts=self._fleet.accounts(request.caller),
        )

    async def _forward(
        self, tool: ListedTool, arguments: JsonObject, params: JsonObject, request: ClientRequest, listing: Listing
    ) -> JsonObject:
        entry = tool.entry
        program = ProgramConversation(request.conversation)
        invoker = self.invoker(request.caller, listing, program, shows_pages=request.is_modern)
        is_allowed = tool.permission(in_program=False) == "allow"
        # Who is asked for permission sees the arguments alone.
        extra: JsonObject = {key: value for key, value in params.items() if is_allowed and key not in _OWN_PARAMS}
        if meta := forwarded_meta(request.meta):
            extra["_meta"] = meta

        async def send(conversation: Conversation, carried: JsonObject | None) -> JsonObject:
            return await invoker.call(entry, arguments, conversation=conversation, carried=carried, extra=extra)

        passes = entry.server_id == OWN_SERVER_ID or (
            self._fleet.listing(entry.server_id).is_modern is True and is_allowed
        )
        try:
            result = await self._rounds.serve(
                "tools/call", params, request, send, server_id=entry.server_id, passes=passes
            )
        except UpstreamRejected as rejection:
            return error_result(rejection.message)  # which a model is shown, other than an error of the protocol
        except UpstreamRefused as refusal:
            for elicitation_id in pages_of(refusal):
                self._announcements.expect(entry.server_id, elicitation_id, request.caller)
            raise own_error(refusal) from refusal
        except (UpstreamFailure, CallDenied) as failure:
            return error_result(failure.message)
        return with_listed_uris(result, entry.server_id, listing)

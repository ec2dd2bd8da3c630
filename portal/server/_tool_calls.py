"""``tools/call``: the tools of upstreams by their listed names, and those that the engine answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

from portal._errors import UpstreamFailure, UpstreamRefused
from portal.server._context_calls import ContextCalls
from portal.server._envelope import tool_result
from portal.server._modes import Mode
from portal.server._params import object_param, shown, text_param
from portal.server._tool_results import error_result
from portal.wire import INTERNAL_ERROR, INVALID_PARAMS, RpcError

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine import Engine
    from portal._config import PortalConfig
    from portal._conversation import Conversation
    from portal._records import Recorder
    from portal.server._invoker import PortalInvoker
    from portal.server._listing import ListedTool
    from portal.server._lists import Lists
    from portal.server._request import ClientRequest
    from portal.upstream import Caller, Fleet
    from typegen import JsonObject

HEARTBEAT_S: Final = 10.0
"""Progress is sent this often while a program runs: clients count their timeouts from it (TypeScript SDK: 60 s)."""

CONTEXT_TOOLS: Final = {
    Mode.LIST: frozenset[str](),
    Mode.CODE: frozenset({"code"}),
    Mode.NAMES: frozenset({"query"}),
    Mode.QUERY: frozenset({"query", "execute"}),
}
"""The tools of each mode that the engine answers."""
LISTING_MODES: Final = frozenset({Mode.LIST, Mode.NAMES})
"""The modes in which clients call the tools of upstreams themselves."""


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
        invoker: Callable[[Caller, Conversation], PortalInvoker],
    ) -> None:
        self._config = config
        self._fleet = fleet
        self._engine = engine
        self._recorder = recorder
        self._lists = lists
        self._invoker = invoker

    async def call(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Answer one call. Raises ``RpcError`` for a tool that there is not, and with an upstream's own error."""
        name = text_param(params, "name", of="tools/call")
        arguments = object_param(params, "arguments", of="tools/call")
        if name in CONTEXT_TOOLS[request.view.mode]:
            return tool_result(await self._run(name, arguments, request), request)
        if request.view.mode in LISTING_MODES:
            tool = self._lists.for_request(request).tools.get(name)
            if tool is not None:
                return tool_result(await self._forward(tool, arguments, request), request)
        raise RpcError(INVALID_PARAMS, f"Unknown tool: {shown(name)}")

    async def _run(self, name: str, arguments: JsonObject, request: ClientRequest) -> JsonObject:
        """Answer a call of a context tool, telling the client now and then that it goes on."""
        if not request.conversation.wants_progress:
            return await self._call_context_tool(name, arguments, request)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_heartbeat, request.conversation)
            answered = await self._call_context_tool(name, arguments, request)
            tasks.cancel_scope.cancel()
        return answered

    async def _call_context_tool(self, name: str, arguments: JsonObject, request: ClientRequest) -> JsonObject:
        listing = self._lists.for_request(request)
        calls = ContextCalls(
            engine=self._engine,
            portal=self._config,
            recorder=self._recorder,
            catalog=listing.catalog,
            invoker=self._invoker(request.caller, request.conversation),
            caller=request.caller,
            accounts=self._fleet.accounts(request.caller),
        )
        if name == "code":
            return await calls.code(arguments)
        if name == "execute":
            return await calls.execute(arguments, has_programs=request.view.has_programs)
        return calls.query(arguments, name_of=listing.listed_name_of if request.view.mode is Mode.NAMES else None)

    async def _forward(self, tool: ListedTool, arguments: JsonObject, request: ClientRequest) -> JsonObject:
        try:
            return await self._invoker(request.caller, request.conversation).call(tool.entry, arguments)
        except UpstreamRefused as refusal:
            # The server's own JSON-RPC error is the client's to see as it is.
            raise RpcError(refusal.code or INTERNAL_ERROR, refusal.message, refusal.data) from refusal
        except UpstreamFailure as failure:
            return error_result(failure.message)


async def _heartbeat(conversation: Conversation) -> None:
    seconds = 0.0
    while True:
        await anyio.sleep(HEARTBEAT_S)
        seconds += HEARTBEAT_S
        await conversation.report_progress(seconds, None, "running")

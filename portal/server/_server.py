"""The MCP server that the clients of one portal talk to: what it lists, what it calls, what it never tells.

Lists and results go out as the plain JSON that came in. The SDK would validate each of them again and drop fields that
it does not know, so handlers leave their result beside the SDK's pipeline, and the outermost middleware puts it in
place of the empty one that went through it. Requests are validated by the SDK as ever.
"""

from __future__ import annotations

import logging
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
import mcp_types
from mcp import MCPError
from mcp.server import NotificationOptions, Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from portal._errors import UpstreamFailure, UpstreamRefused
from portal._version import VERSION
from portal.server._context_calls import ContextCalls
from portal.server._invoker import PortalInvoker
from portal.server._listing import Listing
from portal.server._modes import Mode, View
from portal.server._own_tools import OwnTools
from portal.server._switches import Switches
from portal.server._tool_results import error_result
from portal.upstream import Caller

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mcp.server.connection import Connection
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.server.models import InitializationOptions
    from starlette.types import Scope

    from engine import Engine
    from portal._config import PortalConfig
    from portal._records import Recorder
    from portal.server._listing import ListedTool
    from portal.upstream import Fleet
    from typegen import JsonObject, JsonValue

    Context = ServerRequestContext[dict[str, Any], Any]

logger = logging.getLogger("portico.portal")

VIEW_KEY: Final = "portico.view"
USER_KEY: Final = "portico.user"
"""Keys of the ASGI scope: what the endpoint found out about a request before MCP sees it."""
LOCAL_USER: Final = "local"
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

# The result of the request that this context serves, on its way past the SDK's pipeline.
_RESULT: Final[ContextVar[list[JsonObject] | None]] = ContextVar("portico_result", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What a handler needs to know of the request at hand."""

    view: View
    caller: Caller
    is_modern: bool


class ServedPortal:
    """One portal as an MCP server, for every client and every protocol version at once. ``server`` is the SDK's.

    ``on_change`` is called when what a user sees has changed by his own choice.
    """

    def __init__(
        self,
        *,
        config: PortalConfig,
        fleet: Fleet,
        engine: Engine,
        recorder: Recorder,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._fleet = fleet
        self._engine = engine
        self._recorder = recorder
        self._switches = Switches(on_change=on_change)
        self._own_tools = OwnTools(portal=config, fleet=fleet, switches=self._switches)
        self._listings: dict[tuple[frozenset[str], bool], Listing] = {}
        self._generation = -1
        self._bus = InMemorySubscriptionBus()
        self._subscriptions = ListenHandler(self._bus)
        self._connections: set[Connection] = set()
        self.server = _AnnouncingServer(
            "portico",
            title="Portico",
            version=VERSION,
            get_tool_input_schema=self._input_schema,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_subscriptions_listen=self._subscriptions,
        )
        self.server.middleware[:] = [self._middleware]

    @property
    def listing(self) -> Listing:
        """What the portal offers now to those who have switched nothing off."""
        return self._listing_of(frozenset(), is_read_only=False)

    def listing_for(self, caller: Caller, view: View) -> Listing:
        """What the portal offers now to ``caller`` in ``view``."""
        return self._listing_of(self._switches.off_for(caller.user), is_read_only=view.is_read_only)

    def invoker(self, caller: Caller) -> PortalInvoker:
        """Return the function through which the calls of ``caller`` leave."""
        return PortalInvoker(
            portal=self._config,
            fleet=self._fleet,
            own_tools=self._own_tools,
            recorder=self._recorder,
            caller=caller,
        )

    async def announce_tools(self) -> None:
        """Tell the connected clients that the list of tools changed, in the way of each protocol version."""
        await self._bus.publish(ToolsListChanged())
        for connection in list(self._connections):
            with anyio.move_on_after(1.0):  # a client that does not read must not keep the others waiting
                await connection.notify("notifications/tools/list_changed", None)

    def close_streams(self) -> None:
        """End the open subscriptions, so that their requests finish."""
        self._subscriptions.close()

    def _listing_of(self, off: frozenset[str], *, is_read_only: bool) -> Listing:
        """Return a listing that is made once for each change of the fleet."""
        if self._generation != self._fleet.generation:
            self._generation = self._fleet.generation
            self._listings.clear()
        key = (off, is_read_only)
        if key not in self._listings:
            if is_read_only:
                self._listings[key] = self._listing_of(off, is_read_only=False).read_only
            elif off:
                self._listings[key] = self._listing_of(frozenset(), is_read_only=False).without(off)
            else:
                self._listings[key] = Listing.of(self._config, self._fleet)
        return self._listings[key]

    def _input_schema(self, name: str) -> Mapping[str, JsonValue] | None:
        return self.listing.input_schema(name)

    async def _middleware(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Keep our own exceptions from clients, and let results pass the SDK's pipeline by.

        The SDK sends the text of an unexpected exception to clients of the versions up to 2025-11-25.
        """
        results: list[JsonObject] = []
        token = _RESULT.set(results)
        try:
            shaped = await call_next(ctx)
            return self._finish(ctx, shaped, results)
        except (MCPError, ValidationError):
            raise  # made for the client, or the SDK's own word for invalid parameters
        except Exception as error:
            reference = secrets.token_hex(4)
            logger.exception("request %s failed (reference %s)", ctx.method, reference)
            message = f"The portal failed to answer; its log says why under {reference}"
            raise MCPError(INTERNAL_ERROR, message) from error
        finally:
            _RESULT.reset(token)

    def _finish(self, context: Context, shaped: HandlerResult, results: list[JsonObject]) -> HandlerResult:
        if context.method == "notifications/initialized":
            self._remember(context)
        elif context.method in {"initialize", "server/discover"} and isinstance(shaped, dict):
            request = _request(context)
            listing = self.listing_for(request.caller, request.view)
            return {**shaped, "instructions": listing.instructions(request.view.mode)}
        if not results or not isinstance(shaped, dict):
            return shaped
        result = results[0]
        if not _is_modern(context):
            return result
        # MCP 2026-07-28: every result says its type and its server; the SDK put both, and the cache hints of a list,
        # into the empty result.
        meta = result.get("_meta")
        stamp = cast("JsonObject", shaped.get("_meta") or {})
        return {**shaped, **result, "_meta": {**(meta if isinstance(meta, dict) else {}), **stamp}}

    def _remember(self, context: Context) -> None:
        """Keep the connection of a client with a session, to tell it of changes until it ends."""
        connection = context.session._connection  # noqa: SLF001 -- the SDK has no public name for the connection
        if connection.session_id is None or connection in self._connections:
            return
        self._connections.add(connection)
        connection.exit_stack.callback(self._connections.discard, connection)
        connection.exit_stack.callback(self._fleet.release_client, connection.session_id)

    async def _list_tools(
        self, context: Context, _: mcp_types.PaginatedRequestParams | None
    ) -> mcp_types.ListToolsResult:
        request = _request(context)
        listing = self.listing_for(request.caller, request.view)
        _put(listing.answer(request.view.mode, is_modern=request.is_modern))
        return mcp_types.ListToolsResult(tools=[])

    async def _call_tool(
        self, context: Context, params: mcp_types.CallToolRequestParams
    ) -> mcp_types.CallToolResult | mcp_types.InputRequiredResult:
        request = _request(context)
        listing = self.listing_for(request.caller, request.view)
        arguments = cast("JsonObject", params.arguments or {})
        answered: JsonObject | None = None
        if params.name in CONTEXT_TOOLS[request.view.mode]:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_heartbeat, context)
                answered = await self._call_context_tool(params.name, arguments, request, listing)
                tasks.cancel_scope.cancel()
        elif request.view.mode in LISTING_MODES:
            answered = await self._forward(context, listing.tools.get(params.name), arguments, request)
        if answered is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name[:128]}")
        _put(answered if request.is_modern else _for_handshake(answered))
        return mcp_types.CallToolResult(content=[])

    async def _call_context_tool(
        self, name: str, arguments: JsonObject, request: _Request, listing: Listing
    ) -> JsonObject:
        calls = ContextCalls(
            engine=self._engine,
            portal=self._config,
            recorder=self._recorder,
            catalog=listing.catalog,
            invoker=self.invoker(request.caller),
            caller=request.caller,
            accounts=self._fleet.accounts(request.caller),
        )
        if name == "code":
            return await calls.code(arguments)
        if name == "execute":
            return await calls.execute(arguments, has_programs=request.view.has_programs)
        return calls.query(arguments, name_of=listing.listed_name_of if request.view.mode is Mode.NAMES else None)

    async def _forward(
        self, context: Context, tool: ListedTool | None, arguments: JsonObject, request: _Request
    ) -> JsonObject | None:
        if tool is None:
            return None

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            await context.session.report_progress(progress, total, message)

        wants_progress = bool(context.meta and context.meta.get("progress_token") is not None)
        try:
            return await self.invoker(request.caller).call(
                tool.entry, arguments, on_progress=on_progress if wants_progress else None
            )
        except UpstreamRefused as refusal:
            # The server's own JSON-RPC error is the client's to see as it is.
            raise MCPError(refusal.code or INTERNAL_ERROR, refusal.message, refusal.data) from refusal
        except UpstreamFailure as failure:
            return error_result(failure.message)


class _AnnouncingServer(Server[dict[str, Any]]):
    """The SDK's server, saying that it announces changes of its tools: the HTTP session manager does not ask for it."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """Return what the handshake answers."""
        options = notification_options or NotificationOptions(tools_changed=True)
        return super().create_initialization_options(options, experimental_capabilities, extensions)


async def _heartbeat(context: Context) -> None:
    seconds = 0.0
    while True:
        await anyio.sleep(HEARTBEAT_S)
        seconds += HEARTBEAT_S
        await context.session.report_progress(seconds, None, "running")


def _put(result: JsonObject) -> None:
    results = _RESULT.get()
    if results is not None:
        results.append(result)


def _scope(context: Context) -> Scope:
    return context.request.scope if context.request is not None else {}


def _view(context: Context) -> View:
    view = _scope(context).get(VIEW_KEY)
    return view if isinstance(view, View) else View(mode=Mode.LIST)


def _is_modern(context: Context) -> bool:
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS


def _request(context: Context) -> _Request:
    is_modern = _is_modern(context)
    # Handshake versions have sessions; MCP 2026-07-28 has none, whatever header a client sends.
    client = None if is_modern or context.request is None else context.request.headers.get("mcp-session-id")
    caller = Caller(user=_scope(context).get(USER_KEY, LOCAL_USER), client=client)
    return _Request(view=_view(context), caller=caller, is_modern=is_modern)


def _for_handshake(result: JsonObject) -> JsonObject:
    """Drop structured content that is no object, which the versions up to 2025-11-25 cannot carry."""
    if "structuredContent" not in result or isinstance(result["structuredContent"], dict):
        return result
    return {key: value for key, value in result.items() if key != "structuredContent"}

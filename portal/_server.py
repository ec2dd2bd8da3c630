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

from engine import UnknownRunError
from portal._errors import UpstreamFailure, UpstreamRefused
from portal._fleet import Caller
from portal._invoker import PortalInvoker
from portal._listing import Listing
from portal._modes import Mode
from portal._version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp.server.connection import Connection
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.server.models import InitializationOptions
    from starlette.types import Scope

    from engine import Engine
    from portal._config import PortalConfig
    from portal._fleet import Fleet
    from portal._json import JsonObject, JsonValue
    from portal._records import Recorder

    Context = ServerRequestContext[dict[str, Any], Any]

logger = logging.getLogger("portico.portal")

MODE_KEY: Final = "portico.mode"
USER_KEY: Final = "portico.user"
"""Keys of the ASGI scope: what the endpoint found out about a request before MCP sees it."""
LOCAL_USER: Final = "local"
HEARTBEAT_S: Final = 10.0
"""Progress is sent this often while a program runs: clients count their timeouts from it (TypeScript SDK: 60 s)."""
RUN_META_KEY: Final = "portico/run"
CODE_KEYS: Final = frozenset({"code", "resume"})

# The result of the request that this context serves, on its way past the SDK's pipeline.
_RESULT: Final[ContextVar[list[JsonObject] | None]] = ContextVar("portico_result", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What a handler needs to know of the request at hand."""

    mode: Mode
    caller: Caller
    is_modern: bool


class ServedPortal:
    """One portal as an MCP server, for every client and every protocol version at once. ``server`` is the SDK's."""

    def __init__(self, *, config: PortalConfig, fleet: Fleet, engine: Engine, recorder: Recorder) -> None:
        self._config = config
        self._fleet = fleet
        self._engine = engine
        self._recorder = recorder
        self._listing: Listing | None = None
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
        """What the portal offers now."""
        if self._listing is None or self._generation != self._fleet.generation:
            self._generation = self._fleet.generation
            self._listing = Listing.of(self._config, self._fleet)
        return self._listing

    def invoker(self, caller: Caller) -> PortalInvoker:
        """Return the function through which the calls of ``caller`` leave."""
        return PortalInvoker(portal=self._config, fleet=self._fleet, recorder=self._recorder, caller=caller)

    async def announce_tools(self) -> None:
        """Tell the connected clients that the list of tools changed, in the way of each protocol version."""
        await self._bus.publish(ToolsListChanged())
        for connection in list(self._connections):
            with anyio.move_on_after(1.0):  # a client that does not read must not keep the others waiting
                await connection.notify("notifications/tools/list_changed", None)

    def close_streams(self) -> None:
        """End the open subscriptions, so that their requests finish."""
        self._subscriptions.close()

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
            return {**shaped, "instructions": self.listing.instructions(_mode(context))}
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
        _put(self.listing.answer(_mode(context), is_modern=_is_modern(context)))
        return mcp_types.ListToolsResult(tools=[])

    async def _call_tool(
        self, context: Context, params: mcp_types.CallToolRequestParams
    ) -> mcp_types.CallToolResult | mcp_types.InputRequiredResult:
        request = _request(context)
        arguments = cast("JsonObject", params.arguments or {})
        if request.mode is Mode.CODE:
            result = await self._run_code(context, params.name, arguments, request)
        else:
            result = await self._forward(context, params.name, arguments, request)
        _put(result if request.is_modern else _for_handshake(result))
        return mcp_types.CallToolResult(content=[])

    async def _run_code(self, context: Context, name: str, arguments: JsonObject, request: _Request) -> JsonObject:
        if name != "code":
            raise _unknown_tool(name)
        code, resume = arguments.get("code"), arguments.get("resume")
        if not isinstance(code, str) or not (resume is None or isinstance(resume, str)) or set(arguments) - CODE_KEYS:
            return _error_result('code takes {"code": "<a JavaScript program>", "resume"?: "<the id of a failed run>"}')
        answered: JsonObject = {}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_heartbeat, context)
            answered = await self._answer_to(code, resume, request.caller)
            tasks.cancel_scope.cancel()
        return answered

    async def _answer_to(self, code: str, resume: str | None, caller: Caller) -> JsonObject:
        portal_id = self._config.id
        try:
            answer = await self._engine.code(
                code,
                catalog=self.listing.catalog,
                invoker=self.invoker(caller),
                owner=f"{portal_id}/{caller.user}",
                resume=resume,
                on_end=lambda run: self._recorder.write_run(run.as_json(), user=caller.user, portal=portal_id),
            )
        except UnknownRunError as error:
            return _error_result(f"Not run: {error}.")
        meta: JsonObject = {RUN_META_KEY: answer.run.as_json()}
        return {"content": list(answer.blocks), "isError": answer.is_error, "_meta": meta}

    async def _forward(self, context: Context, name: str, arguments: JsonObject, request: _Request) -> JsonObject:
        tool = self.listing.tools.get(name)
        if tool is None:
            raise _unknown_tool(name)

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
            return _error_result(failure.message)


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


def _mode(context: Context) -> Mode:
    mode = _scope(context).get(MODE_KEY, Mode.LIST)
    return mode if isinstance(mode, Mode) else Mode.LIST


def _is_modern(context: Context) -> bool:
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS


def _request(context: Context) -> _Request:
    is_modern = _is_modern(context)
    # Handshake versions have sessions; MCP 2026-07-28 has none, whatever header a client sends.
    client = None if is_modern or context.request is None else context.request.headers.get("mcp-session-id")
    caller = Caller(user=_scope(context).get(USER_KEY, LOCAL_USER), client=client)
    return _Request(mode=_mode(context), caller=caller, is_modern=is_modern)


def _for_handshake(result: JsonObject) -> JsonObject:
    """Drop structured content that is no object, which the versions up to 2025-11-25 cannot carry."""
    if "structuredContent" not in result or isinstance(result["structuredContent"], dict):
        return result
    return {key: value for key, value in result.items() if key != "structuredContent"}


def _error_result(text: str) -> JsonObject:
    content: list[JsonValue] = [{"type": "text", "text": text}]
    return {"content": content, "isError": True}


def _unknown_tool(name: str) -> MCPError:
    return MCPError(INVALID_PARAMS, f"Unknown tool: {name[:128]}")

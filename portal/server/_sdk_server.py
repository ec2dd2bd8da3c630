"""A served portal behind the SDK's transports: requests go to ``ServedPortal.handle``, past the SDK's pipeline."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
from mcp import MCPError
from mcp.server import Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from portal._errors import ClientCannot
from portal.server._modes import Mode, View
from portal.server._request import ClientRequest
from portal.server._server import LOCAL_USER, ServedPortal
from portal.upstream import Caller
from portal.wire import INTERNAL_ERROR, RpcError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp.server.connection import Connection
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from starlette.types import Scope

    from portal.upstream import Fleet
    from typegen import JsonObject, JsonValue

    Context = ServerRequestContext[dict[str, Any], Any]

logger = logging.getLogger("portico.portal")

VIEW_KEY: Final = "portico.view"
USER_KEY: Final = "portico.user"
"""Keys of the ASGI scope: what the endpoint found out about a request before MCP sees it."""
_CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
_LOG_LEVEL_KEY: Final = "io.modelcontextprotocol/logLevel"


class SdkServer:
    """One portal as a server of the SDK, for its transports."""

    def __init__(self, portal: ServedPortal, fleet: Fleet) -> None:
        self._portal = portal
        self._fleet = fleet
        self._bus = InMemorySubscriptionBus()
        self._subscriptions = ListenHandler(self._bus)
        self._connections: set[Connection] = set()
        self.server: Server[dict[str, Any]] = Server(
            "portico", get_tool_input_schema=self._input_schema, on_subscriptions_listen=self._subscriptions
        )
        self.server.middleware[:] = [self._middleware]

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
        return self._portal.listing.input_schema(name)

    async def _middleware(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        context = ctx
        if context.request_id is None or context.method == "subscriptions/listen":
            if context.method == "notifications/initialized":
                self._remember(context)
            return await call_next(context)
        params = cast("JsonObject", dict(context.params or {}))
        try:
            return await self._portal.handle(context.method, params, _request(context, params))
        except RpcError as error:
            raise MCPError(error.code, error.message, error.data) from error
        except Exception as error:
            # The SDK sends the text of an unexpected exception to clients of the versions up to 2025-11-25.
            reference = secrets.token_hex(4)
            logger.exception("request %s failed (reference %s)", context.method, reference)
            message = f"The portal failed to answer; its log says why under {reference}"
            raise MCPError(INTERNAL_ERROR, message) from error

    def _remember(self, context: Context) -> None:
        """Keep the connection of a client with a session, to tell it of changes until it ends."""
        connection = context.session._connection  # noqa: SLF001 -- the SDK has no public name for the connection
        if connection.session_id is None or connection in self._connections:
            return
        self._connections.add(connection)
        connection.exit_stack.callback(self._connections.discard, connection)
        connection.exit_stack.callback(self._fleet.release_client, connection.session_id)


class _SdkConversation:
    """The client's side of a request that came through the SDK."""

    def __init__(self, context: Context, meta: JsonObject) -> None:
        self._context = context
        level = meta.get(_LOG_LEVEL_KEY)
        self.log_level = str(level) if level is not None else None
        self.wants_progress = meta.get("progressToken") is not None
        declared = context.session.client_capabilities
        known: JsonValue = meta.get(_CAPABILITIES_KEY)
        if known is None and declared is not None:
            known = declared.model_dump(by_alias=True, mode="json", exclude_none=True)
        self.capabilities: Mapping[str, JsonValue] = known if isinstance(known, dict) else {}

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        channel = self._context.session._request_outbound  # noqa: SLF001 -- the typed one drops unknown fields
        if not channel.can_send_request:
            raise ClientCannot("the client cannot be asked")
        try:
            return cast("JsonObject", dict(await channel.send_raw_request(method, params, None)))
        except MCPError as error:
            raise RpcError(error.code, error.message, error.data) from error

    async def report_progress(self, progress: float, total: float | None, message: str | None) -> None:
        await self._context.session.report_progress(progress, total, message)

    async def notify(self, method: str, params: JsonObject) -> None:
        await self._context.session._request_outbound.notify(method, params)  # noqa: SLF001 -- as above


def _scope(context: Context) -> Scope:
    return context.request.scope if context.request is not None else {}


def _request(context: Context, params: JsonObject) -> ClientRequest:
    is_modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
    # Handshake versions have sessions; MCP 2026-07-28 has none, whatever header a client sends.
    client = None if is_modern or context.request is None else context.request.headers.get("mcp-session-id")
    view = _scope(context).get(VIEW_KEY)
    meta = params.get("_meta")
    return ClientRequest(
        view=view if isinstance(view, View) else View(mode=Mode.LIST),
        caller=Caller(user=_scope(context).get(USER_KEY, LOCAL_USER), client=client),
        protocol_version=context.protocol_version,
        conversation=_SdkConversation(context, meta if isinstance(meta, dict) else {}),
        meta=meta if isinstance(meta, dict) else {},
    )

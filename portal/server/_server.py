"""One portal as its clients meet it: every request of MCP answered as plain JSON, whatever transport brought it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portal._conversation import NoConversation
from portal.server._envelope import enveloped
from portal.server._greeting import discover_result, initialize_result
from portal.server._invoker import PortalInvoker
from portal.server._lists import Lists, listed
from portal.server._own_tools import OwnTools
from portal.server._switches import Switches
from portal.server._tool_calls import ToolCalls
from portal.wire import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import TypeAlias

    from engine import Engine
    from portal._config import PortalConfig
    from portal._conversation import Conversation
    from portal._records import Recorder
    from portal.server._listing import Listing
    from portal.server._modes import View
    from portal.server._request import ClientRequest
    from portal.upstream import Caller, Fleet
    from typegen import JsonObject

    Handler: TypeAlias = Callable[[JsonObject, ClientRequest], Awaitable[JsonObject]]

LOCAL_USER: Final = "local"
HANDSHAKE_METHODS: Final = frozenset({"initialize", "ping"})
"""Requests that MCP 2026-07-28 no longer knows."""
MODERN_METHODS: Final = frozenset({"server/discover"})
"""Requests that only MCP 2026-07-28 knows."""


class ServedPortal:
    """One portal as an MCP server, for every client and every protocol version at once.

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
        self._recorder = recorder
        switches = Switches(on_change=on_change)
        self._own_tools = OwnTools(portal=config, fleet=fleet, switches=switches)
        self._lists = Lists(config=config, fleet=fleet, switches=switches)
        self._tool_calls = ToolCalls(
            config=config,
            fleet=fleet,
            engine=engine,
            recorder=recorder,
            lists=self._lists,
            invoker=self.invoker,
        )
        self._handlers: Mapping[str, Handler] = {
            "initialize": self._initialize,
            "server/discover": self._discover,
            "ping": self._ping,
            "tools/list": self._list,
            "tools/call": self._call_tool,
        }

    @property
    def listing(self) -> Listing:
        """What the portal offers now to those who have switched nothing off."""
        return self._lists.whole

    def listing_for(self, caller: Caller, view: View) -> Listing:
        """What the portal offers now to ``caller`` in ``view``."""
        return self._lists.of(caller, is_read_only=view.is_read_only)

    def invoker(self, caller: Caller, conversation: Conversation | None = None) -> PortalInvoker:
        """Return the function through which the calls of ``caller`` leave; questions go to ``conversation``."""
        return PortalInvoker(
            portal=self._config,
            fleet=self._fleet,
            own_tools=self._own_tools,
            recorder=self._recorder,
            caller=caller,
            conversation=NoConversation() if conversation is None else conversation,
        )

    async def handle(self, method: str, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Answer one request; the result goes on the wire as it is.

        Takes every request of MCP but those of a transport's own life (``subscriptions/listen``, whose answer is a
        stream). Raises ``RpcError`` for the client; any other exception is a mistake of ours, to be hidden from him.
        """
        wrong_era = HANDSHAKE_METHODS if request.is_modern else MODERN_METHODS
        handler = self._handlers.get(method)
        if handler is None or method in wrong_era:
            raise RpcError(METHOD_NOT_FOUND, "Method not found", method)
        return enveloped(await handler(params, request), method, is_modern=request.is_modern)

    def listed(self, method: str, request: ClientRequest) -> bytes | None:
        """Return the serialised result of a list without a cursor, made once for each change of what is listed.

        None for what is no list: ``handle`` answers that.
        """
        return self._lists.serialised(method, request)

    def instructions(self, request: ClientRequest) -> str:
        """Tell a client in a line or two how to use the portal."""
        return self._lists.for_request(request).instructions(request.view.mode)

    def capabilities(self, request: ClientRequest) -> JsonObject:  # noqa: ARG002 -- until servers offer more than tools
        """Say what the portal can do for this client."""
        return {"tools": {"listChanged": True}}

    async def _initialize(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        return initialize_result(
            params, capabilities=self.capabilities(request), instructions=self.instructions(request)
        )

    async def _discover(self, _params: JsonObject, request: ClientRequest) -> JsonObject:
        return discover_result(capabilities=self.capabilities(request), instructions=self.instructions(request))

    async def _ping(self, _params: JsonObject, _request: ClientRequest) -> JsonObject:
        return {}

    async def _list(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        if params.get("cursor") is not None:
            raise RpcError(INVALID_PARAMS, "Unknown cursor: this portal answers a list in one piece")
        return listed(self._lists.for_request(request), "tools/list", request) or {}

    async def _call_tool(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        return await self._tool_calls.call(params, request)

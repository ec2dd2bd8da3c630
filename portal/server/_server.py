"""One portal as its clients meet it: every request of MCP answered as plain JSON, whatever transport brought it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio

from portal._conversation import NoConversation
from portal.server._announcements import Announcements
from portal.server._capabilities import capabilities_of
from portal.server._completion import Completion
from portal.server._envelope import enveloped
from portal.server._greeting import discover_result, initialize_result
from portal.server._lists import Lists
from portal.server._log_levels import LogLevels
from portal.server._own_tools import OwnTools
from portal.server._passing import Passing
from portal.server._program import ProgramConversation
from portal.server._prompts import Prompts
from portal.server._resources import Resources
from portal.server._rounds import Rounds
from portal.server._subscriptions import Subscriptions
from portal.server._switches import Switches
from portal.server._tool_calls import ToolCalls
from portal.wire import METHOD_NOT_FOUND, ROOTS_CHANGED, RpcError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from typing import TypeAlias

    from engine import Engine
    from portal._config import PortalConfig
    from portal._conversation import Conversation
    from portal._records import Recorder
    from portal.server._invoker import PortalInvoker
    from portal.server._listing import Listing
    from portal.server._modes import View
    from portal.server._request import ClientRequest
    from portal.upstream import Caller, Change, Fleet
    from typegen import JsonObject

    Handler: TypeAlias = Callable[[JsonObject, ClientRequest], Awaitable[JsonObject]]

LOCAL_USER: Final = "local"
HANDSHAKE_METHODS: Final = frozenset(
    {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"}
)
"""Requests that MCP 2026-07-28 no longer knows."""
MODERN_METHODS: Final = frozenset({"server/discover"})
"""Requests that only MCP 2026-07-28 knows."""


class ServedPortal:
    """One portal as an MCP server, for every client and every protocol version at once.

    ``announcements`` holds the connections that are to be told of changes. It serves while ``running`` is open.
    """

    def __init__(self, *, config: PortalConfig, fleet: Fleet, engine: Engine, recorder: Recorder) -> None:
        self._config = config
        self._fleet = fleet
        switches = Switches(on_change=self._switched)
        self._lists = Lists(config=config, fleet=fleet, switches=switches)
        self._subscriptions = Subscriptions(fleet=fleet, lists=self._lists)
        self.announcements = Announcements(
            on_add=self._subscriptions.added,
            on_remove=self._subscriptions.removed,
            users=fleet.users,
            listed_uri=self._listed_uri,
        )
        self._rounds = Rounds(portal_id=config.id)
        self._tool_calls = ToolCalls(
            config=config,
            fleet=fleet,
            engine=engine,
            recorder=recorder,
            lists=self._lists,
            own_tools=OwnTools(portal=config, fleet=fleet, switches=switches),
            rounds=self._rounds,
            announcements=self.announcements,
        )
        passing = Passing(fleet=fleet, rounds=self._rounds)
        prompts = Prompts(lists=self._lists, passing=passing)
        resources = Resources(
            lists=self._lists,
            passing=passing,
            announcements=self.announcements,
            subscriptions=self._subscriptions,
        )
        self._handlers: Mapping[str, Handler] = {
            "initialize": self._initialize,
            "server/discover": self._discover,
            "ping": _ping,
            "tools/list": self._lists.tools,
            "tools/call": self._tool_calls.call,
            "prompts/list": self._lists.prompts,
            "prompts/get": prompts.get,
            "resources/list": self._lists.resources,
            "resources/templates/list": self._lists.templates,
            "resources/read": resources.read,
            "resources/subscribe": resources.subscribe,
            "resources/unsubscribe": resources.unsubscribe,
            "completion/complete": Completion(fleet=fleet, lists=self._lists, passing=passing).complete,
            "logging/setLevel": LogLevels(config=config, fleet=fleet, announcements=self.announcements).set_level,
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve requests while the block is open; enter and leave in one task."""
        async with self._rounds.suspended.running(), anyio.create_task_group() as tasks:
            self._subscriptions.tasks = tasks
            tasks.start_soon(self.announcements.run)
            try:
                yield
            finally:
                self._subscriptions.tasks = None
                tasks.cancel_scope.cancel()

    @property
    def listing(self) -> Listing:
        """What the portal offers now to those who have switched nothing off."""
        return self._lists.whole

    def listing_for(self, caller: Caller, view: View) -> Listing:
        """What the portal offers now to ``caller`` in ``view``."""
        return self._lists.of(caller, is_read_only=view.is_read_only)

    def invoker(
        self, caller: Caller, conversation: Conversation | None = None, *, allowed: frozenset[str] = frozenset()
    ) -> PortalInvoker:
        """Return the function through which the calls of a program of ``caller`` leave.

        Questions and progress go to ``conversation``; without one nobody can be asked. The tools with an identifier in
        ``allowed`` need no word of the user's.
        """
        program = ProgramConversation(conversation or NoConversation())
        return self._tool_calls.invoker(caller, self._lists.whole, program, allowed=allowed)

    async def handle(self, method: str, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Answer one request; the result goes on the wire as it is.

        Takes every request of MCP but those of a transport's own life (``subscriptions/listen``, whose answer is a
        stream). Raises ``RpcError`` for the client; any other exception is a mistake of ours, to be hidden.
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

    def capabilities(self) -> JsonObject:
        """Say what the portal can do, by what its servers can."""
        return capabilities_of(
            self._fleet.listing(server.id).offers
            for server in self._config.servers
            if server.id in self._fleet.server_ids
        )

    def changed(self, server_id: str, changes: frozenset[Change]) -> None:
        """Take note of what became different of a server, and tell the clients whom it concerns."""
        if any(server.id == server_id for server in self._config.servers):
            self.announcements.changed(server_id, changes)

    def notified(self, server_id: str, owner: str | None, method: str, params: JsonObject) -> None:
        """Take what a server said beside its answers, on the session of ``owner``; see ``Fleet``."""
        if any(server.id == server_id for server in self._config.servers):
            self.announcements.pass_on(server_id, owner, method, params)

    def told_by(self, caller: Caller, method: str) -> None:
        """Take a notification of a client that is about none of its requests."""
        if method == ROOTS_CHANGED:
            self._fleet.roots_changed(caller)

    def _listed_uri(self, server_id: str, uri: str) -> str:
        return self._lists.whole.listed_uri(server_id, uri)

    def _switched(self, user: str) -> None:
        self.announcements.switched(user)

    async def _initialize(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        return initialize_result(params, capabilities=self.capabilities(), instructions=self.instructions(request))

    async def _discover(self, _params: JsonObject, request: ClientRequest) -> JsonObject:
        return discover_result(capabilities=self.capabilities(), instructions=self.instructions(request))


async def _ping(_params: JsonObject, _request: ClientRequest) -> JsonObject:
    return {}

"""What clients are told without having asked at that moment: changed lists, updated resources, log messages.

A list that really changed is told within a second. A server whose lists keep changing is told of once in ``AGAIN_S``
for each kind; the last change of all is never left out. Its first change does not count for that: most often it is the
first list after a start.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel

from portal.server._modes import Mode
from portal.upstream import Users
from portal.wire import (
    LOG_LEVELS,
    LOG_MESSAGE,
    PROMPTS_CHANGED,
    RESOURCE_UPDATED,
    RESOURCES_CHANGED,
    TOOLS_CHANGED,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from portal.server._modes import View
    from portal.upstream import Caller, Change
    from typegen import JsonObject

    Notify: TypeAlias = Callable[[str, JsonObject], Awaitable[None]]
    Place: TypeAlias = tuple[str, str]

logger = logging.getLogger("portico.portal")

TOGETHER_S: Final = 0.5
"""Changes of several servers that come together, as at the start, are told once."""
AGAIN_S: Final = 30.0
TELL_S: Final = 5.0
"""A client that does not read is not waited for any longer."""

MAX_WAITING: Final = 10_000
"""Updates and log messages that wait to be told; a flood of them costs the oldest."""

MAX_QUEUED: Final = 4_096
"""The same for one client: more than comes at once to one that reads, of which it takes a burst a moment later."""

MAX_EXPECTED: Final = 1_000
"""Pages that users were sent to and have not come back from."""

ELICITATION_COMPLETE: Final = "notifications/elicitation/complete"

LIST_CHANGES: Final[dict[Change, str]] = {
    "tools": TOOLS_CHANGED,
    "prompts": PROMPTS_CHANGED,
    "resources": RESOURCES_CHANGED,
}
"""What to say when the lists of a server changed; a changed status changes no list."""
DEPENDS_ON_TOOLS: Final = frozenset({Mode.LIST, Mode.NAMES})
"""The modes whose list of tools is another one when a server's tools are."""


@dataclass(eq=False, slots=True, kw_only=True)
class Listener:
    """One connection over which a client can be told something at any time.

    That is a session, a connection of stdio or SSE, or a stream of ``subscriptions/listen``. ``uris`` are resources
    that it watches from the start, ``methods`` the notifications that it wants, None for all of them, and ``log_level``
    the least level of log messages. ``watched`` says where each of the resources is; one that ``is_removed`` watches no
    more of them. ``on_stuck`` is called when it did not take what it was told.
    """

    caller: Caller
    view: View
    notify: Notify
    on_stuck: Callable[[], None] = lambda: None
    uris: frozenset[str] = frozenset()
    methods: frozenset[str] | None = None
    log_level: str | None = None
    watched: dict[str, Place] = field(default_factory=dict)
    is_removed: bool = False

    def wants(self, method: str) -> bool:
        """Whether the client asked for this kind of notification."""
        return self.methods is None or method in self.methods

    def hears(self, level: object) -> bool:
        """Whether log messages of this level are wanted; an unknown level is heard wherever any is."""
        if self.log_level is None:
            return False
        return level not in LOG_LEVELS or LOG_LEVELS.index(str(level)) >= LOG_LEVELS.index(self.log_level)


def _nothing(_: Listener) -> None:
    """Do nothing."""


class Announcements:
    """Who is to be told what, for one portal. ``run`` is the task that tells.

    ``on_add`` gets a listener that watches resources, ``on_remove`` one that has watched some. ``users`` are all whom
    the process has served. ``listed_uri`` gives the URI by which clients know that of a server.
    """

    def __init__(
        self,
        *,
        on_add: Callable[[Listener], None] = _nothing,
        on_remove: Callable[[Listener], None] = _nothing,
        users: Users | None = None,
        listed_uri: Callable[[str, str], str] = lambda _, uri: uri,
    ) -> None:
        self._on_add = on_add
        self._on_remove = on_remove
        self._users = users if users is not None else Users()
        self._listed_uri = listed_uri
        self._listeners: dict[Listener, None] = {}
        self._due: dict[tuple[str, str], float] = {}  # when a change of a server (or a user) and kind is told
        self._told: dict[tuple[str, str], float] = {}
        self._single: dict[tuple[Listener, str, object], JsonObject] = {}
        self._queues: dict[Listener, deque[tuple[str, JsonObject]]] = {}  # of those that are being told
        self._expected: dict[Place, Caller] = {}  # who was sent to a page, by server and elicitation id
        self._serial = 0
        self._woken = anyio.Event()

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Listener) -> None:
        """Tell one more."""
        self._users.meet(listener.caller.user)
        self._listeners[listener] = None
        if listener.uris:
            self._on_add(listener)

    def remove(self, listener: Listener) -> None:
        """Tell it no more."""
        listener.is_removed = True
        if self._listeners.pop(listener, ...) is None and listener.watched:
            self._on_remove(listener)

    def listeners_of(self, caller: Caller) -> list[Listener]:
        """Return the listeners of a caller's own client session; of all of the user's, where there are no sessions."""
        return [
            listener
            for listener in self._listeners
            if listener.caller.user == caller.user and listener.caller.client == caller.client
        ]

    def changed(self, server_id: str, changes: frozenset[Change]) -> None:
        """Tell the clients whom it concerns that lists of a server changed."""
        now = time.monotonic()
        for change in changes & LIST_CHANGES.keys():
            key = (server_id, LIST_CHANGES[change])
            earliest = self._told.get(key, -math.inf) + AGAIN_S
            self._due.setdefault(key, max(now + TOGETHER_S, earliest))
        self._woken.set()

    def switched(self, user: str) -> None:
        """Tell the clients of a user at once that other servers are seen now, in every mode."""
        for listener in self._listeners:
            if listener.caller.user == user:
                self._single.update(
                    ((listener, method, None), {}) for method in LIST_CHANGES.values() if listener.wants(method)
                )
        self._woken.set()

    def expect(self, server_id: str, elicitation_id: str, caller: Caller) -> None:
        """Remember whom a server has sent to a page on a shared session, to tell that user when it is done."""
        self._expected[server_id, elicitation_id] = caller
        while len(self._expected) > MAX_EXPECTED:
            del self._expected[next(iter(self._expected))]

    def pass_on(self, server_id: str, owner: str | None, method: str, params: JsonObject) -> None:
        """Tell what a server said beside changed lists, on the session of ``owner`` (None: on the shared one)."""
        if method == ELICITATION_COMPLETE and owner is None:
            sent = self._expected.pop((server_id, str(params.get("elicitationId"))), None)
            owner = sent.owner if sent is not None else None
        for listener in self._listeners:
            told = self._for(listener, server_id, owner, method, params)
            if told is None:
                continue
            # One resource that is updated again and again before it is told is told of once.
            self._serial += 1
            about: object = told["uri"] if method == RESOURCE_UPDATED else self._serial
            self._single[listener, method, about] = told
        while len(self._single) > MAX_WAITING:
            del self._single[next(iter(self._single))]
        self._woken.set()

    async def run(self) -> None:
        """Tell the clients until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                self._woken = anyio.Event()
                for listener, method, params in self._take():
                    queue = self._queues.get(listener)
                    if queue is None:
                        queue = self._queues[listener] = deque(maxlen=MAX_QUEUED)
                        tasks.start_soon(self._tell_all, listener, queue)
                    queue.append((method, params))
                with anyio.CancelScope(deadline=min(self._due.values(), default=math.inf)):
                    await self._woken.wait()

    async def _tell_all(self, listener: Listener, queue: deque[tuple[str, JsonObject]]) -> None:
        """Tell a client what waits for it, one after the other."""
        try:
            while queue and not listener.is_removed:
                await _tell(listener, *queue.popleft())
                await anyio.lowlevel.checkpoint()  # a burst for one client keeps no other waiting
        finally:
            del self._queues[listener]

    def _take(self) -> list[tuple[Listener, str, JsonObject]]:
        """Return what is to be told now, each client once of each kind of list."""
        now = time.monotonic()
        due = []
        if any(at <= now for at in self._due.values()):
            # What would be told in a moment, and need not wait any longer for its own sake, is told with it.
            due = [
                key
                for key, at in self._due.items()
                if at <= now + TOGETHER_S and self._told.get(key, -math.inf) + AGAIN_S <= now
            ]
        for key in due:
            del self._due[key]
            self._told[key] = now if key in self._told else -math.inf
        methods = dict.fromkeys(method for _, method in due)
        single = [(listener, method, params) for (listener, method, _), params in self._single.items()]
        self._single.clear()
        lists: list[tuple[Listener, str, JsonObject]] = [
            (listener, method, {})
            for method in methods
            for listener in self._listeners
            if listener.wants(method) and (method != TOOLS_CHANGED or listener.view.mode in DEPENDS_ON_TOOLS)
        ]
        return lists + single

    def _for(
        self, listener: Listener, server_id: str, owner: str | None, method: str, params: JsonObject
    ) -> JsonObject | None:
        """Return what this client is to be told; None for nothing."""
        is_own = listener.caller.owns(owner)
        if not listener.wants(method):
            return None
        if method == RESOURCE_UPDATED:
            uri = params.get("uri")
            listed = self._watched(listener, server_id, uri) if isinstance(uri, str) else None
            return {**params, "uri": listed} if listed is not None and (is_own or owner is None) else None
        if method == LOG_MESSAGE:
            # On a shared session nothing tells whose call it is about: nobody's else's only where nobody else is.
            is_mine = is_own or (owner is None and self._users.are_only(listener.caller.user))
            return params if is_mine and listener.hears(params.get("level")) else None
        return params if method == ELICITATION_COMPLETE and is_own else None

    def _watched(self, listener: Listener, server_id: str, uri: str) -> str | None:
        """Return how the client knows a resource of a server that it watches, itself or what it is a part of."""
        for listed, known in listener.watched.items():
            if known == (server_id, uri):
                return listed
        if any(of == server_id and _is_below(uri, known) for of, known in listener.watched.values()):
            return self._listed_uri(server_id, uri)
        return None


def _is_below(uri: str, watched: str) -> bool:
    """Whether ``uri`` may be a sub-resource of one that is watched (MCP, ``ResourceUpdatedNotification``)."""
    rest = uri.removeprefix(watched)
    return rest != uri and (watched.endswith("/") or rest.startswith(("/", "?", "#")))


async def _tell(listener: Listener, method: str, params: JsonObject) -> None:
    with anyio.move_on_after(TELL_S) as scope:
        try:
            await listener.notify(method, params)
        except Exception as error:  # noqa: BLE001 -- however a connection is lost, the others are told all the same
            logger.debug("a client could not be told of %s (%s)", method, type(error).__name__)
    if scope.cancelled_caught:
        logger.debug("a client does not read: it was not told of %s", method)
        listener.on_stuck()

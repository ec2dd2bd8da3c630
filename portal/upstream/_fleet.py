"""All upstreams of a portal process: one owner task a session, and who may share which session."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from portal._errors import UpstreamBusy, UpstreamFailure, UpstreamUnavailable
from portal.upstream._lane import Lane
from portal.upstream._own_sessions import Caller, OwnKey, Users, interactive, own_key, session_rule
from portal.upstream._status import Synced
from portal.upstream._upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from portal._server_config import ServerConfig
    from portal.upstream._offers import Change
    from portal.upstream._status import ServerStatus
    from typegen import JsonObject

logger = logging.getLogger("portico.upstream")

IDLE_S: Final = 10 * 60.0
"""A session of one user or client that nobody used for so long is closed, and its process ended."""
IDLE_CHECK_S: Final = 30.0
MAX_OWN_SESSIONS: Final = 256
"""Sessions of single users and clients with servers that have a url, in all."""
MAX_OWN_CHILDREN: Final = 64
"""The same of servers that are started by a command: each is a process."""
REST_S: Final = 10.0
"""A session that was used so recently is not closed for another's sake where that one can do without: else many
clients at once would open and close sessions with every call."""
CLOSE_S: Final = 8.0
"""Time for all sessions to close at once: a child gets two seconds each after its input closed, SIGTERM and SIGKILL."""


class Fleet:
    """The upstreams. ``async with`` starts an owner task for each and returns at once, whatever state they are in.

    ``on_change`` is called with the id of a server and what became different of it; ``generation`` counts those times.
    ``on_notification`` is called with a server's id, the owner of the session it spoke on (see ``Caller.owns``; None
    for the shared one), and what it said beside changed lists. ``keep`` gets what a server listed, for ``restore`` at
    the next start. ``users`` are all whom it has served.
    """

    def __init__(
        self,
        servers: Iterable[ServerConfig],
        *,
        on_change: Callable[[str, frozenset[Change]], None] = lambda _, __: None,
        on_notification: Callable[[str, str | None, str, JsonObject], None] = lambda _, __, ___, ____: None,
        keep: Callable[[ServerConfig, JsonObject], Awaitable[None]] | None = None,
    ) -> None:
        self.generation = 0
        self.users = Users()
        self._on_change = on_change
        self._on_notification = on_notification
        self._configs = {config.id: config for config in servers if config.enabled}
        self._primary = {
            server_id: Upstream(
                config,
                on_change=partial(self._changed, server_id),
                on_notification=partial(on_notification, server_id, None),
                is_one_users=lambda: not self.users.are_several,
                keep=partial(keep, config) if keep is not None else None,
            )
            for server_id, config in self._configs.items()
        }
        self._with_accounts = [
            server_id for server_id, config in self._configs.items() if session_rule(config) in {"user", "client"}
        ]
        self._own: dict[OwnKey, Upstream] = {}
        self._log_levels: dict[OwnKey, str] = {}  # of own sessions that were closed: what they are to be told again
        self._tasks: TaskGroup | None = None
        self._owners = 0
        self._all_done = anyio.Event()

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        for upstream in self._primary.values():
            self._start(upstream)
        self._tasks.start_soon(self._stop_idle)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        tasks, self._tasks = self._tasks, None
        if tasks is None:
            return None
        for upstream in (*self._primary.values(), *self._own.values()):
            upstream.stop()
        # A portal that is cancelled closes its sessions too, and leaves the task group that it entered.
        with anyio.move_on_after(CLOSE_S, shield=True):
            while self._owners:
                self._all_done = anyio.Event()
                await self._all_done.wait()
        tasks.cancel_scope.cancel()
        return await tasks.__aexit__(kind, error, trace)

    @property
    def server_ids(self) -> tuple[str, ...]:
        """The ids of the servers that are enabled, in the order of the configuration."""
        return tuple(self._primary)

    def restore(self, kept: Mapping[str, JsonObject]) -> None:
        """Offer what the servers listed at an earlier start until they list their own."""
        for server_id, upstream in self._primary.items():
            if server_id in kept:
                upstream.restore(kept[server_id])

    def status(self) -> tuple[ServerStatus, ...]:
        """How each server is, in the order of the configuration."""
        return tuple(upstream.status for upstream in self._primary.values())

    async def sync(self, *server_ids: str) -> tuple[Synced, ...]:
        """List what these servers offer again, or all without a name, and wait until that is done and kept.

        Raises ``KeyError`` for an unknown server.
        """
        synced: dict[str, Synced] = {}

        async def sync_one(server_id: str, upstream: Upstream) -> None:
            before, failure = upstream.offers, None
            try:
                await upstream.sync()
            except UpstreamFailure as error:
                failure = error.message
            changed = tuple(sorted(upstream.offers.changes_since(before)))
            synced[server_id] = Synced(status=upstream.status, changed=changed, failure=failure)

        chosen = {server_id: self._primary[server_id] for server_id in server_ids or self._primary}
        async with anyio.create_task_group() as tasks:
            for item in chosen.items():
                tasks.start_soon(sync_one, *item)
        return tuple(synced[server_id] for server_id in chosen)

    def accounts(self, caller: Caller) -> dict[str, str]:
        """Name the account of ``caller``, by server id, at every server where callers have one of their own.

        What results look like is learned for each account apart there (see ``Engine.code``).
        """
        return dict.fromkeys(self._with_accounts, caller.user)

    def listing(self, server_id: str) -> Upstream:
        """Return the session from which the server is listed. Raises ``KeyError`` for an unknown server."""
        return self._primary[server_id]

    def upstream(self, server_id: str, caller: Caller) -> Upstream:
        """Return the session through which calls of ``caller`` go; one of its own is started where that is the rule.

        Raises ``UpstreamUnavailable`` for a server that is not there, ``UpstreamBusy`` when there must be an own
        session and too many are in use.
        """
        config = self._configs.get(server_id)
        if config is None or self._tasks is None:
            raise UpstreamUnavailable(f"there is no server {server_id}", upstream=server_id, retryable=False)
        self.users.meet(caller.user)
        primary = self._primary[server_id]
        key = own_key(config, caller, is_modern=primary.is_modern)
        if key is None:
            return primary
        own = self._own.get(key)
        if own is not None:
            return own
        is_needed = session_rule(config) != "auto"
        if self._make_room(config, rest_s=0.0 if is_needed else REST_S):
            return self._open_own(key, caller)
        if not is_needed:
            return primary  # as everybody: what the client could be asked is not declared there
        message = f"too many sessions with {server_id} and others are in use: try again in a minute"
        raise UpstreamBusy(message, upstream=server_id, retry_after_s=60.0)

    def roots_changed(self, caller: Caller) -> None:
        """Have the servers told, on sessions of this caller's own, that a client's roots are others now."""
        for key, upstream in self._own.items():
            if caller.owns(key.owner):
                upstream.roots_changed()

    def release_client(self, client: str) -> None:
        """Close the sessions that belong to a client session which has ended."""
        owner = f"client:{client}"
        for key, upstream in list(self._own.items()):
            if key.owner == owner:
                self._close_own(key, upstream)
        for key in [key for key in self._log_levels if key.owner == owner]:
            del self._log_levels[key]

    async def wait_settled(self, timeout_s: float | None = None) -> bool:
        """Wait until the first attempt at every server has succeeded or failed; return whether it did in time."""
        with anyio.move_on_after(timeout_s) as waiting:
            for upstream in self._primary.values():
                await upstream.wait_settled()
        return not waiting.cancelled_caught

    def _open_own(self, key: OwnKey, caller: Caller) -> Upstream:
        primary = self._primary[key.server_id]
        config = primary.config
        own = self._own[key] = Upstream(
            config,
            source=primary,
            # One server behind all sessions has one measure of work; each process of a command has its own.
            lane=primary.lane if config.url is not None else Lane(config.id, width=config.max_concurrent),
            capabilities=interactive(caller),
            is_handshake_first=caller.client is not None or primary.is_handshake_first,
            on_notification=partial(self._on_notification, key.server_id, key.owner),
            is_one_users=lambda: True,
        )
        level = self._log_levels.pop(key, None)
        if level is not None:
            own.want_log_level(level)
        self._start(own, key=key)
        return own

    def _make_room(self, config: ServerConfig, *, rest_s: float) -> bool:
        """See to it that one more own session may be opened, closing the one that is idle longest for it."""
        now = time.monotonic()
        is_child = config.url is None
        alike = {key: own for key, own in self._own.items() if (own.config.url is None) is is_child}
        if len(alike) < (MAX_OWN_CHILDREN if is_child else MAX_OWN_SESSIONS):
            return True
        idle = [(own.last_used, key) for key, own in alike.items() if not own.is_busy and now - own.last_used >= rest_s]
        if not idle:
            return False
        _, key = min(idle, key=lambda item: item[0])
        self._close_own(key, self._own[key])
        return True

    def _close_own(self, key: OwnKey, own: Upstream) -> None:
        own.stop()
        if self._own.get(key) is own:  # at once: nobody must be given a session that is closing
            del self._own[key]
            if own.wanted_log_level is not None:
                self._log_levels[key] = own.wanted_log_level

    def _start(self, upstream: Upstream, *, key: OwnKey | None = None) -> None:
        assert self._tasks is not None  # noqa: S101 -- only between enter and exit
        self._owners += 1
        self._tasks.start_soon(self._own_session, upstream, key, name=f"upstream {upstream.config.id}")

    async def _own_session(self, upstream: Upstream, key: OwnKey | None) -> None:
        try:
            await upstream.run()
        except Exception:
            # A mistake of ours in one owner must not end the other upstreams; it is logged with its trace.
            logger.exception("%s: the owner of the session failed", upstream.config.id)
        finally:
            if key is not None and self._own.get(key) is upstream:
                del self._own[key]
            self._owners -= 1
            self._all_done.set()

    async def _stop_idle(self) -> None:
        while True:
            await anyio.sleep(IDLE_CHECK_S)
            for key, own in list(self._own.items()):
                if not own.is_busy and time.monotonic() - own.last_used > IDLE_S:
                    self._close_own(key, own)

    def _changed(self, server_id: str, changes: frozenset[Change]) -> None:
        self.generation += 1
        self._on_change(server_id, changes)

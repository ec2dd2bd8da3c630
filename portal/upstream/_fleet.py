"""All upstreams of a portal process: one owner task a session, and who may share which session."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from portal._errors import UpstreamUnavailable
from portal.upstream._upstream import ServerStatus, Upstream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from portal._server_config import ServerConfig, Session
    from typegen import JsonValue

logger = logging.getLogger("portico.upstream")

IDLE_S: Final = 10 * 60.0
"""A session of one user or client that nobody used for so long is closed, and its process ended."""
IDLE_CHECK_S: Final = 30.0
MAX_OWN_SESSIONS: Final = 256
"""Sessions of single users and clients in all; each may be a process."""
CLOSE_S: Final = 8.0
"""Time for all sessions to close at once: a child gets two seconds each after its input closed, SIGTERM and SIGKILL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who a call is made for: a user, and the client session, where the client's protocol version has sessions.

    ``capabilities`` is what the client declared (MCP, ``ClientCapabilities``).
    """

    user: str
    client: str | None = None
    capabilities: Mapping[str, JsonValue] = field(default_factory=dict, compare=False)


class Fleet:
    """The upstreams. ``async with`` starts an owner task for each and returns at once, whatever state they are in.

    ``on_change`` is called whenever a status or a tool list changed; ``generation`` counts those times. ``keep`` gets
    what a server listed, for ``restore`` at the next start.
    """

    def __init__(
        self,
        servers: Iterable[ServerConfig],
        *,
        on_change: Callable[[], None] = lambda: None,
        keep: Callable[[ServerConfig, Sequence[JsonValue]], Awaitable[None]] | None = None,
    ) -> None:
        self.generation = 0
        self._on_change = on_change
        self._configs = {config.id: config for config in servers if config.enabled}
        self._primary = {
            server_id: Upstream(
                config, on_change=self._changed, keep=partial(keep, config) if keep is not None else None
            )
            for server_id, config in self._configs.items()
        }
        self._own: dict[tuple[str, str], Upstream] = {}
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

    def restore(self, definitions: Mapping[str, Iterable[JsonValue]]) -> None:
        """Offer the tools that the servers listed at an earlier start until they list their own."""
        for server_id, upstream in self._primary.items():
            if server_id in definitions:
                upstream.restore(definitions[server_id])

    def status(self) -> tuple[ServerStatus, ...]:
        """How each server is, in the order of the configuration."""
        return tuple(upstream.status for upstream in self._primary.values())

    def accounts(self, caller: Caller) -> dict[str, str]:
        """Name the account of ``caller``, by server id, at every server where callers share no session.

        What results look like is learned for each account apart there (see ``Engine.code``).
        """
        return {
            server_id: caller.user for server_id, config in self._configs.items() if session_rule(config) != "shared"
        }

    def listing(self, server_id: str) -> Upstream:
        """Return the session from which the server's tools are listed. Raises ``KeyError`` for an unknown server."""
        return self._primary[server_id]

    def upstream(self, server_id: str, caller: Caller) -> Upstream:
        """Return the session through which calls of ``caller`` go; one of its own is started where that is the rule.

        Raises ``UpstreamUnavailable`` for a server that is not there, or when too many own sessions are open.
        """
        config = self._configs.get(server_id)
        if config is None or self._tasks is None:
            raise UpstreamUnavailable(f"there is no server {server_id}", upstream=server_id, retryable=False)
        owner = _owner(session_rule(config), caller)
        if owner is None:
            return self._primary[server_id]
        own = self._own.get((server_id, owner))
        if own is None:
            if len(self._own) >= MAX_OWN_SESSIONS:
                raise UpstreamUnavailable("too many sessions are open; try again later", upstream=server_id)
            own = self._own[server_id, owner] = Upstream(config)
            own.tools = self._primary[server_id].tools
            self._start(own, key=(server_id, owner))
        return own

    def release_client(self, client: str) -> None:
        """Close the sessions that belong to a client session which has ended."""
        for (_, owner), upstream in list(self._own.items()):
            if owner == f"client:{client}":
                upstream.stop()

    async def wait_settled(self, timeout_s: float | None = None) -> bool:
        """Wait until the first attempt at every server has succeeded or failed; return whether it did in time."""
        with anyio.move_on_after(timeout_s) as waiting:
            for upstream in self._primary.values():
                await upstream.wait_settled()
        return not waiting.cancelled_caught

    def _start(self, upstream: Upstream, *, key: tuple[str, str] | None = None) -> None:
        assert self._tasks is not None  # noqa: S101 -- only between enter and exit
        self._owners += 1
        self._tasks.start_soon(self._own_session, upstream, key, name=f"upstream {upstream.config.id}")

    async def _own_session(self, upstream: Upstream, key: tuple[str, str] | None) -> None:
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
            for upstream in list(self._own.values()):
                if time.monotonic() - upstream.last_used > IDLE_S:
                    upstream.stop()

    def _changed(self) -> None:
        self.generation += 1
        self._on_change()


def session_rule(config: ServerConfig) -> Session:
    """Say who shares a session: what the configuration says, else one a user where the server is per user, else all.

    One process or one credential that the operator gave serves everybody; so the default is ``shared`` for those.
    """
    if config.session is not None:
        return config.session
    return "user" if config.per_user else "shared"


def _owner(rule: Session, caller: Caller) -> str | None:
    """Name whose session it is, None for the shared one; a client without a session counts as its user."""
    match rule:
        case "shared":
            return None
        case "user":
            return f"user:{caller.user}"
        case "client":
            return f"client:{caller.client}" if caller.client is not None else f"user:{caller.user}"

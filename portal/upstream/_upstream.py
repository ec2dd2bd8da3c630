"""One session with one upstream: opened, kept, synced and reopened by a task that owns it."""

from __future__ import annotations

import logging
import math
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import anyio

from portal._config import MIN_REDACTED_CHARS
from portal._errors import UpstreamFailure, UpstreamUnavailable
from portal._redaction import Redactor
from portal.upstream._connect import open_session
from portal.upstream._session import SessionLost
from portal.upstream._tool import read_tools

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from mcp.shared.dispatcher import ProgressFnT

    from portal._server_config import ServerConfig
    from portal.upstream._session import UpstreamSession
    from portal.upstream._tool import UpstreamTool
    from typegen import JsonObject, JsonValue

logger = logging.getLogger("portico.upstream")

Status = Literal["waiting", "ready", "error"]

FIRST_RETRY_S: Final = 1.0
LAST_RETRY_S: Final = 60.0
"""Retries double from the first to the last; a refusal that only a person can lift starts at the last."""
STEADY_S: Final = 30.0
"""A session that is lost so long after the last loss is opened again at once."""
RESYNC_S: Final = 1.0
"""The least time between two lists: a burst of announcements costs the first and one more."""
RECHECK_S: Final = 1.0
"""The least time between two checks of an upstream whose exchanges break."""
PROBE_S: Final = 1.0
"""A call to an upstream in error starts a new attempt at once, at most this often."""
PROBE_WAIT_S: Final = 10.0
"""How long a call waits for a session that is being opened: within what clients wait for a call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """How one upstream is. ``cause`` is for people: why it is in error. ``since`` is a Unix time in seconds."""

    id: str
    name: str
    transport: str
    status: Status
    tools: int
    cause: str | None
    since: float
    retryable: bool
    protocol_version: str | None = None


class Upstream:
    """A connection to one upstream. ``run`` is its owner: the session lives and dies in the task that awaits it.

    ``tools`` are those of the last sync, kept while the upstream is away. ``on_change`` is called, in that task,
    whenever ``status`` or ``tools`` changed; ``keep`` gets what was listed, for ``restore`` at the next start.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        on_change: Callable[[], None] = lambda: None,
        keep: Callable[[Sequence[JsonValue]], Awaitable[None]] | None = None,
    ) -> None:
        self.config = config
        self.tools: Mapping[str, UpstreamTool] = {}
        self.last_used = time.monotonic()
        self._redactor = Redactor(secret for secret in config.secrets() if len(secret) >= MIN_REDACTED_CHARS)
        self._on_change = on_change
        self._keep = keep
        self._listed: Sequence[JsonValue] = ()
        self._session: UpstreamSession | None = None
        self._status: Status = "waiting"
        self._cause: str | None = None
        self._since = time.time()
        self._is_retryable = True
        self._version: str | None = None
        self._settled = anyio.Event()
        self._stop = anyio.Event()
        self._retry_now = anyio.Event()
        self._attempt: anyio.CancelScope | None = None
        self._last_attempt = 0.0
        self._dirty = anyio.Event()

    @property
    def status(self) -> ServerStatus:
        """How this upstream is now."""
        return ServerStatus(
            id=self.config.id,
            name=self.config.display_name,
            transport=self.config.transport,
            status=self._status,
            tools=len(self.tools),
            cause=self._cause,
            since=self._since,
            retryable=self._is_retryable,
            protocol_version=self._version,
        )

    def restore(self, definitions: Iterable[JsonValue]) -> None:
        """Offer the tools of an earlier start until the upstream lists its own."""
        self._offer(definitions)

    async def run(self) -> None:
        """Keep a session open until ``stop``; never raises what an upstream does."""
        retry_s, lost_at = FIRST_RETRY_S, -math.inf
        while not self._stop.is_set():
            self._last_attempt = time.monotonic()
            self._retry_now = anyio.Event()  # a call may set it from here on, also before the pause begins
            try:
                with anyio.CancelScope() as self._attempt:
                    await self._hold_session()
            except UpstreamFailure as failure:
                if not self._stop.is_set():
                    self._fail(failure)
                    await self._pause(retry_s if self._is_retryable else LAST_RETRY_S)
                    retry_s = min(retry_s * 2, LAST_RETRY_S)
            else:
                # The session was good and then lost: mended at once, unless that happens again and again.
                now = time.monotonic()
                is_first = now - lost_at > STEADY_S
                lost_at = now
                if is_first:
                    retry_s = FIRST_RETRY_S
                elif not self._stop.is_set():
                    await self._pause(retry_s)
                    retry_s = min(retry_s * 2, LAST_RETRY_S)

    def stop(self) -> None:
        """Ask the owner to close the session and return; calls that wait for it fail."""
        self._stop.set()
        self._retry_now.set()
        self._settled.set()
        if self._session is not None:
            self._session.loss.note("the portal stops")
        elif self._attempt is not None:
            self._attempt.cancel()

    def refresh(self) -> None:
        """Ask the owner to list the tools again; asking often costs at most one list more."""
        self._dirty.set()

    async def wait_settled(self) -> None:
        """Wait until the attempt that is under way, if any, has come to an end."""
        await self._settled.wait()

    async def call(
        self, name: str, arguments: Mapping[str, JsonValue], *, on_progress: ProgressFnT | None = None
    ) -> JsonObject:
        """Call a tool and return its result as it came, unknown fields included. Raises ``UpstreamFailure``.

        When the upstream has forgotten the session, it is opened anew and the call sent once more: the first had no
        effect. In no other case is a call repeated.
        """
        self.last_used = time.monotonic()
        tool = self.tools.get(name)
        for attempt in (1, 2):
            session = await self._live_session()
            try:
                return await session.call_tool(
                    name,
                    arguments,
                    timeout_s=self.config.call_timeout_s,
                    header_paths=tool.header_paths if tool is not None else {},
                    on_progress=on_progress,
                )
            except SessionLost:
                self._forget(session)
                if attempt == 2:
                    break
            except UpstreamUnavailable:
                if session.loss.event.is_set():
                    self._forget(session)
                raise
            finally:
                self.last_used = time.monotonic()
        raise UpstreamUnavailable(f"{self.config.id} keeps losing its session", upstream=self.config.id)

    async def _live_session(self) -> UpstreamSession:
        """Return the open session; where there is none, start an attempt to open one and wait for it."""
        if self._session is None and not self._stop.is_set():
            if self._status == "waiting":
                self._retry_now.set()
            elif time.monotonic() - self._last_attempt >= PROBE_S:
                self._settled = anyio.Event()
                self._retry_now.set()
            with anyio.move_on_after(PROBE_WAIT_S):
                await self._settled.wait()
        if self._session is None:
            message = f"{self.config.id} is not reachable at the moment (status: {self._status})"
            raise UpstreamUnavailable(message, upstream=self.config.id, retryable=self._is_retryable)
        return self._session

    async def _hold_session(self) -> None:
        """Open a session, sync, and keep it until it is lost or ``stop``.

        Raises ``UpstreamFailure`` when it could not be opened or synced.
        """
        self._dirty = anyio.Event()
        async with open_session(self.config, on_tools_changed=self.refresh) as session:
            try:
                await self._sync(session)
            except SessionLost:
                raise UpstreamUnavailable("it forgot the session at once", upstream=self.config.id) from None
            self._session, self._version, self._is_retryable = session, session.protocol_version, True
            logger.info("%s: ready, MCP %s, %d tools", self.config.id, session.protocol_version, len(self.tools))
            self._change("ready", None)
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._keep_synced, session)
                    tasks.start_soon(self._check_when_suspected, session)
                    if session.is_modern and session.announces_tool_changes:
                        tasks.start_soon(self._subscribe, session)
                    await session.loss.event.wait()
                    tasks.cancel_scope.cancel()
            finally:
                self._forget(session)
        if not self._stop.is_set():
            logger.warning("%s: the session ended: %s", self.config.id, session.loss.cause)

    async def _sync(self, session: UpstreamSession) -> None:
        timeout_s = self.config.call_timeout_s
        self._listed = await session.list_tools(timeout_s=timeout_s) if session.has_tools else []
        self._offer(self._listed)

    def _offer(self, definitions: Iterable[JsonValue]) -> None:
        self.tools = {tool.name: tool for tool in read_tools(definitions, upstream=self.config.id)}

    async def _keep_synced(self, session: UpstreamSession) -> None:
        """List the tools again whenever something changed; announcements that come meanwhile are taken together."""
        while True:
            if self._keep is not None:
                await self._keep(self._listed)
            await self._dirty.wait()
            self._dirty = anyio.Event()
            try:
                await self._sync(session)
            except SessionLost:
                return
            except UpstreamFailure as failure:
                logger.warning("%s: the tools could not be listed again: %s", self.config.id, failure.message)
            else:
                self._on_change()
            await anyio.sleep(RESYNC_S)

    async def _check_when_suspected(self, session: UpstreamSession) -> None:
        """Find out whether the upstream lives when an exchange with it broke; the calls in flight go on meanwhile."""
        while True:
            await session.loss.suspicion.wait()
            session.loss.suspicion = anyio.Event()
            await session.check(timeout_s=self.config.connect_timeout_s)
            await anyio.sleep(RECHECK_S)

    async def _subscribe(self, session: UpstreamSession) -> None:
        """Hold a subscription to tool changes open (MCP 2026-07-28), again and again while the session lasts."""
        retry_s = FIRST_RETRY_S
        while True:
            try:
                await session.watch_tool_changes(self.refresh)
            except Exception as error:  # noqa: BLE001 -- a subscription that fails in any way costs announcements only
                logger.debug("%s: no subscription to tool changes (%s)", self.config.id, type(error).__name__)
            await anyio.sleep(_jittered(retry_s))
            retry_s = min(retry_s * 2, LAST_RETRY_S)
            self.refresh()

    def _fail(self, failure: UpstreamFailure) -> None:
        self._is_retryable = failure.is_retryable
        cause = self._redactor.clean(failure.message)  # a child may print its key when it does not like it
        if (self._status, self._cause) != ("error", cause):
            logger.warning("%s: %s", self.config.id, cause)
        logger.debug("%s: no session", self.config.id, exc_info=failure)
        self._change("error", cause)

    async def _pause(self, seconds: float) -> None:
        with anyio.move_on_after(_jittered(seconds)):
            await self._retry_now.wait()

    def _forget(self, session: UpstreamSession) -> None:
        """Stop giving this session to calls, and let the owner open another."""
        if self._session is session:
            self._session = None
            if self._status == "ready":
                self._settled = anyio.Event()
                self._change("waiting", None)
        session.loss.note("the session was given up")

    def _change(self, status: Status, cause: str | None) -> None:
        if status != self._status:
            self._since = time.time()
        self._status, self._cause = status, cause
        if status != "waiting":
            self._settled.set()
        self._on_change()


def _jittered(seconds: float) -> float:
    """Spread retries, so that upstreams that went down together do not come back as one burst."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 -- not a secret

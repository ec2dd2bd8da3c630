"""The task that owns the sessions with one upstream: one at a time, opened, watched, lost and opened again."""

from __future__ import annotations

import logging
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from portal._config import MIN_REDACTED_CHARS
from portal._errors import UpstreamFailure, UpstreamUnavailable
from portal._redaction import Redactor
from portal.upstream._breaker import Breaker, jittered
from portal.upstream._channel import SessionLost
from portal.upstream._connect import open_session
from portal.upstream._status import Health
from portal.upstream._sync import announced
from portal.wire import ROOTS_CHANGED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portal._server_config import ServerConfig
    from portal.upstream._exchange import Timeouts
    from portal.upstream._log_level import LogLevel
    from portal.upstream._session import UpstreamSession
    from portal.upstream._subscriptions import Subscriptions
    from portal.upstream._sync import Sync
    from typegen import JsonObject, JsonValue

logger = logging.getLogger("portico.upstream")

FIRST_RETRY_S: Final = 1.0
LAST_RETRY_S: Final = 60.0
"""Retries double from the first to the last; a refusal that only a person can lift starts at the last."""
STEADY_S: Final = 30.0
"""A session that is lost so long after the last loss is opened again at once."""
RECHECK_S: Final = 1.0
"""The least time between two checks of an upstream whose exchanges break."""
HEALTH_S: Final = 60.0
"""An upstream that nobody used for so long is asked whether it lives, so that its status is true."""
PROBE_S: Final = 1.0
"""A call to an upstream in error starts a new attempt at once, at most this often."""
PROBE_WAIT_S: Final = 10.0
"""How long a call waits for a session that is being opened again; for the first one it waits as long as that may take:
a command may have to be downloaded."""


class Owner:
    """Keeps a session open in ``run``, gives it to those who ask, and knows how the upstream is.

    Without ``sync`` nothing is listed: the session is one of several with the same server.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        sync: Sync | None,
        subscriptions: Subscriptions,
        log_level: LogLevel,
        capabilities: Mapping[str, JsonValue],
        is_handshake_first: bool,
        timeouts: Timeouts,
        on_notification: Callable[[str, JsonObject], None],
        is_one_users: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> None:
        self.session: UpstreamSession | None = None
        self.protocol_version: str | None = None
        self.heard_at = 0.0
        self.health = Health(on_change=on_change)
        self.breaker = Breaker()
        self.is_handshake_first = is_handshake_first
        self._config = config
        self._sync = sync
        self._subscriptions = subscriptions
        self._log_level = log_level
        self._capabilities = capabilities
        self._timeouts = timeouts
        self._on_notification = on_notification
        self._is_one_users = is_one_users
        self._redactor = Redactor(secret for secret in config.secrets() if len(secret) >= MIN_REDACTED_CHARS)
        self._stop = anyio.Event()
        self._retry_now = anyio.Event()
        self._attempt: _Attempt | None = None
        self._last_attempt = 0.0
        self._not_before = 0.0
        self._roots_changed = anyio.Event()
        self._in_flight: dict[UpstreamSession, int] = {}
        self._drained: dict[UpstreamSession, anyio.Event] = {}

    async def run(self) -> None:
        """Keep a session open until ``stop``; never raises what an upstream does."""
        async with anyio.create_task_group() as tasks:
            retry_s, lost_at = FIRST_RETRY_S, -math.inf
            while not self._stop.is_set():
                self._last_attempt = time.monotonic()
                self._retry_now = anyio.Event()  # a call may set it from here on, also before the pause begins
                began_at = self.breaker.now()
                self._attempt = attempt = _Attempt()
                tasks.start_soon(self._hold_session, attempt)
                await attempt.over.wait()
                if self._stop.is_set():
                    break
                if attempt.failure is not None:
                    self.breaker.failed(began_at)
                    self._fail(attempt.failure)
                    await self._pause(self._after_failure(attempt.failure, retry_s))
                    retry_s = min(retry_s * 2, LAST_RETRY_S)
                    continue
                # The session was good and then lost: mended at once, unless that happens again and again.
                now = time.monotonic()
                if now - lost_at > STEADY_S:
                    retry_s = FIRST_RETRY_S
                else:
                    await self._pause(jittered(retry_s))
                    retry_s = min(retry_s * 2, LAST_RETRY_S)
                lost_at = now

    def stop(self) -> None:
        """Ask ``run`` to close the session and return; calls that wait for it fail."""
        self._stop.set()
        self._retry_now.set()
        self.health.settled.set()
        for drained in self._drained.values():
            drained.set()
        if self._sync is not None:
            self._sync.give_up(UpstreamUnavailable("the portal stops", upstream=self._config.id))
        if self.session is not None:
            self.session.loss.note("the portal stops")
        elif self._attempt is not None:
            self._attempt.scope.cancel()

    def heard(self) -> None:
        """Note that the upstream answered."""
        self.heard_at = time.monotonic()
        self.breaker.succeeded()
        if self.session is not None:
            self.health.ready()

    def try_now(self) -> None:
        """End a pause between two attempts, whatever the breaker says."""
        self._retry_now.set()

    async def live_session(self) -> UpstreamSession:
        """Return the open session; where there is none, start an attempt to open one and wait for it.

        Raises ``UpstreamUnavailable``, at once while the breaker is open.
        """
        server = self._config.id
        if self.session is not None and not self.breaker.is_open:
            return self.session
        if self.breaker.is_open:
            after_s = self.breaker.probe_in_s
            message = f"{server} failed {self.breaker.failures} times in a row; the portal tries it in {after_s:.0f} s"
            raise UpstreamUnavailable(message, upstream=server, retry_after_s=after_s)
        if self.session is None and not self._stop.is_set():
            if self.health.status == "waiting":
                self._retry_now.set()
            elif time.monotonic() >= max(self._not_before, self._last_attempt + PROBE_S):
                self.health.look_again()
                self._retry_now.set()
            is_first = self.health.status == "waiting" and self.protocol_version is None
            with anyio.move_on_after(max(PROBE_WAIT_S, self._config.connect_timeout_s) if is_first else PROBE_WAIT_S):
                await self.health.settled.wait()
        if self.session is None:
            message = f"{server} is not reachable at the moment (status: {self.health.status})"
            left_s = self._not_before - time.monotonic()
            raise UpstreamUnavailable(
                message,
                upstream=server,
                retryable=self.health.is_retryable,
                retry_after_s=left_s if left_s > 0 else None,
            )
        return self.session

    def forget(self, session: UpstreamSession) -> None:
        """Stop giving this session to calls, and let ``run`` open another."""
        if self.session is session:
            self.session = None
            if self.health.status == "ready":
                self.health.wait()
        session.loss.note("the session was given up")

    def roots_changed(self) -> None:
        """Have the server told that the roots are others now; a session to come begins with them."""
        self._roots_changed.set()

    def begin(self, session: UpstreamSession) -> None:
        """Note that a request is on its way on ``session``, which then stays open for it when it is given up."""
        self._in_flight[session] = self._in_flight.get(session, 0) + 1

    def end(self, session: UpstreamSession) -> None:
        """Take one ``begin`` back."""
        self._in_flight[session] -= 1
        if not self._in_flight[session]:
            del self._in_flight[session]
            if session in self._drained:
                self._drained[session].set()

    async def _hold_session(self, attempt: _Attempt) -> None:
        """Open a session, sync, and keep it until it is lost or ``stop``; requests on their way may then finish."""
        try:
            with attempt.scope:
                async with open_session(
                    self._config,
                    capabilities=self._capabilities,
                    on_notification=self._on_notification,
                    on_gap=self._missed,
                    is_one_users=self._is_one_users,
                    is_handshake_first=self.is_handshake_first,
                ) as session:
                    self.is_handshake_first = self.is_handshake_first or session.ends_when_probed
                    await self._use(session)
                    attempt.over.set()
                    await self._drain(session)
        except UpstreamFailure as failure:
            attempt.failure = failure
        finally:
            attempt.over.set()

    async def _use(self, session: UpstreamSession) -> None:
        """Sync, give the session to calls, and look after it until it is lost."""
        try:
            if self._sync is not None:
                await self._sync.open(session)
        except SessionLost:
            raise UpstreamUnavailable("it forgot the session at once", upstream=self._config.id) from None
        self.session, self.protocol_version = session, session.protocol_version
        self.heard()
        logger.info("%s: ready, MCP %s", self._config.id, session.protocol_version)
        try:
            await self._keep(session)
        finally:
            self.forget(session)
        if not self._stop.is_set():
            logger.warning("%s: the session ended: %s", self._config.id, self._redactor.clean(session.loss.cause))

    async def _drain(self, session: UpstreamSession) -> None:
        # A server that restarts may still finish what it has begun. A child is not kept beside the next one.
        if self._config.url is None or self._stop.is_set() or session not in self._in_flight:
            return
        drained = self._drained[session] = anyio.Event()
        try:
            with anyio.move_on_after(self._timeouts.total_s):
                await drained.wait()
        finally:
            del self._drained[session]

    async def _keep(self, session: UpstreamSession) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._check, session)
            tasks.start_soon(self._mend, session)
            tasks.start_soon(self._watch, session)
            tasks.start_soon(self._tell_roots, session)
            tasks.start_soon(partial(self._log_level.run, session, timeouts=self._timeouts))
            if self._sync is not None:
                tasks.start_soon(self._sync.run, session)
            await session.loss.event.wait()
            tasks.cancel_scope.cancel()

    async def _watch(self, session: UpstreamSession) -> None:
        await self._subscriptions.run(
            session,
            timeouts=self._timeouts,
            on_notification=self._on_notification,
            on_gap=self._missed,
        )

    async def _tell_roots(self, session: UpstreamSession) -> None:
        """Tell a server that may know the roots when they change; changes in quick succession are told once."""
        roots = self._capabilities.get("roots")
        while not session.is_modern and isinstance(roots, dict) and roots.get("listChanged"):
            await self._roots_changed.wait()
            self._roots_changed = anyio.Event()
            try:
                await session.notify(ROOTS_CHANGED)
            except SessionLost:
                return
            except UpstreamFailure as failure:
                logger.debug("%s: a change of roots was not taken: %s", self._config.id, failure.message)

    def _missed(self) -> None:
        """Have listed again what may have been announced meanwhile."""
        if self._sync is not None and self.session is not None:
            self._sync.mark(announced(self.session.capabilities))

    async def _check(self, session: UpstreamSession) -> None:
        """Find out whether the upstream lives when an exchange broke, or nobody used it; calls go on meanwhile."""
        while True:
            with anyio.move_on_after(jittered(HEALTH_S) if self._sync is not None else None) as patience:
                await session.loss.suspicion.wait()
            is_used = session in self._in_flight or time.monotonic() - self.heard_at < HEALTH_S
            if patience.cancelled_caught and is_used:  # many a server answers nothing while it works on a call
                continue
            session.loss.suspicion = anyio.Event()
            await session.check(timeout_s=self._config.connect_timeout_s)
            await anyio.sleep(RECHECK_S)

    async def _mend(self, session: UpstreamSession) -> None:
        """Be in error while the breaker is open; then look whether the upstream lives, and let calls try again."""
        while True:
            await self.breaker.opened.wait()
            count = self.breaker.failures
            cause = f"{count} requests in a row got no answer, although the server can be reached"
            self._fail(UpstreamUnavailable(cause, upstream=self._config.id))
            await anyio.sleep(self.breaker.probe_in_s)
            await session.check(timeout_s=self._config.connect_timeout_s)
            if not session.loss.event.is_set():
                self.breaker.let_one_through()
                self.health.ready()

    def _after_failure(self, failure: UpstreamFailure, retry_s: float) -> float:
        """Say how long to wait for the next attempt: as the server asked, as the breaker says, else backing off."""
        asked_s = min(failure.retry_after_s or 0.0, LAST_RETRY_S)
        if asked_s:  # also whoever called meanwhile has to wait
            self._not_before, self._retry_now = time.monotonic() + asked_s, anyio.Event()
        if not failure.is_retryable:
            return jittered(LAST_RETRY_S)
        wait_s = self.breaker.probe_in_s if self.breaker.is_open else jittered(retry_s)
        return max(wait_s, asked_s)

    def _fail(self, failure: UpstreamFailure) -> None:
        cause = self._redactor.clean(failure.message)  # a child may print its key when it does not like it
        if self.health.fail(failure, cause):
            logger.warning("%s: %s", self._config.id, cause)
        logger.debug("%s: no session", self._config.id, exc_info=failure)
        if self._sync is not None:
            self._sync.give_up(UpstreamUnavailable(cause, upstream=self._config.id, retryable=failure.is_retryable))

    async def _pause(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._retry_now.wait()


class _Attempt:
    """One attempt to hold a session; ``over`` is set when the next one may begin, ``failure`` says why it must."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.over = anyio.Event()
        self.failure: UpstreamFailure | None = None

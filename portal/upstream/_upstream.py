"""One upstream as the portal uses it: what it offers, how it is, and the requests that go to it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from portal._errors import (
    UpstreamBusy,
    UpstreamFailure,
    UpstreamRefused,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from portal.upstream._channel import SessionLost
from portal.upstream._exchange import Timeouts
from portal.upstream._lane import SHORT_PAUSE_S, Lane
from portal.upstream._log_level import LogLevel
from portal.upstream._owner import Owner
from portal.upstream._status import ServerStatus
from portal.upstream._subscriptions import Subscriptions
from portal.upstream._sync import CHANGED_LISTS, Sync
from portal.wire import MODERN_VERSION, PROGRESS, param_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portal._conversation import Conversation
    from portal._server_config import ServerConfig
    from portal.upstream._offers import Change, Offers
    from portal.upstream._session import UpstreamSession
    from portal.upstream._sync import Keep
    from portal.upstream._tool import UpstreamTool
    from typegen import JsonObject, JsonValue

logger = logging.getLogger("portico.upstream")


class Upstream:
    """A connection to one upstream. ``run`` is its owner: the session lives and dies in the task that awaits it.

    ``on_change`` is called, whoever found out, with what became different of status and offers; ``on_notification``
    with what the server says beside changed lists. ``is_one_users`` says whether all requests are one user's.
    ``keep`` gets what was listed, for ``restore`` at the next start.

    An own session of a user or client has the server's shared one as its ``source``: it lists nothing itself. A session
    that is exclusive declares the ``capabilities`` of its client upstream; with ``is_handshake_first`` it meets a
    server of both eras in the older one, as its client would.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        source: Upstream | None = None,
        lane: Lane | None = None,
        capabilities: Mapping[str, JsonValue] | None = None,
        is_handshake_first: bool = False,
        on_change: Callable[[frozenset[Change]], None] = lambda _: None,
        on_notification: Callable[[str, JsonObject], None] = lambda _, __: None,
        is_one_users: Callable[[], bool] = lambda: False,
        keep: Keep | None = None,
    ) -> None:
        self.config = config
        self.last_used = time.monotonic()
        self.lane = lane if lane is not None else Lane(config.id, width=config.max_concurrent)
        self._in_flight = 0
        self._timeouts = Timeouts(idle_s=config.call_timeout_s, total_s=config.total_timeout_s)
        self._on_notification = on_notification
        self._source = source
        self._sync: Sync = Sync(config, on_change=on_change, keep=keep) if source is None else source._sync  # noqa: SLF001 -- of this class
        self._subscriptions = Subscriptions(config.id)
        self._log_level = LogLevel(config.id)
        self._owner = Owner(
            config,
            sync=None if source is not None else self._sync,
            subscriptions=self._subscriptions,
            log_level=self._log_level,
            capabilities=capabilities or {},
            is_handshake_first=is_handshake_first,
            timeouts=self._timeouts,
            on_notification=self._take_notification,
            is_one_users=is_one_users,
            on_change=lambda: on_change(frozenset({"status"})),
        )

    @property
    def offers(self) -> Offers:
        """What the server listed last, kept while it is away."""
        return self._sync.offers

    @property
    def tools(self) -> Mapping[str, UpstreamTool]:
        """The tools of ``offers``."""
        return self._sync.offers.tools

    @property
    def is_busy(self) -> bool:
        """Whether a request is on its way, or somebody watches a resource."""
        return self._in_flight > 0 or len(self._subscriptions) > 0

    @property
    def is_modern(self) -> bool | None:
        """Whether the server speaks MCP 2026-07-28, which has no session; None while nobody knows."""
        version = self._owner.protocol_version or self._sync.offers.protocol_version
        return None if version is None else version >= MODERN_VERSION

    @property
    def is_handshake_first(self) -> bool:
        """Whether the server is met in the era of handshakes first, as a command must be that ends at anything else."""
        return self._owner.is_handshake_first

    @property
    def status(self) -> ServerStatus:
        """How this upstream is now."""
        health, offers = self._owner.health, self.offers
        return ServerStatus(
            id=self.config.id,
            name=self.config.display_name,
            transport=self.config.transport,
            status=health.status,
            tools=len(offers.tools),
            prompts=len(offers.prompts),
            resources=len(offers.resources) + len(offers.templates),
            cause=health.cause,
            code=health.code,
            since=health.since,
            retryable=health.is_retryable,
            protocol_version=self._owner.protocol_version,
            is_code_mode=offers.is_code_mode,
        )

    def restore(self, kept: JsonObject) -> None:
        """Offer what was kept at an earlier start until the upstream lists its own."""
        self._sync.restore(kept)

    async def run(self) -> None:
        """Keep a session open until ``stop``; never raises what an upstream does."""
        await self._owner.run()

    def stop(self) -> None:
        """Ask the owner to close the session and return; calls that wait for it fail."""
        self._owner.stop()

    async def wait_settled(self) -> None:
        """Wait until the attempt that is under way, if any, has come to an end."""
        await self._owner.health.settled.wait()

    async def sync(self) -> None:
        """List everything again, and wait until that is done and kept. Raises ``UpstreamFailure``."""
        self._owner.try_now()
        await self._sync.ask()

    async def call(
        self,
        name: str,
        arguments: Mapping[str, JsonValue],
        *,
        conversation: Conversation | None = None,
        extra: JsonObject | None = None,
    ) -> JsonObject:
        """Call a tool and return its result as it came, unknown fields included. Raises ``UpstreamFailure``.

        ``extra`` are further parameters of the request (``_meta``, ``inputResponses``, ``requestState``). When the
        upstream has forgotten the session, or it had ended, it is opened anew and the call sent once more: the first
        had no effect. A call whose fate is unknown is sent again, once, only where the tool says that it is idempotent.
        """
        tool = self.tools.get(name)
        params: JsonObject = {**(extra or {}), "name": name, "arguments": dict(arguments)}
        # A session of an earlier version drops them.
        headers = param_headers(tool.mirrored, arguments) if tool is not None and tool.mirrored else None
        return await self._send(
            "tools/call",
            params,
            conversation,
            headers=headers,
            is_idempotent=tool is not None and tool.is_idempotent,
        )

    async def request(self, method: str, params: JsonObject, *, conversation: Conversation | None = None) -> JsonObject:
        """Send any other request and return its result as it came. Raises ``UpstreamFailure``."""
        return await self._send(method, params, conversation)

    @property
    def wanted_log_level(self) -> str | None:
        """What ``want_log_level`` was told; None while nobody wants anything."""
        return self._log_level.wanted

    def want_log_level(self, level: str) -> None:
        """Have the server log to clients from this level on, also over sessions to come."""
        self._log_level.want(level, is_shared=self._source is None)

    def roots_changed(self) -> None:
        """Have the server told that the roots of the client whose session this is are others now."""
        self._owner.roots_changed()

    async def subscribe(self, uri: str) -> None:
        """Have the server tell when a resource changes, also over sessions to come. Raises ``UpstreamFailure``.

        Each call counts: ``unsubscribe`` as often.
        """
        async with self._subscriptions.adding(uri) as is_first:
            if not is_first:
                return
            session = await self._owner.live_session()
            if not session.is_modern and self._subscriptions.tell(uri, session):
                await self._send("resources/subscribe", {"uri": uri}, None)

    async def unsubscribe(self, uri: str) -> None:
        """Take one ``subscribe`` back; the server is told with the last."""
        session = self._owner.session
        if not self._subscriptions.remove(uri) or session is None or session.is_modern:
            return
        try:
            await session.request("resources/unsubscribe", {"uri": uri}, timeouts=self._timeouts)
        except (UpstreamFailure, SessionLost) as failure:
            logger.debug("%s: a subscription was not given back (%s)", self.config.id, type(failure).__name__)

    async def _send(
        self,
        method: str,
        params: JsonObject,
        conversation: Conversation | None,
        *,
        headers: Mapping[str, str] | None = None,
        is_idempotent: bool = False,
    ) -> JsonObject:
        self._in_flight += 1
        try:
            async with self.lane:
                if conversation is not None:
                    conversation = _OffLane(conversation, self.lane)
                return await self._send_again_at_need(method, params, conversation, headers, is_idempotent)
        finally:
            self._in_flight -= 1
            self.last_used = time.monotonic()

    async def _send_again_at_need(
        self,
        method: str,
        params: JsonObject,
        conversation: Conversation | None,
        headers: Mapping[str, str] | None,
        is_idempotent: bool,
    ) -> JsonObject:
        owner = self._owner
        was_lost = was_repeated = False  # each at most once, but both: a server that restarts does both to a call
        while True:
            if self.lane.is_paused:
                await self.lane.open_again()
            session = await owner.live_session()
            began_at = owner.breaker.now()
            owner.begin(session)
            try:
                result = await session.request(
                    method, params, timeouts=self._timeouts, conversation=conversation, headers=headers
                )
            except SessionLost:
                owner.forget(session)
                if was_lost:
                    message = f"{self.config.id} keeps losing its session"
                    raise UpstreamUnavailable(message, upstream=self.config.id) from None
                was_lost = True
            except UpstreamFailure as failure:
                self._judge(session, failure, began_at)
                may_repeat = _may_repeat(failure, is_idempotent=is_idempotent, is_over=session.loss.event.is_set())
                if was_repeated or not may_repeat:
                    raise
                was_repeated = True
            else:
                owner.heard()
                return result
            finally:
                owner.end(session)

    def _judge(self, session: UpstreamSession, failure: UpstreamFailure, began_at: float) -> None:
        """Draw the conclusions from a request that failed: for the lane, the breaker and the session."""
        if isinstance(failure, UpstreamBusy):
            if failure.retry_after_s is not None:
                self.lane.pause(failure.retry_after_s)
        elif isinstance(failure, UpstreamTimeout) or (isinstance(failure, UpstreamRejected) and failure.code == 401):
            session.loss.suspicion.set()
        elif _is_of_the_way(failure):
            self._owner.breaker.failed(began_at)
        else:
            self._owner.heard()  # an answer, if not the one that was wished for
        if session.loss.event.is_set():
            self._owner.forget(session)

    def _take_notification(self, method: str, params: JsonObject) -> None:
        if method in CHANGED_LISTS:
            self._sync.mark(CHANGED_LISTS[method])
        elif method != PROGRESS:  # of a request that has ended
            self._on_notification(method, params)


class _OffLane:
    """A conversation in which the call gives its place on the lane up while a person is asked."""

    def __init__(self, inner: Conversation, lane: Lane) -> None:
        self._inner = inner
        self._lane = lane

    @property
    def capabilities(self) -> Mapping[str, JsonValue]:
        return self._inner.capabilities

    @property
    def log_level(self) -> str | None:
        return self._inner.log_level

    @property
    def wants_progress(self) -> bool:
        return self._inner.wants_progress

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        with self._lane.stepped_out():
            return await self._inner.ask(method, params)

    async def report_progress(self, report: JsonObject) -> None:
        await self._inner.report_progress(report)

    async def notify(self, method: str, params: JsonObject) -> None:
        await self._inner.notify(method, params)


def _may_repeat(failure: UpstreamFailure, *, is_idempotent: bool, is_over: bool) -> bool:
    """Say whether a request that failed may be sent once more: nothing was done, or doing it twice is no harm.

    ``is_over`` says of its session that it has ended; one that could not be reached is not tried again at once.
    """
    if isinstance(failure, UpstreamBusy):
        is_soon = failure.retry_after_s is not None and failure.retry_after_s <= SHORT_PAUSE_S
        return is_soon and (is_idempotent or not failure.is_outcome_unknown)
    if isinstance(failure, UpstreamUnavailable) and not failure.is_outcome_unknown:
        return is_over
    return is_idempotent and failure.is_outcome_unknown and not isinstance(failure, UpstreamTimeout)


def _is_of_the_way(failure: UpstreamFailure) -> bool:
    """Whether the failure is one of the connection, or of something before the server, and not its own answer."""
    if isinstance(failure, UpstreamRefused):
        return failure.code is not None and 500 <= failure.code <= 599
    return isinstance(failure, UpstreamUnavailable)

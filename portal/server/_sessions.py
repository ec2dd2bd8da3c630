"""The sessions of clients whose protocol version begins with a handshake: who has one, and how it ends."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final

import anyio

from portal._errors import ClientCannot
from portal.server._channel import KEPT_S, Channel, KeptBytes
from portal.server._exchanges import overloaded
from portal.wire import LOG_MESSAGE, Outgoing, encode, notification_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portal.upstream import Caller
    from portal.wire import RequestId
    from typegen import JsonObject

SESSION_IDLE_S: Final = 24 * 3600.0
"""A client with a session may be away for a night; see benchmarks/portal.py for what it costs meanwhile."""
MAX_SESSIONS: Final = 10_000
SPARE_IDLE_S: Final = 60.0
"""When there are too many sessions, the one idle for longest makes place, if it has been idle for so long."""
SWEEP_S: Final = 10.0
ID_BYTES: Final = 16
LOG_LEVEL: Final = "debug"
"""Until a client sets a level it gets every log message, as it would from each server itself."""
MAX_UNSENT: Final = 64
"""Notifications that wait for a client without a stream."""
MAX_UNSENT_LOGS: Final = 32
"""How many of them log messages may be the last of: a server that logs much must not cost the news of changes."""
_EVENT_ID_CHARS: Final = 40


class Session:
    """One client between its handshake and its end, whatever connections it comes over."""

    __slots__ = (
        "_kept",
        "_next_channel",
        "asks",
        "caller",
        "channels",
        "held",
        "last_used",
        "log_level",
        "on_close",
        "portal_id",
        "running",
        "standing",
        "version",
    )

    def __init__(self, caller: Caller, *, portal_id: str, version: str, kept: KeptBytes) -> None:
        self.caller = caller
        self.portal_id = portal_id
        self.version = version
        self.log_level = LOG_LEVEL
        self.asks = Outgoing()
        self.running: dict[RequestId, anyio.CancelScope] = {}
        self.standing = Channel(0, version=version, kept=kept)
        self.channels: dict[int, Channel] = {0: self.standing}
        self.last_used = time.monotonic()
        self.held = 0
        self.on_close: Callable[[], None] = lambda: None
        self._kept = kept
        self._next_channel = 1

    def open_channel(self) -> Channel:
        """Return a new channel, for the stream of one request."""
        channel = Channel(self._next_channel, version=self.version, kept=self._kept)
        channel.is_closed = self.standing.is_closed
        self.channels[channel.key] = channel
        self._next_channel += 1
        return channel

    async def notify(self, method: str, params: JsonObject) -> None:
        """Send a notification that belongs to no request; it waits for the client's stream where there is none."""
        most = MAX_UNSENT_LOGS if method == LOG_MESSAGE else MAX_UNSENT
        if not self.standing.is_attached and self.standing.unsent >= most:
            return
        await self.standing.send(encode(notification_message(method, params or None)))

    @property
    def session_id(self) -> str:
        """Its id."""
        return self.caller.client or ""

    def release(self) -> None:
        """Note that a request or a stream of it has ended."""
        self.held -= 1
        self.last_used = time.monotonic()

    def resumable(self, event_id: str) -> tuple[Channel, int] | None:
        """Return the channel of an event and the event's number there; None for one that is not kept any more."""
        key, _, number = event_id.partition("-")
        if not (key.isdecimal() and number.isdecimal() and len(event_id) <= _EVENT_ID_CHARS):
            return None
        channel = self.channels.get(int(key))
        return (channel, int(number)) if channel is not None else None

    def sweep(self, now: float) -> None:
        """Forget channels that nobody will resume any more."""
        ended = [channel for channel in self.channels.values() if channel.ended_at is not None]
        for channel in ended:
            if channel.ended_at is not None and now - channel.ended_at >= KEPT_S:
                channel.forget()
                del self.channels[channel.key]

    def close(self) -> None:
        """Cancel what runs in it and end its streams."""
        self.on_close()
        for scope in tuple(self.running.values()):
            scope.cancel()
        self.asks.fail(ClientCannot("the client has ended its session"))
        for channel in self.channels.values():
            channel.close()


class Sessions:
    """Every session of one process. ``run`` is the task that ends those that are not used any more."""

    def __init__(
        self,
        *,
        idle_s: float = SESSION_IDLE_S,
        most: int = MAX_SESSIONS,
        on_close: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._idle_s = idle_s
        self._most = most
        self._on_close = on_close
        self._kept = KeptBytes()
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    async def run(self) -> None:
        """End sessions that are idle for too long, until cancelled."""
        while True:
            await anyio.sleep(min(SWEEP_S, self._idle_s))
            self.sweep()

    def sweep(self) -> None:
        """End sessions that are idle for too long, and forget what nobody will resume."""
        now = time.monotonic()
        for session_id, session in tuple(self._sessions.items()):
            if session.held == 0 and now - session.last_used >= self._idle_s:
                self.end(session_id)
            else:
                session.sweep(now)

    def admit(self) -> None:
        """Make sure that one more session can be made. Raises ``HttpRefusal``."""
        if len(self._sessions) < self._most:
            return
        now = time.monotonic()
        idle = [(session.last_used, key) for key, session in self._sessions.items() if session.held == 0]
        last_used, key = min(idle, default=(now, ""))
        if now - last_used < SPARE_IDLE_S:
            raise overloaded("Too many sessions are open")
        self.end(key)

    def begin(self, caller: Caller, *, portal_id: str, version: str) -> Session:
        """Make a session for ``caller``, whose ``client`` is its id."""
        session = Session(caller, portal_id=portal_id, version=version, kept=self._kept)
        self._sessions[session.session_id] = session
        return session

    def find(self, session_id: str, *, user: str, portal_id: str) -> Session | None:
        """Return a session of this user with this portal."""
        session = self._sessions.get(session_id)
        if session is None or session.caller.user != user or session.portal_id != portal_id:
            return None
        return session

    def end(self, session_id: str) -> None:
        """End a session; one that has ended already is nothing to do for."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            session.close()
            self._on_close(session_id)


def new_session_id() -> str:
    """Return an id that cannot be guessed."""
    return secrets.token_hex(ID_BYTES)

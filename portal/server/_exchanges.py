"""Requests that are being answered over HTTP: watched for clients that go away, kept alive, and ended together.

A request that is answered at once costs no task and no timer: one task looks at all of them a few times a second, and
only for those that are still there does it start to watch the connection.
"""

from __future__ import annotations

import logging
import random
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

import anyio

from portal.server._event_stream import KEEP_ALIVE_S
from portal.server._http_messages import CLOSE, ClientGone, HttpRefusal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from anyio.abc import TaskGroup

    from portal.server._event_stream import EventStream
    from portal.server._http_messages import HttpRequest
    from portal.wire import Message
    from typegen import JsonValue

logger = logging.getLogger("portico.http")

TICK_S: Final = 0.25
"""A request that is older is watched; a client that went away is noticed after this."""
PATIENCE_S: Final = 5.0
"""After this a request that has nothing to say yet is answered by a stream, so that signs of life can be sent."""
MAX_EXCHANGES: Final = 2_000
"""Requests at once: a few KiB each, and more than the upstreams of one process can serve in good time."""
BODY_S: Final = 30.0
"""The longest that a client may take to send a body; one that is slower holds a connection for nothing."""
MAX_READING: Final = 500
"""Bodies that are read at once: nearly all are there when they are asked for, and each may take its whole bound."""
MAX_STREAMS: Final = 12_000
"""Standing streams at once: those of every session, and of clients without one."""
RETRY_S: Final = (1, 8)
"""When a client that was turned away should come back; at random, so that not all of them come at once."""


class Exchange(ABC):
    """One HTTP request that is being answered; cancelled when its client is gone, or the portal stops."""

    __slots__ = ("_scopes", "is_done", "is_stopped", "request", "since", "stream")

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.since = time.monotonic()
        self.stream: EventStream | None = None
        """Where the answer is one of events."""
        self.is_stopped = False
        self.is_done = False
        self._scopes: list[anyio.CancelScope] = []

    def new_scope(self) -> anyio.CancelScope:
        """Return what one message of the request is cancelled by."""
        scope = anyio.CancelScope()
        self._scopes.append(scope)
        return scope

    def cancel(self) -> None:
        """Cancel what is being done for it."""
        for scope in self._scopes:
            scope.cancel()

    def stop(self) -> None:
        """Cancel it because the portal stops, which its client is told."""
        self.is_stopped = True
        self.cancel()

    @abstractmethod
    async def begin_stream(self) -> None:
        """Answer by a stream of events from now on."""

    async def on_gone(self) -> None:
        """Do what is to be done when the connection ends before the answer is there."""
        self.cancel()


class Exchanges:
    """All requests that a process is answering over HTTP. ``run`` is the task that attends to them."""

    def __init__(self) -> None:
        self._tasks: TaskGroup | None = None
        self._new: set[Exchange] = set()
        self._old: set[Exchange] = set()
        self._reading: dict[HttpRequest, float] = {}
        self._standing: set[EventStream] = set()
        self.is_draining = False

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    @property
    def reading(self) -> int:
        """How many requests are being sent by their clients."""
        return len(self._reading)

    @property
    def standing(self) -> int:
        """How many standing streams there are."""
        return len(self._standing)

    async def run(self) -> None:
        """Attend to the exchanges until cancelled."""
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                while True:
                    await anyio.sleep(TICK_S)
                    self._look(tasks)
        finally:
            self._tasks = None

    async def message_of(self, request: HttpRequest) -> Message | list[JsonValue]:
        """Return the message, or the batch, in a request. Raises ``HttpRefusal`` and ``ClientGone``."""
        if len(self._reading) >= MAX_READING:
            raise overloaded("Too many requests are being sent")
        self._reading[request] = time.monotonic()
        taken: Message | list[JsonValue] | HttpRefusal
        try:
            taken = await request.message()
        except HttpRefusal as refusal:
            taken = refusal
        finally:
            is_in_time = self._reading.pop(request, None) is not None
        if not is_in_time:  # it is answered, see ``_look``
            raise ClientGone
        if isinstance(taken, HttpRefusal):
            raise taken
        return taken

    def add(self, exchange: Exchange) -> None:
        """Attend to one more. Raises ``HttpRefusal`` when there are too many, or none is taken any more."""
        self.check()
        self._new.add(exchange)

    def check(self) -> None:
        """Raise ``HttpRefusal`` when no more can be added."""
        if self.is_draining:
            raise overloaded("The portal is stopping")
        if len(self._new) + len(self._old) >= MAX_EXCHANGES:
            raise overloaded("Too many requests are being served")

    def remove(self, exchange: Exchange) -> None:
        """Forget one that is answered."""
        exchange.is_done = True
        self._new.discard(exchange)
        self._old.discard(exchange)

    def start(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Do something on the side, for as long as this process serves."""
        if self._tasks is not None:
            self._tasks.start_soon(work)

    async def hold_open(self, stream: EventStream, request: HttpRequest) -> bool:
        """Keep a standing stream alive until its client is gone or it is told to finish; return whether it was told."""
        with anyio.CancelScope() as scope:
            stream.scope = scope
            self._standing.add(stream)
            try:
                while not stream.is_finished and (await request.receive())["type"] != "http.disconnect":
                    pass
            finally:
                self._standing.discard(stream)
        return stream.is_finished

    def check_standing(self) -> None:
        """Raise ``HttpRefusal`` when there can be no more standing streams."""
        if self.is_draining:
            raise overloaded("The portal is stopping")
        if len(self._standing) >= MAX_STREAMS:
            raise overloaded("Too many streams are open")

    def drain(self, *, stop_after_s: float) -> None:
        """Take no more, end standing streams, and after a while answer what is still running with an error."""
        if self.is_draining:
            return
        self.is_draining = True
        for stream in tuple(self._standing):
            stream.finish()

        async def stop_late() -> None:
            await anyio.sleep(stop_after_s)
            self.stop()

        self.start(stop_late)

    def stop(self) -> None:
        """Answer everything that is still running with an error."""
        for exchange in (*self._new, *self._old):
            exchange.stop()

    def _look(self, tasks: TaskGroup) -> None:
        now = time.monotonic()
        for request in [request for request, since in self._reading.items() if now - since >= BODY_S]:
            del self._reading[request]
            late = HttpRefusal(408, f"The body did not arrive within {BODY_S:.0f} seconds", headers=CLOSE)
            tasks.start_soon(late.send, request.send)
        for exchange in [exchange for exchange in self._new if now - exchange.since >= TICK_S]:
            self._new.discard(exchange)
            self._old.add(exchange)
            tasks.start_soon(_watch, exchange)
        for exchange in self._old:
            if exchange.stream is None:
                if now - exchange.since >= PATIENCE_S:
                    tasks.start_soon(exchange.begin_stream)
            elif now - exchange.stream.quiet_since >= KEEP_ALIVE_S:
                tasks.start_soon(exchange.stream.keep_alive)
        for stream in self._standing:
            if now - stream.quiet_since >= KEEP_ALIVE_S:
                tasks.start_soon(stream.keep_alive)


def overloaded(message: str) -> HttpRefusal:
    """Return a refusal that asks to come back in a moment."""
    seconds = random.randint(*RETRY_S)  # noqa: S311 -- spreads load, keeps no secret
    return HttpRefusal(503, f"{message}; try again in {seconds} s", headers=((b"retry-after", b"%d" % seconds),))


async def _watch(exchange: Exchange) -> None:
    while not exchange.is_done:
        if (await exchange.request.receive())["type"] == "http.disconnect":
            break
    if not exchange.is_done:
        await exchange.on_gone()

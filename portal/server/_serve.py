"""Listening: one uvicorn in the running event loop, stopped by a signal without losing what is in flight."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import anyio.lowlevel
import uvicorn

from portal._errors import AddressInUse
from portal._signals import end_signals, ignore
from portal.server._http_protocol import BoundedProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from starlette.types import ASGIApp

BACKLOG: Final = 2048
DRAIN_S: Final = 20
"""How long calls in flight may go on after SIGTERM; container runtimes kill after 30 s."""
KEEP_ALIVE_S: Final = 75
"""Longer than the idle time of common proxies (60 s), so that they and not we close a connection."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on ``host:port``, 0 for any free port. Raises ``AddressInUse``."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise AddressInUse(host, port, "the name is not known") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise AddressInUse(host, port, os.strerror(error.errno or 0)) from error
    return listener


async def serve_app(
    app: ASGIApp,
    listener: socket.socket,
    *,
    trusted_proxies: tuple[str, ...] = (),
    on_ready: Callable[[], None],
    on_stop: Callable[[], None],
) -> None:
    """Serve ``app`` on ``listener`` until a signal says to stop; requests in flight get ``DRAIN_S`` to finish.

    ``on_ready`` is called when connections are accepted, ``on_stop`` when the signal came. Afterwards SIGTERM and
    SIGHUP do nothing, until the caller, who has more to close, gives them back.
    """
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        access_log=False,  # a query may hold what its sender should not have put there
        log_config=None,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=",".join(trusted_proxies),
        timeout_graceful_shutdown=DRAIN_S,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    await _Server(config, on_ready=on_ready, on_stop=on_stop).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn's server, telling when it accepts and when it was told to stop."""

    def __init__(self, config: uvicorn.Config, *, on_ready: Callable[[], None], on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await anyio.lowlevel.checkpoint()  # streams end in their own tasks before uvicorn counts what is open
        await super().shutdown(sockets=sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals while serving. Unlike uvicorn's, this does not raise them again afterwards.

        That would end the process before the portal has closed its upstreams. Nor is the handler uvicorn's method:
        sse-starlette, which a server of this process may use, watches that one and cuts event streams off at once.
        """

        def stop(number: int, _: FrameType | None) -> None:
            self.force_exit = self.should_exit and number == signal.SIGINT
            self.should_exit = True

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = end_signals()
        interrupt = signal.signal(signal.SIGINT, stop)
        for number in numbers:
            signal.signal(number, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, interrupt)  # a second one may force the end
            for number in numbers:
                ignore(number)

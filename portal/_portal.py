"""A portal process as one object: upstreams, sandbox, engine and endpoint, opened and closed together."""

from __future__ import annotations

import logging
import math
import threading
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from engine import Engine, EngineLimits
from portal._config import DEFAULT_PORTAL
from portal._control import serve_control
from portal._kept_offers import KeptOffers
from portal._loop_watch import LoopWatch
from portal._records import Recorder
from portal._redaction import Redactor, redacted_logs
from portal._signals import SYNC_SIGNAL, given_back, ignore_sync_signal
from portal.server import (
    LOCAL_USER,
    HttpFace,
    ServedPortal,
    listen,
    long_list_warning,
    own_streams,
    serve_app,
    serve_client,
)
from portal.store import Store
from portal.upstream import Caller, Fleet
from sandbox import Bounds, Limits, Sandbox, SandboxConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup
    from starlette.types import ASGIApp

    from engine import Catalog
    from portal._config import Config
    from portal._conversation import Conversation
    from portal._limits_config import LimitsConfig
    from portal._loop_watch import LoopStatus
    from portal.server import Listing, PortalInvoker, View
    from portal.upstream import Change
    from typegen import JsonObject

logger = logging.getLogger("portico.portal")

STDIO_WAIT_S: Final = 5.0
"""How long a client over stdio waits for its servers: many list the tools once and never again."""


class Portal:
    """Everything that one configuration describes, running while ``async with`` is open.

    Entering waits for no upstream. It opens the store and raises ``StoreError`` when that cannot be used. Without
    ``sandbox`` the portal opens one of its own. Enter and leave in one task.
    """

    def __init__(self, config: Config, *, sandbox: Sandbox | None = None) -> None:
        self.config = config
        self.store = Store(config.store_url, retention=config.retention, secrets=config.stored_secrets())
        self.recorder = Recorder(self.store.records)
        self._kept_offers = KeptOffers(self.store.catalogs)
        self.fleet = Fleet(
            config.servers,
            on_change=self._on_change,
            on_notification=self._on_notification,
            keep=self._kept_offers.keep,
        )
        self._sandbox = sandbox
        self._stack = AsyncExitStack()
        self._servers: dict[str, ServedPortal] = {}
        self._engine: Engine | None = None
        self._face: HttpFace | None = None
        self._loop_watch = LoopWatch()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(redacted_logs(Redactor(self.config.secrets())))
            # First, so that it is closed last: what ends at the stop is recorded too.
            await stack.enter_async_context(self.store)
            stack.callback(self.recorder.write_lines)
            self.fleet.restore(await self._kept_offers.load(self.config.servers))
            sandbox = self._sandbox
            if sandbox is None:
                sandbox = await stack.enter_async_context(Sandbox(_sandbox_config(self.config)))
            await stack.enter_async_context(self.fleet)
            # After the fleet, so that runs in the background end before the upstreams that they call are closed.
            engine = Engine(
                sandbox,
                limits=_engine_limits(self.config.limits),
                store=self.store.runs,
                learned=self.store.learned,
            )
            self._engine = await stack.enter_async_context(engine)
            self._servers = {
                portal.id: ServedPortal(config=portal, fleet=self.fleet, engine=engine, recorder=self.recorder)
                for portal in self.config.portals
            }
            for server in self._servers.values():
                await stack.enter_async_context(server.running())
            self._face = HttpFace(self.config, self._servers, self.fleet, is_ready=lambda: not self._is_closed)
            await stack.enter_async_context(self._face.running())
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            tasks.start_soon(self._loop_watch.run)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._is_closed = True
        return await self._stack.__aexit__(kind, error, trace)

    @property
    def app(self) -> ASGIApp:
        """The ASGI application; it serves while the portal is open."""
        return self._open_face().app

    @property
    def engine(self) -> Engine:
        """What runs programs, over ``catalog`` and through ``invoker``; it works while the portal is open."""
        self._open_face()
        if self._engine is None:
            raise RuntimeError("the portal is not open")
        return self._engine

    def catalog(self, portal_id: str = DEFAULT_PORTAL) -> Catalog:
        """Return the tools that a program of this portal may call now. Raises ``KeyError`` for an unknown portal."""
        self._open_face()
        return self._servers[portal_id].listing.catalog

    def listing(self, portal_id: str = DEFAULT_PORTAL) -> Listing:
        """Return what clients of this portal can list now, in any mode. Raises ``KeyError`` likewise."""
        self._open_face()
        return self._servers[portal_id].listing

    def invoker(
        self,
        portal_id: str = DEFAULT_PORTAL,
        *,
        user: str = LOCAL_USER,
        conversation: Conversation | None = None,
        allowed: frozenset[str] = frozenset(),
    ) -> PortalInvoker:
        """Return the function through which the tool calls of ``user`` leave. Raises ``KeyError`` likewise.

        Tools that need the user's word ask for it through ``conversation``, those with an identifier in ``allowed``
        aside; without one nobody can be asked.
        """
        self._open_face()
        return self._servers[portal_id].invoker(Caller(user=user), conversation, allowed=allowed)

    async def wait_ready(self, timeout_s: float | None = None) -> bool:
        """Wait until every upstream is ready or has failed once; return whether that came about in time."""
        return await self.fleet.wait_settled(math.inf if timeout_s is None else timeout_s)

    async def serve_stdio(self, view: View, portal_id: str = DEFAULT_PORTAL, *, source: int, target: int) -> None:
        """Serve one client over two file descriptors until its input closes. Raises ``KeyError`` likewise."""
        self._open_face()
        served = self._servers[portal_id]
        await serve_client(served, view=view, source=source, target=target, on_close=self.fleet.release_client)

    def loop_status(self) -> LoopStatus:
        """Report how often the event loop of this process stood still."""
        return self._loop_watch.status()

    def drain(self) -> None:
        """Take no more requests; calls in flight go on until the portal is left."""
        self._open_face().drain()

    def _open_face(self) -> HttpFace:
        if self._face is None or self._is_closed:
            raise RuntimeError("the portal is not open: use it inside `async with Portal(config) as portal`")
        return self._face

    def _on_change(self, server_id: str, changes: frozenset[Change]) -> None:
        for portal in self._servers.values():
            portal.changed(server_id, changes)

    def _on_notification(self, server_id: str, owner: str | None, method: str, params: JsonObject) -> None:
        for portal in self._servers.values():
            portal.notified(server_id, owner, method, params)


async def serve(config: Config, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve a portal until SIGTERM, SIGHUP or SIGINT; ``on_ready`` gets the origin when connections are accepted.

    Raises ``AddressInUse`` before anything is started when the port is taken.
    """
    with given_back(), listen(config.host, config.port) as listener:
        ignore_sync_signal()
        origin = config.public_url or _origin(config.host, listener.getsockname()[1])
        async with Portal(config) as portal:

            def ready() -> None:
                logger.info("serving at %s", origin)
                if on_ready is not None:
                    on_ready(origin)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_warn_of_long_lists, portal)
                _heed_commands(portal, tasks)
                await serve_app(
                    portal.app,
                    listener,
                    trusted_proxies=config.trusted_proxies,
                    on_ready=ready,
                    on_stop=portal.drain,
                )
                tasks.cancel_scope.cancel()


async def serve_stdio(config: Config, *, portal_id: str = DEFAULT_PORTAL, view: View) -> None:
    """Serve one client over this process's standard input and output, until it closes the input.

    Meanwhile everything else that the process prints goes to standard error.
    """
    with given_back(), own_streams() as (source, target):
        ignore_sync_signal()
        async with Portal(config) as portal, anyio.create_task_group() as tasks:
            _heed_commands(portal, tasks)
            await portal.wait_ready(STDIO_WAIT_S)
            await portal.serve_stdio(view, portal_id, source=source, target=target)
            tasks.cancel_scope.cancel()


def _heed_commands(portal: Portal, tasks: TaskGroup) -> None:
    """Do what commands and signals ask for while ``tasks`` run."""
    tasks.start_soon(serve_control, portal.config, portal.fleet)
    if threading.current_thread() is threading.main_thread():  # signals come nowhere else
        tasks.start_soon(_sync_on_signal, portal)


async def _warn_of_long_lists(portal: Portal) -> None:
    await portal.wait_ready()
    for config in portal.config.portals:
        # In a thread: thousands of tools take a third of a second, which clients need not wait for.
        warning = await anyio.to_thread.run_sync(long_list_warning, portal.listing(config.id), config)
        if warning is not None:
            logger.warning("%s", warning)


async def _sync_on_signal(portal: Portal) -> None:
    """List every server again on SIGUSR1, where there is such a signal."""
    if SYNC_SIGNAL is None:
        return
    try:
        with anyio.open_signal_receiver(SYNC_SIGNAL) as signals:
            async for _ in signals:
                logger.info("SIGUSR1: listing every server again")
                failed = [one.failure is not None for one in await portal.fleet.sync()]
                logger.info("listed %d servers again, %d not", failed.count(False), failed.count(True))
    finally:
        ignore_sync_signal()  # the receiver leaves it such that it ends the process


def _origin(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _sandbox_config(config: Config) -> SandboxConfig:
    limits = config.limits
    return SandboxConfig(
        require_isolation=not config.is_loopback,  # beyond loopback a worker that nothing confines must not start
        isolation=config.isolation,
        bounds=Bounds(
            runs=limits.total_runs,
            user_runs=limits.user_runs,
            user_waiting=limits.user_waiting,
            user_cpu_s=limits.user_cpu_s,
            user_memory_bytes=limits.user_memory_mb * 2**20,
            memory_bytes=None if limits.total_memory_mb is None else limits.total_memory_mb * 2**20,
        ),
    )


def _engine_limits(limits: LimitsConfig) -> EngineLimits:
    run = Limits(
        cpu_s=limits.run_cpu_s,
        wall_s=limits.run_wall_s,
        memory_bytes=limits.memory_mb * 2**20,
        calls=limits.calls,
        concurrent_calls=limits.concurrent_calls,
    )
    return EngineLimits(run=run, answer_chars=limits.answer_chars)

"""Opening a session with an upstream: which transport, which era, and why it failed."""

from __future__ import annotations

import logging
import math
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Final, Literal

import anyio
from yarl import URL

from portal._errors import ConfigError, UpstreamFailure, UpstreamUnavailable
from portal._python_provider import load_provider
from portal.upstream._background import Background
from portal.upstream._channel import Loss, SessionLost
from portal.upstream._failures import NOT_STREAMABLE, TransportFailure
from portal.upstream._http import HttpClient
from portal.upstream._http_connections import origin_of
from portal.upstream._http_sse import sse_channel
from portal.upstream._inbound import Inbound
from portal.upstream._negotiation import Agreed, negotiate
from portal.upstream._session import UpstreamSession
from portal.upstream._stdio import ChildOutcome, stdio_channel
from portal.upstream._streamable import StreamableChannel
from portal.wire import RpcError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from mcp.server import Server

    from portal._server_config import ServerConfig
    from portal.upstream._channel import Channel
    from typegen import JsonObject, JsonValue

logger = logging.getLogger("portico.upstream")

LAST_ANSWERS_S: Final = 1.0
"""How long the answers to requests that are under way are waited for when a session is closed."""

HttpKind = Literal["http", "sse"]


@asynccontextmanager
async def open_session(
    config: ServerConfig,
    *,
    capabilities: Mapping[str, JsonValue],
    on_notification: Callable[[str, JsonObject], None],
    on_gap: Callable[[], None] = lambda: None,
    is_one_users: Callable[[], bool] = lambda: False,
    is_handshake_first: bool = False,
) -> AsyncIterator[UpstreamSession]:
    """Open a session, in whichever protocol version the upstream speaks, and close it on leaving.

    Enter and leave in one task. ``capabilities`` are declared at a handshake: those of the one client that a session
    is for, none for a session that is shared; ``is_handshake_first`` where that client has a session itself, so that
    the server can ask it in the midst of a request. ``on_notification`` gets what belongs to no request, and
    ``on_gap`` is called when some of that may have been missed, over a session of the handshake versions.
    ``is_one_users`` says whether every request on the session is the same user's. Raises ``UpstreamFailure`` when no
    session comes about within ``connect_timeout_s``, or when the one that did breaks; its message is for the operator.
    """
    connection = _Connection(
        config,
        capabilities,
        on_notification,
        on_gap=on_gap,
        is_one_users=is_one_users,
        is_handshake_first=is_handshake_first,
    )
    with anyio.CancelScope(deadline=time.monotonic() + config.connect_timeout_s) as connecting:
        try:
            async with connection.open() as session:
                connecting.deadline = math.inf
                yield session
        except Exception as error:
            # Libraries, operating system and upstream fail in many ways; whichever it was, ``explain`` keeps the cause.
            raise connection.explain(error) from error
    if connecting.cancelled_caught:
        why = f" ({connection.hint})" if connection.hint else ""
        raise UpstreamUnavailable(f"no MCP session within {config.connect_timeout_s:g} s{why}", upstream=config.id)


class _Connection:
    """One attempt to open a session, and what became known of its transport."""

    def __init__(
        self,
        config: ServerConfig,
        capabilities: Mapping[str, JsonValue],
        on_notification: Callable[[str, JsonObject], None],
        *,
        on_gap: Callable[[], None],
        is_one_users: Callable[[], bool],
        is_handshake_first: bool,
    ) -> None:
        self._on_gap = on_gap
        self._is_one_users = is_one_users
        self._is_handshake_first = is_handshake_first
        self._config = config
        self._capabilities = capabilities
        self._on_notification = on_notification
        self._child = ChildOutcome()
        self._loss = Loss()
        self._ids = count(1)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[UpstreamSession]:
        async with anyio.create_task_group() as group, AsyncExitStack() as stack:
            tasks = Background(group)
            stack.callback(tasks.close)  # first in, last out: what closes a transport may still have to be said
            inbound = Inbound(
                tasks,
                server_id=self._config.id,
                on_notification=self._on_notification,
                on_gap=self._on_gap,
                is_exclusive=bool(self._capabilities),
                is_one_users=self._is_one_users,
            )
            channel, agreed = await self._connect(stack, inbound, tasks)
            session = UpstreamSession(
                channel,
                agreed,
                server_id=self._config.id,
                inbound=inbound,
                loss=self._loss,
                tasks=tasks,
                ids=self._ids,
            )
            try:
                yield session
                # When one request found out that the session is lost, the others are about to be told the same.
                with anyio.move_on_after(LAST_ANSWERS_S):
                    await inbound.wait_answered()
            finally:
                await channel.close()
                tasks.close()

    async def _connect(self, stack: AsyncExitStack, inbound: Inbound, tasks: Background) -> tuple[Channel, Agreed]:
        config = self._config
        if config.transport == "demo":
            from portal.demo import build_server  # noqa: PLC0415 -- the demo is loaded only where it is used

            channel = await self._in_process(stack, build_server())
        elif config.python is not None:
            channel = await self._in_process(stack, self._functions(config.python))
        elif config.transport == "stdio":
            return await self._connect_child(stack, inbound, tasks)
        else:
            return await self._connect_http(stack, inbound, tasks)
        return channel, await self._negotiate(channel, tasks)

    async def _in_process(self, stack: AsyncExitStack, server: Server[dict[str, object]]) -> Channel:
        from portal.upstream._in_process import in_process_channel  # noqa: PLC0415 -- as the demo

        return await stack.enter_async_context(in_process_channel(server))

    def _functions(self, path: str) -> Server[dict[str, object]]:
        from portal._python_server import build_server  # noqa: PLC0415 -- as the demo

        try:
            return build_server(load_provider(path))
        except ConfigError as error:
            logger.error("%s: %s", self._config.id, error.message)  # noqa: TRY400 -- the message is all of it
            cause = "its Python module cannot be used; the log of the portal says why"
            raise UpstreamUnavailable(cause, upstream=self._config.id, retryable=False) from error

    async def _connect_child(
        self, stack: AsyncExitStack, inbound: Inbound, tasks: Background
    ) -> tuple[Channel, Agreed]:
        """Start the command, and once more when it ended before anything was agreed on.

        Some servers end at whatever comes before ``initialize``; so the second start begins with that.
        """
        ends_when_probed = False
        while True:
            async with AsyncExitStack() as attempt:
                try:
                    channel = await attempt.enter_async_context(
                        stdio_channel(self._config, self._child, inbound=inbound, loss=self._loss)
                    )
                    agreed = await self._negotiate(channel, tasks)
                except Exception as error:
                    failure = _leaf(error)  # as over HTTP
                    has_ended = isinstance(failure, TransportFailure) and failure.kind in {"unsent", "unknown"}
                    if self._is_handshake_first or not has_ended:
                        raise
                else:
                    stack.push_async_exit(attempt.pop_all())
                    return channel, replace(agreed, ends_when_probed=ends_when_probed)
            logger.info("%s: it ended before it was greeted: started again, with the handshake first", self._config.id)
            self._is_handshake_first = ends_when_probed = True
            self._child, self._loss = ChildOutcome(), Loss()

    async def _connect_http(self, stack: AsyncExitStack, inbound: Inbound, tasks: Background) -> tuple[Channel, Agreed]:
        """Try one kind and address after the other, going on only when one says that it is not there."""
        http = await stack.enter_async_context(HttpClient(self._config))
        refused: TransportFailure | None = None
        for kind, url in http_candidates(self._config):
            async with AsyncExitStack() as attempt:
                channel: Channel
                try:
                    if kind == "http":
                        channel = StreamableChannel(http, url, inbound=inbound, loss=self._loss, tasks=tasks)
                    else:
                        channel = await attempt.enter_async_context(
                            sse_channel(
                                http, url, inbound=inbound, loss=self._loss, tasks=tasks, server_id=self._config.id
                            )
                        )
                    agreed = await self._negotiate(channel, tasks)
                except Exception as error:
                    # A failure may come in a group, out of a task of the transport; what is not ours goes on.
                    failure = _leaf(error)
                    if not isinstance(failure, TransportFailure) or failure.status not in NOT_STREAMABLE:
                        raise
                    refused = refused or failure
                else:
                    stack.push_async_exit(attempt.pop_all())
                    return channel, agreed
        raise refused or TransportFailure("there is nothing to try", kind="unsent")

    async def _negotiate(self, channel: Channel, tasks: Background) -> Agreed:
        return await negotiate(
            channel,
            server_id=self._config.id,
            capabilities=self._capabilities,
            tasks=tasks,
            ids=self._ids,
            is_handshake_first=self._is_handshake_first,
        )

    @property
    def hint(self) -> str:
        """What the transport knows of a connection that has not come about."""
        return self._child.last_lines[-1].strip()[:300] if self._child.last_lines else ""

    def explain(self, error: Exception) -> UpstreamFailure:
        """Say for the operator why a session did not come about, or broke."""
        leaf = _leaf(error)
        if isinstance(leaf, UpstreamFailure):
            return leaf
        server = self._config.id
        if self._child.returncode is not None or self._child.failure:
            return UpstreamUnavailable(self._child.describe(), upstream=server)
        match leaf:
            case TransportFailure():
                return leaf.as_cause(server)
            case RpcError():
                cause = f"it refused the session: {leaf.message[:300]}"
            case SessionLost():
                cause = "it forgot the session at once"
            case _:
                logger.error("%s: the session broke", server, exc_info=leaf)
                cause = f"the session broke ({type(leaf).__name__})"
        return UpstreamUnavailable(cause, upstream=server)


def http_candidates(config: ServerConfig) -> list[tuple[HttpKind, URL]]:
    """Say which transports to try at which addresses, in order: the path may be telling.

    Raises ``UpstreamUnavailable`` for a host name that there cannot be.
    """
    url = URL(config.url or "")
    try:
        origin_of(url)
    except ValueError:
        cause = "no connection: its host name is none that there can be; check its url"
        raise UpstreamUnavailable(cause, upstream=config.id, retryable=False) from None
    if config.transport in {"http", "sse"}:
        return [("http" if config.transport == "http" else "sse", url)]
    path = url.path.rstrip("/")
    if path.endswith("/mcp"):
        return [("http", url)]
    if path.endswith("/sse"):
        return [("sse", url)]
    return [
        ("http", url),
        ("sse", url),
        ("http", url.with_path(f"{path}/mcp", keep_query=True)),
        ("sse", url.with_path(f"{path}/sse", keep_query=True)),
    ]


def _leaf(error: BaseException) -> BaseException:
    """Return the first real error in a group: task groups wrap what their body raises."""
    while isinstance(error, BaseExceptionGroup):
        known = [item for item in error.exceptions if isinstance(_leaf(item), UpstreamFailure)]
        error = known[0] if known else error.exceptions[0]
    return error

"""Opening a session with an upstream: which transport, which credential, which era, and why it failed."""

from __future__ import annotations

import logging
import math
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import Implementation, ToolListChangedNotification
from pydantic import ValidationError

from portal._errors import ConfigError, UpstreamFailure, UpstreamUnavailable
from portal._python_provider import load_provider
from portal._version import VERSION
from portal.upstream._http import MAX_MESSAGE_BYTES, Exchange, http_client
from portal.upstream._session import Loss, UpstreamSession
from portal.upstream._stdio import ChildOutcome, stdio_transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from contextvars import Context
    from types import TracebackType
    from typing import Self

    from mcp.client._transport import ReadStream, TransportStreams
    from mcp.client.session import IncomingMessage
    from mcp.server import Server
    from mcp.shared.message import SessionMessage

    from portal._server_config import ServerConfig

logger = logging.getLogger("portico.upstream")

CLIENT_INFO: Final = Implementation(name="portico", version=VERSION)
NOT_STREAMABLE: Final = frozenset({404, 405, 406})
"""The answers of a server that speaks HTTP+SSE to a Streamable HTTP request (MCP 2025-11-25, transports)."""

HttpKind = Literal["http", "sse"]


@asynccontextmanager
async def open_session(config: ServerConfig, *, on_tools_changed: Callable[[], None]) -> AsyncIterator[UpstreamSession]:
    """Open a session, in whichever protocol version the upstream speaks, and close it on leaving.

    Enter and leave in one task. ``on_tools_changed`` is called when the upstream announces it by itself (the versions
    up to 2025-11-25). Raises ``UpstreamFailure`` when no session comes about within ``connect_timeout_s``, or when the
    one that did breaks; its message is for the operator.
    """
    connection = _Connection(config)
    with anyio.CancelScope(deadline=anyio.current_time() + config.connect_timeout_s) as connecting:
        try:
            async with connection.open(on_tools_changed) as session:
                connecting.deadline = math.inf
                yield session
        except Exception as error:
            raise connection.explain(error) from error
    if connecting.cancelled_caught:
        why = f" ({connection.hint})" if connection.hint else ""
        raise UpstreamUnavailable(f"no MCP session within {config.connect_timeout_s:g} s{why}", upstream=config.id)


class _Connection:
    """One attempt to open a session, and what became known of its transport."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._child = ChildOutcome()
        self._exchange: Callable[[], Exchange] = Exchange

    @asynccontextmanager
    async def open(self, on_tools_changed: Callable[[], None]) -> AsyncIterator[UpstreamSession]:
        loss = Loss()

        async def on_message(message: IncomingMessage) -> None:
            if isinstance(message, ToolListChangedNotification):
                on_tools_changed()

        def client(server: AbstractAsyncContextManager[TransportStreams] | Server[dict[str, object]]) -> Client:
            return Client(server, client_info=CLIENT_INFO, message_handler=on_message, cache=None)

        if self._config.transport == "demo":
            from portal.demo import build_server  # noqa: PLC0415 -- the demo is loaded only where it is used

            async with client(build_server()) as opened:
                yield UpstreamSession(opened, server_id=self._config.id, loss=loss)
            return
        if self._config.python is not None:
            async with client(self._functions(self._config.python)) as opened:
                yield UpstreamSession(opened, server_id=self._config.id, loss=loss)
            return
        if self._config.transport == "stdio":
            transport = _watched(stdio_transport(self._config, self._child), loss, self._child.describe)
            async with client(transport) as opened:
                yield UpstreamSession(opened, server_id=self._config.id, loss=loss)
            return
        first, *others = _http_kinds(self._config)
        try:
            async with client(self._http(first, loss)) as opened:
                others.clear()
                yield UpstreamSession(opened, server_id=self._config.id, loss=loss)
        except Exception:
            if not others or self._exchange().status not in NOT_STREAMABLE:
                raise
        if others:
            async with client(self._http(others[0], loss)) as opened:
                yield UpstreamSession(opened, server_id=self._config.id, loss=loss)

    def _functions(self, path: str) -> Server[dict[str, object]]:
        from portal._python_server import build_server  # noqa: PLC0415 -- as the demo

        try:
            return build_server(load_provider(path))
        except ConfigError as error:
            logger.error("%s: %s", self._config.id, error.message)  # noqa: TRY400 -- the message is all of it
            cause = "its Python module cannot be used; the log of the portal says why"
            raise UpstreamUnavailable(cause, upstream=self._config.id, retryable=False) from error

    @asynccontextmanager
    async def _http(self, kind: HttpKind, loss: Loss) -> AsyncIterator[TransportStreams]:
        url = self._config.url or ""
        http, guard = http_client(self._config)
        self._exchange = lambda: guard.last
        if kind == "http":
            transport = streamable_http_client(url, http_client=http, max_sse_event_size=MAX_MESSAGE_BYTES)
            async with http, transport as streams:
                yield streams
            return
        events = sse_client(url, timeout=self._config.connect_timeout_s, httpx_client_factory=lambda *_, **__: http)
        async with _watched(events, loss, lambda: "the event stream ended") as streams:
            yield streams

    @property
    def hint(self) -> str:
        """What the transport knows of a connection that has not come about."""
        exchange = self._exchange()
        if exchange.failure is not None:
            return exchange.failure
        if self._config.transport == "stdio" and self._child.last_lines:
            return self._child.last_lines[-1].strip()[:300]
        return ""

    def explain(self, error: Exception) -> UpstreamFailure:
        """Say for the operator why a session did not come about, or broke."""
        leaf = _leaf(error)
        if isinstance(leaf, UpstreamFailure):
            return leaf
        server, exchange = self._config.id, self._exchange()
        if self._config.transport == "stdio" and (self._child.returncode is not None or self._child.failure):
            return UpstreamUnavailable(self._child.describe(), upstream=server)
        if exchange.failure is not None:
            return UpstreamUnavailable(exchange.failure, upstream=server)
        if exchange.status is not None and exchange.status >= 400:
            return UpstreamUnavailable(
                _status(exchange.status), upstream=server, code=exchange.status, retryable=_may_pass(exchange.status)
            )
        match leaf:
            case MCPError() if "content type" in leaf.message:  # the SDK's words for a web page in the answer's place
                cause = f"what answers there does not speak MCP ({leaf.message[:300]}): check its url"
            case MCPError():
                cause = f"it refused the session: {leaf.message[:300]}"
            case ValidationError() | RuntimeError() | httpx2.HTTPError():
                cause = "what answers there does not speak MCP: check its url"
            case _:
                cause = f"the session broke ({type(leaf).__name__})"
        return UpstreamUnavailable(cause, upstream=server)


def _http_kinds(config: ServerConfig) -> list[HttpKind]:
    """Say which transports to try, in order: by its path where that is telling, Streamable HTTP first otherwise."""
    if config.transport in {"http", "sse"}:
        return ["http" if config.transport == "http" else "sse"]
    path = urlsplit(config.url or "").path.rstrip("/")
    if path.endswith("/mcp"):
        return ["http"]
    return ["sse", "http"] if path.endswith("/sse") else ["http", "sse"]


def _status(status: int) -> str:
    known = HTTPStatus(status).phrase if status in {item.value for item in HTTPStatus} else ""
    what = f"HTTP {status} {known}".rstrip()
    if status in {401, 403}:
        return f"{what}: it refuses the credential; check auth of this server"
    return f"{what}: no MCP endpoint at this address" if status in NOT_STREAMABLE else what


def _may_pass(status: int) -> bool:
    return status >= 500 or status in {408, 425, 429}


def _leaf(error: BaseException) -> BaseException:
    """Return the first real error in a group: task groups wrap what their body raises."""
    while isinstance(error, BaseExceptionGroup):
        known = [item for item in error.exceptions if isinstance(_leaf(item), UpstreamFailure)]
        error = known[0] if known else error.exceptions[0]
    return error


@asynccontextmanager
async def _watched(
    transport: AbstractAsyncContextManager[TransportStreams], loss: Loss, cause: Callable[[], str]
) -> AsyncIterator[TransportStreams]:
    """Pass a transport through, noting when its incoming stream ends."""
    async with transport as (incoming, outgoing):
        yield _WatchedStream(incoming, lambda: loss.note(cause())), outgoing


class _WatchedStream:
    """A stream of messages that says when it has ended."""

    def __init__(self, inner: ReadStream[SessionMessage | Exception], on_end: Callable[[], None]) -> None:
        self._inner = inner
        self._on_end = on_end

    @property
    def last_context(self) -> Context | None:
        """The context of the newest message's sender, where the transport carries it."""
        context: Context | None = getattr(self._inner, "last_context", None)
        return context

    async def receive(self) -> SessionMessage | Exception:
        try:
            return await self._inner.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            self._on_end()
            raise

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        await self.aclose()
        return None

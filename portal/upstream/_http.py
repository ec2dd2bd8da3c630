"""The HTTP client of one upstream: its credential, its bounds, and what went wrong with each exchange.

The SDK's transport runs all requests of a session in one task group, so that a connection that breaks under one request
would end the others too. Here such a failure is noted and answered with a synthetic 502, which ends that request alone.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx2

from portal._server_config import BearerAuth, HeadersAuth

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portal._server_config import ServerConfig

MAX_MESSAGE_BYTES: Final = 16 * 2**20
"""One answer or one event; twice the largest result that a run may hold."""
POOL: Final = httpx2.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=60.0)
"""Room for the concurrent calls of a few runs; above it requests queue."""


@dataclass(slots=True)
class Exchange:
    """What HTTP knows of one request: its status, or why there is none."""

    status: int | None = None
    failure: str | None = None
    is_timeout: bool = False
    is_too_large: bool = False


# The SDK carries the sender's context to the task that makes the request, which is how the two meet.
EXCHANGE: Final[ContextVar[Exchange | None]] = ContextVar("portico_exchange", default=None)


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends requests through ``inner`` and keeps each one's failure to itself.

    ``last`` is the newest exchange, for what happens while a session is opened.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner
        self.last = Exchange()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send ``request``; a failure to connect or to read becomes a 502 that holds nothing."""
        exchange = EXCHANGE.get() or Exchange()
        self.last = exchange
        try:
            response = await self._inner.handle_async_request(request)
        except httpx2.TransportError as error:
            exchange.failure, exchange.is_timeout = _describe(error), isinstance(error, httpx2.TimeoutException)
            return httpx2.Response(502, request=request)
        exchange.status = response.status_code
        if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            declared = response.headers.get("content-length", "")
            if declared.isdecimal() and int(declared) > MAX_MESSAGE_BYTES:
                await response.aclose()
                _note_too_large(exchange)
                return httpx2.Response(502, request=request)
            limit: int | None = MAX_MESSAGE_BYTES
        else:
            limit = None  # an event stream is long-lived; the SDK bounds each event
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _GuardedStream(response.stream, exchange, limit)
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _GuardedStream(httpx2.AsyncByteStream):
    """A response body that counts, and that fails with an error which the SDK keeps to the request."""

    def __init__(self, inner: httpx2.AsyncByteStream, exchange: Exchange, limit: int | None) -> None:
        self._inner = inner
        self._exchange = exchange
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        try:
            async for chunk in self._inner:
                received += len(chunk)
                if self._limit is not None and received > self._limit:
                    _note_too_large(self._exchange)
                    raise httpx2.StreamError("the answer is too large")
                yield chunk
        except httpx2.TransportError as error:
            self._exchange.failure = _describe(error)
            self._exchange.is_timeout = isinstance(error, httpx2.TimeoutException)
            raise httpx2.StreamError("the answer broke off") from error

    async def aclose(self) -> None:
        await self._inner.aclose()


def http_client(config: ServerConfig) -> tuple[httpx2.AsyncClient, GuardedTransport]:
    """Make the client for one upstream, its credential in the default headers, and the transport that watches it.

    The SDK follows a redirect only within the origin (scheme, host and port), so the headers never leave it.
    Compression is not asked for: a bound on bytes then holds for what is parsed, too.
    """
    headers = {"accept-encoding": "identity", "user-agent": "portico"}
    match config.auth:
        case BearerAuth(token=token):
            headers["authorization"] = f"Bearer {token.reveal()}"
        case HeadersAuth(headers=own):
            headers.update({name: value.reveal() for name, value in own.items()})
        case _:
            pass
    transport = GuardedTransport(httpx2.AsyncHTTPTransport(limits=POOL))
    timeout = httpx2.Timeout(config.connect_timeout_s, read=None)  # a call's own deadline bounds the reading
    return httpx2.AsyncClient(headers=headers, transport=transport, timeout=timeout), transport


def _describe(error: httpx2.TransportError) -> str:
    """Say in a phrase what failed, for the operator."""
    text = str(error).strip()
    match error:
        case httpx2.ConnectTimeout():
            return "no connection in time"
        case httpx2.TimeoutException():
            return "no answer in time"
        case httpx2.ConnectError():
            return f"no connection ({text})" if text else "no connection"
        case _:
            return f"the connection broke ({text})" if text else f"the connection broke ({type(error).__name__})"


def _note_too_large(exchange: Exchange) -> None:
    exchange.failure = f"an answer of more than {MAX_MESSAGE_BYTES // 2**20} MiB"
    exchange.is_too_large = True

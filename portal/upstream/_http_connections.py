"""The connections to one upstream: made when they are needed, kept for the next request, never more than a limit."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio
import truststore
from aiohappyeyeballs import start_connection

from portal.upstream._failures import TransportFailure
from portal.upstream._http_connection import HttpConnection

if TYPE_CHECKING:
    from yarl import URL

    from portal.upstream._http_connection import HttpResponse

Origin: TypeAlias = tuple[str, str | None, int | None]

SWEEP_S: Final = 5.0
"""How often connections are ended that nobody has used for long."""
NEXT_ADDRESS_S: Final = 0.25
"""When the next address of a name is tried beside one that has not answered (RFC 8305, section 5)."""

_EXPIRED, _NOT_YET, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64  # OpenSSL, X509_V_ERR_*
_UNTRUSTED: Final = frozenset({2, 18, 19, 20, 21, 27})


class HttpConnections:
    """At most ``limit`` connections under way at once; who finds none free waits. Names are looked up anew for each."""

    def __init__(self, *, limit: int, connect_timeout_s: float) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._places = anyio.Semaphore(limit)
        self._all: dict[HttpConnection, Origin] = {}
        self._idle: dict[Origin, list[HttpConnection]] = {}  # the one used last at the end
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def exchange(self, url: URL, head: bytes, body: bytes) -> HttpResponse:
        """Send a request, and return the response when its head is there. Raises ``TransportFailure``."""
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            await self._places.acquire()
        try:
            connection = self._kept(origin_of(url)) or await self._connect(url)
        except BaseException:
            self._places.release()
            raise
        return await connection.exchange(head, body)

    def close(self) -> None:
        """Disconnect. Requests that are under way fail, as do those that come later."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._all):
            connection.abort()

    def _kept(self, origin: Origin) -> HttpConnection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_reusable:
                return connection
            connection.abort()
        return None

    async def _connect(self, url: URL) -> HttpConnection:
        self._check_open()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await self._connected(url.raw_host or "", url.port or 0, is_tls=url.scheme == "https")
        except TimeoutError:
            raise TransportFailure("no connection in time", kind="unsent") from None
        except (OSError, UnicodeError) as error:
            raise TransportFailure(_problem(error), kind="unsent") from error
        self._all[connection] = origin_of(url)
        if self._is_closed:
            connection.abort()
        self._check_open()
        return connection

    async def _connected(self, host: str, port: int, *, is_tls: bool) -> HttpConnection:
        loop = asyncio.get_running_loop()
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_S)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if not is_tls:
            _, connection = await loop.create_connection(self._new_connection, sock=found)
            return connection
        beneath, _ = await loop.create_connection(asyncio.Protocol, sock=found)
        connection = self._new_connection()
        connection.connection_made(beneath)
        try:
            transport = await loop.start_tls(beneath, connection, trust(), server_hostname=host.rstrip("."))
        except BaseException:
            beneath.abort()
            raise
        if transport is not None:
            connection.secure(transport)
        return connection

    def _new_connection(self) -> HttpConnection:
        return HttpConnection(on_over=self._keep, on_lost=self._forget)

    def _check_open(self) -> None:
        if self._is_closed:
            raise TransportFailure("the session is closed", kind="unsent")

    def _keep(self, connection: HttpConnection) -> None:
        """Take back a connection whose request is over, for the next one where that is possible."""
        self._places.release()
        if self._is_closed or not connection.is_reusable:
            connection.abort()
            return
        self._idle.setdefault(self._all[connection], []).append(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP_S, self._end_idle)

    def _forget(self, connection: HttpConnection) -> None:
        origin = self._all.pop(connection, None)
        idle = self._idle.get(origin, []) if origin is not None else []
        if connection in idle:
            idle.remove(connection)

    def _end_idle(self) -> None:
        """End the idle connections whose time is over, and come again while there are others."""
        self._sweep = None
        idle = [connection for kept in self._idle.values() for connection in kept]
        for connection in idle:
            if not connection.is_reusable:
                connection.abort()
        if idle:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP_S, self._end_idle)


def origin_of(url: URL) -> Origin:
    """Return what a credential is for: scheme, host and port."""
    return url.scheme, url.host, url.port


@lru_cache(maxsize=1)
def trust() -> ssl.SSLContext:
    """Trust what the operating system trusts, or what SSL_CERT_FILE and SSL_CERT_DIR name."""
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _problem(error: Exception) -> str:
    """Say why there is no connection."""
    match error:
        case ssl.SSLCertVerificationError():
            return _certificate_problem(error)
        case ssl.SSLError():
            return "no TLS connection: does it speak https at this address?"
        case socket.gaierror() | UnicodeError():
            return "no connection: its name is not known"
        case OSError() if error.errno:
            return f"no connection ({os.strerror(error.errno)})"
        case _:
            return "no connection"


def _certificate_problem(error: ssl.SSLCertVerificationError) -> str:
    match error.verify_code:
        case code if code == _EXPIRED:
            return "its certificate has expired: it has to be renewed there"
        case code if code == _NOT_YET:
            return "its certificate is not valid yet: compare the clocks of both machines"
        case code if code in {_OTHER_NAME, _OTHER_ADDRESS}:
            return "its certificate is for another host: check its url"
        case code if code in _UNTRUSTED:
            return "its certificate comes from nobody whom this machine trusts: name its authority in SSL_CERT_FILE"
        case _:
            return f"its certificate cannot be verified ({error.verify_message})"

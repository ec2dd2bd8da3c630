"""The HTTP client of one upstream: its credential, its bounds, and a name for everything that goes wrong.

Credentials never leave the origin they are for, nothing is read beyond its limit, and compression is neither asked for
nor accepted, so that a limit on bytes holds for what is parsed.
"""

from __future__ import annotations

import asyncio
import io
import os
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import aiohttp
import truststore
from yarl import URL

from portal._server_config import BearerAuth, HeadersAuth
from portal._version import VERSION
from portal.upstream._failures import TransportFailure, retry_after_s, too_large
from portal.upstream._inbound import MAX_QUESTIONS
from portal.upstream._parsing import read_json
from portal.wire import RpcError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from portal._server_config import ServerConfig
    from portal.upstream._event_stream import Event, EventReader

SPARE_CONNECTIONS: Final = 8 + MAX_QUESTIONS
"""Beyond those of requests that count: the stream of the session, subscriptions, answers and cancellations; and a
request that waits for a person holds its connection while others go on."""
KEEP_ALIVE_S: Final = 30.0
"""Half of what common proxies keep an idle connection: one that they close under a request costs that request."""
DNS_CACHE_S: Final = 10
READ_BUFFER_BYTES: Final = 64 * 2**10
MAX_ERROR_BYTES: Final = 64 * 2**10
"""What is read of an answer that refuses, for the error that it may hold."""
MAX_REDIRECTS: Final = 3
LARGE_BODY_BYTES: Final = 2**20
"""aiohttp warns of a longer body that is bytes, and takes a file."""

_KEEPS_METHOD: Final = frozenset({307, 308})
_REDIRECTS: Final = frozenset({301, 302, 303, *_KEEPS_METHOD})
_EXPIRED, _NOT_YET, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64  # OpenSSL, X509_V_ERR_*
_UNTRUSTED: Final = frozenset({2, 18, 19, 20, 21, 27})


class HttpClient:
    """Connections to one upstream. Enter and leave; on leaving all are closed."""

    def __init__(self, config: ServerConfig) -> None:
        self.max_answer_bytes = config.max_answer_bytes
        self.max_list_bytes = config.max_list_bytes
        self._config = config
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        config = self._config
        connector = aiohttp.TCPConnector(
            limit=config.max_concurrent + SPARE_CONNECTIONS,
            ttl_dns_cache=DNS_CACHE_S,
            keepalive_timeout=KEEP_ALIVE_S,
            ssl=_trust() if (config.url or "").startswith("https:") else True,
        )
        self._http = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_headers(config),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=config.connect_timeout_s),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=READ_BUFFER_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    async def send(
        self, method: str, url: URL, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> aiohttp.ClientResponse:
        """Send a request and return the answer when its head is there, whatever its status.

        A redirect is followed within the origin, as long as it keeps the method. Raises ``TransportFailure``.
        """
        hops = 0
        while True:
            response = await self._send(method, url, headers, body)
            if response.status not in _REDIRECTS:
                return response
            response.close()
            target = _followed(method, url, response)
            if target is None or hops == MAX_REDIRECTS:
                phrase = "it redirects to another address, which is not followed: check its url"
                if target is not None:
                    phrase = "it redirects without an end"
                raise TransportFailure(phrase, kind="status", status=response.status)
            url, hops = target, hops + 1

    async def _send(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> aiohttp.ClientResponse:
        http = self._http
        if http is None:
            raise _closed()
        data = io.BytesIO(body) if body is not None and len(body) > LARGE_BODY_BYTES else body
        try:
            response = await http.request(method, url, headers=headers, data=data, allow_redirects=False)
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise _failure(error) from error
        except asyncio.CancelledError:
            # aiohttp ends those who wait for a connection so when the client is closed; nobody has cancelled them.
            task = asyncio.current_task()
            if not http.closed or task is None or task.cancelling():
                raise
            raise _closed() from None
        encoding = response.headers.get("Content-Encoding")
        if encoding is not None and encoding.lower() != "identity":
            response.close()
            raise TransportFailure("a compressed answer, which was not asked for", kind="not_mcp")
        return response

    async def read(self, response: aiohttp.ClientResponse, max_bytes: int, *, what: str = "an answer") -> bytes:
        """Read the body. Raises ``TransportFailure``, before it is read where its length is declared too large."""
        declared = response.content_length
        if declared is not None and declared > max_bytes:
            response.close()
            raise too_large(max_bytes, declared_bytes=declared, what=what)
        try:
            if declared is not None:
                return await response.read()
            chunks: list[bytes] = []
            received = 0
            async for chunk in response.content.iter_any():
                received += len(chunk)
                if received > max_bytes:
                    raise too_large(max_bytes, what=what)
                chunks.append(chunk)
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(error) from error
        else:
            return b"".join(chunks)

    async def next_events(self, response: aiohttp.ClientResponse, reader: EventReader) -> list[Event] | None:
        """Return the events that the next bytes complete, None at the end. Raises ``TransportFailure``."""
        try:
            chunk = await response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(error) from error
        return reader.feed(chunk) if chunk else None

    async def refusal(self, response: aiohttp.ClientResponse) -> TransportFailure:
        """Read an answer whose status is 400 or more as the failure that it is."""
        error: RpcError | None = None
        try:
            body = await self.read(response, MAX_ERROR_BYTES)
            value = read_json(body) if body.lstrip()[:1] == b"{" else None
            if isinstance(value, dict) and "error" in value and "jsonrpc" in value:
                error = RpcError.of(value["error"])
        except TransportFailure:
            response.close()
        return TransportFailure(
            "",
            kind="status",
            status=response.status,
            retry_after_s=retry_after_s(response.headers.get("Retry-After")),
            error=error,
        )


def origin_of(url: URL) -> tuple[str, str | None, int | None]:
    """Return what a credential is for: scheme, host and port."""
    return url.scheme, url.host, url.port


def _headers(config: ServerConfig) -> dict[str, str]:
    headers = {"user-agent": f"portico/{VERSION}"}
    match config.auth:
        case BearerAuth(token=token):
            headers["authorization"] = f"Bearer {token.reveal()}"
        case HeadersAuth(headers=own):
            headers |= {name.lower(): value.reveal() for name, value in own.items()}
        case _:
            pass
    return headers | {"accept-encoding": "identity"}


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    """Trust what the operating system trusts, or what SSL_CERT_FILE and SSL_CERT_DIR name."""
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _followed(method: str, url: URL, response: aiohttp.ClientResponse) -> URL | None:
    """Return where to follow a redirect: within the origin, or from http to https on the same host."""
    location = response.headers.get("Location")
    if not location or (method != "GET" and response.status not in _KEEPS_METHOD):
        return None
    try:
        target = url.join(URL(location))
    except ValueError:
        return None
    is_upgrade = (
        (url.scheme, target.scheme) == ("http", "https")
        and url.host == target.host
        and url.is_default_port()
        and target.is_default_port()
    )
    return target if origin_of(url) == origin_of(target) or is_upgrade else None


def _closed() -> TransportFailure:
    return TransportFailure("the session is closed", kind="unsent")


def _failure(error: Exception) -> TransportFailure:
    """Say what failed: before a request was sent, or after."""
    if isinstance(error, RuntimeError) or str(error).startswith("Connector is closed"):
        return _closed()  # aiohttp has no class of its own for a client that was closed before there was a connection
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError):
        return TransportFailure(_connection_problem(error), kind="unsent")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return TransportFailure("no connection in time", kind="unsent")
    if isinstance(error, aiohttp.ClientResponseError):
        return TransportFailure("an answer that is not HTTP", kind="not_mcp")
    within = " within an answer" if isinstance(error, aiohttp.ClientPayloadError) else ""
    return TransportFailure(f"the connection broke{within} ({type(error).__name__})", kind="unknown")


def _connection_problem(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return _certificate_problem(error.certificate_error)
        case aiohttp.ClientConnectorSSLError():
            return "no TLS connection: does it speak https at this address?"
        case aiohttp.ClientConnectorDNSError():
            return "no connection: its name is not known"
        case aiohttp.ClientConnectorError() if error.os_error.errno:
            return f"no connection ({os.strerror(error.os_error.errno)})"
        case _:
            return "no connection"


def _certificate_problem(error: Exception) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate cannot be verified"
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

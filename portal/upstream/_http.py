"""The HTTP client of one upstream: its credential, its bounds, and a name for everything that goes wrong.

Credentials never leave the origin they are for, nothing is read beyond its limit, and compression is neither asked for
nor accepted, so that a limit on bytes holds for what is parsed.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

from yarl import URL

from portal._server_config import BearerAuth, HeadersAuth
from portal._version import VERSION
from portal.upstream._failures import TransportFailure, retry_after_s, too_large
from portal.upstream._http_connections import HttpConnections, origin_of
from portal.upstream._inbound import MAX_QUESTIONS
from portal.upstream._parsing import read_json
from portal.wire import RpcError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from portal._server_config import ServerConfig
    from portal.upstream._event_stream import Event, EventReader
    from portal.upstream._http_connection import HttpResponse

SPARE_CONNECTIONS: Final = 8 + MAX_QUESTIONS
"""Beyond those of requests that count: the stream of the session, subscriptions, answers and cancellations; and a
request that waits for a person holds its connection while others go on."""
MAX_ERROR_BYTES: Final = 64 * 2**10
"""What is read of an answer that refuses, for the error that it may hold."""
MAX_REDIRECTS: Final = 3

_KEEPS_METHOD: Final = frozenset({307, 308})
_REDIRECTS: Final = frozenset({301, 302, 303, *_KEEPS_METHOD})
_UNSAFE: Final = re.compile(r"[\r\n\0]")


class HttpClient:
    """Connections to one upstream. Enter and leave; on leaving all are closed."""

    def __init__(self, config: ServerConfig) -> None:
        self.max_answer_bytes = config.max_answer_bytes
        self.max_list_bytes = config.max_list_bytes
        self._headers = _headers(config)
        self._connections = HttpConnections(
            limit=config.max_concurrent + SPARE_CONNECTIONS, connect_timeout_s=config.connect_timeout_s
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connections.close()

    async def send(self, method: str, url: URL, *, headers: Mapping[str, str], body: bytes = b"") -> HttpResponse:
        """Send a request and return the answer when its head is there, whatever its status.

        Names in ``headers`` are lower case. A redirect is followed within the origin, as long as it keeps the method.
        Raises ``TransportFailure``.
        """
        fields = {**self._headers, **headers}
        hops = 0
        while True:
            response = await self._connections.exchange(url, _head(method, url, fields, len(body)), body)
            if (response.headers.get("content-encoding") or "identity").lower() != "identity":
                response.close()
                raise TransportFailure("a compressed answer, which was not asked for", kind="not_mcp")
            if response.status not in _REDIRECTS:
                return response
            response.leave()
            target = _followed(method, url, response)
            if target is None or hops == MAX_REDIRECTS:
                phrase = "it redirects to another address, which is not followed: check its url"
                if target is not None:
                    phrase = "it redirects without an end"
                raise TransportFailure(phrase, kind="status", status=response.status)
            url, hops = target, hops + 1

    async def read(self, response: HttpResponse, max_bytes: int, *, what: str = "an answer") -> bytes:
        """Read the body. Raises ``TransportFailure``, before it is read where its length is declared too large."""
        declared = response.content_length
        if declared is not None and declared > max_bytes:
            response.close()
            raise too_large(max_bytes, declared_bytes=declared, what=what)
        chunks: list[bytes] = []
        received = 0
        while chunk := await response.chunk():
            chunks.append(chunk)
            received += len(chunk)
            if received > max_bytes:
                raise too_large(max_bytes, what=what)
        return b"".join(chunks)

    async def next_events(self, response: HttpResponse, reader: EventReader) -> list[Event] | None:
        """Return the events that the next bytes complete, None at the end. Raises ``TransportFailure``."""
        chunk = await response.chunk()
        return reader.feed(chunk) if chunk else None

    async def refusal(self, response: HttpResponse) -> TransportFailure:
        """Read an answer whose status is 400 or more as the failure that it is."""
        error: RpcError | None = None
        try:
            body = await self.read(response, MAX_ERROR_BYTES)
            value = read_json(body) if body.lstrip()[:1] == b"{" else None
            if isinstance(value, dict) and "error" in value and "jsonrpc" in value:
                error = RpcError.of(value["error"])
        except TransportFailure:
            pass  # the status says enough
        finally:
            response.close()
        return TransportFailure(
            "",
            kind="status",
            status=response.status,
            retry_after_s=retry_after_s(response.headers.get("retry-after")),
            error=error,
        )


def _headers(config: ServerConfig) -> dict[str, str]:
    """Return what goes with every request."""
    headers = {"user-agent": f"portico/{VERSION}"}
    url = URL(config.url or "")
    if url.user is not None:
        pair = f"{url.user}:{url.password or ''}"
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    match config.auth:
        case BearerAuth(token=token):
            headers["authorization"] = f"Bearer {token.reveal()}"
        case HeadersAuth(headers=own):
            headers |= {name.lower(): value.reveal() for name, value in own.items()}
        case _:
            pass
    return headers | {"accept-encoding": "identity"}


def _head(method: str, url: URL, headers: Mapping[str, str], length: int) -> bytes:
    """Return the head of a request (RFC 9112, section 3). Raises ``TransportFailure`` for a header that has lines."""
    if _UNSAFE.search("".join(headers.values())) is not None:
        raise TransportFailure("a header with a line break, which is not sent", kind="unsent")
    lines = [f"{name}: {value}" for name, value in headers.items()]
    start = f"{method} {url.raw_path_qs} HTTP/1.1\r\nhost: {url.host_port_subcomponent}"
    return "\r\n".join((start, *lines, f"content-length: {length}\r\n\r\n")).encode("utf-8", "surrogateescape")


def _followed(method: str, url: URL, response: HttpResponse) -> URL | None:
    """Return where to follow a redirect: within the origin, or from http to https on the same host."""
    location = response.headers.get("location")
    if not location or (method != "GET" and response.status not in _KEEPS_METHOD):
        return None
    try:
        target = url.join(URL(location))
        is_upgrade = (
            (url.scheme, target.scheme) == ("http", "https")
            and url.host == target.host
            and url.is_default_port()
            and target.is_default_port()
        )
        return target if origin_of(url) == origin_of(target) or is_upgrade else None
    except ValueError:  # no address, or a host name that is none
        return None

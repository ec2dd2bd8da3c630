"""One HTTP/1.1 connection to an upstream (RFC 9112): one request after the other, each answered as far as it is read.

httptools reads what comes. What is not read is not taken from the network either, beyond a small buffer.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from typing import TYPE_CHECKING, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from portal.upstream._failures import TransportFailure

if TYPE_CHECKING:
    from collections.abc import Callable

READ_BUFFER_BYTES: Final = 64 * 2**10
MAX_HEAD_BYTES: Final = 64 * 2**10
"""What may come, of heads and trailers, without a byte of a body."""
KEEP_ALIVE_S: Final = 4.0
"""How long a connection may be idle before it is used again, where the upstream names no time. Servers on Node and
uvicorn close it after 5 s: one that they close under a request leaves open whether that was carried out."""
MAX_KEEP_ALIVE_S: Final = 30.0
"""The same where it names one; proxies in between may keep a connection for less than the upstream does."""
MARGIN_S: Final = 1.0
"""How much earlier than an upstream we let a connection go."""
LEAVE_S: Final = 1.0
"""How long the end of an answer that nobody reads on is waited for, so that its connection can be used again."""

_TIMEOUT: Final = re.compile(r"timeout\s*=\s*\"?(\d{1,9})\b", re.IGNORECASE)


class HttpConnection(asyncio.Protocol):
    """A connection, for one request at a time.

    ``on_over`` is called once for every request, when the connection has nothing more to do with it, and ``on_lost``
    once, when there is no connection any more.
    """

    def __init__(self, *, on_over: Callable[[HttpConnection], None], on_lost: Callable[[HttpConnection], None]) -> None:
        self.idle_until = 0.0
        self._on_over = on_over
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._parser = HttpResponseParser(self)
        # What common clients and proxies take as well; neither changes where an answer ends.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
        self._transport: asyncio.Transport
        self._socket: asyncio.Transport  # what lies beneath TLS; else the same
        self._asked: asyncio.Future[HttpResponse] | None = None  # until the response, with its body, is over
        self._response: HttpResponse | None = None
        self._headers: dict[str, str] = {}
        self._is_over = False
        self._is_given_up = False
        self._keeps_alive = True
        self._without_body_bytes = 0

    @property
    def is_reusable(self) -> bool:
        """Whether it can take the next request."""
        # Of the socket: a transport of TLS does not know what is still unsent, and learns later that it is closing.
        is_open = self._keeps_alive and not self._socket.is_closing() and not self._socket.get_write_buffer_size()
        return is_open and self._loop.time() < self.idle_until

    async def exchange(self, head: bytes, body: bytes) -> HttpResponse:
        """Send a request, and return the response when its head is there. Raises ``TransportFailure``."""
        asked: asyncio.Future[HttpResponse] = self._loop.create_future()
        self._asked = asked
        self._transport.write(head + body)
        try:
            return await asked
        except asyncio.CancelledError:
            if self._asked is asked:  # else it is over, and the connection may be on its next request
                self.abort()
            raise

    def abort(self) -> None:
        """Disconnect at once."""
        self._is_given_up = True
        self._transport.abort()

    def pause(self) -> None:
        """Let nothing more come in."""
        # Of the socket: uvloop's TLS reads on when it is paused, and throws away what it holds at the end.
        if not self._socket.is_closing():
            self._socket.pause_reading()

    def resume(self) -> None:
        """Let more come in."""
        if not self._socket.is_closing():
            self._socket.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = self._socket = transport  # type: ignore[assignment]  # of a socket, which writes as well

    def secure(self, transport: asyncio.Transport) -> None:
        """Speak through TLS, over what was there before."""
        self._transport = transport

    def eof_received(self) -> None:
        """Disconnect when nothing more will come: what the upstream has not taken by now it will not take."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what came. Without a request it answers nothing."""
        if self._asked is None:
            self.abort()
            return
        self._without_body_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self._is_over:
                self._fail(TransportFailure("an answer that is not HTTP", kind="not_mcp"))
                return
            self._keeps_alive = False
        if self._is_over:
            self._finish()
        elif self._without_body_bytes > MAX_HEAD_BYTES:
            self._fail(TransportFailure("an answer whose head has no end", kind="not_mcp"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits; a response of no declared length has ended so."""
        self._keeps_alive = False
        if self._asked is not None:
            response = self._response
            is_their_end = exc is None and not self._is_given_up
            if is_their_end and response is not None and response.ends_with_connection:
                self._finish()
            else:
                within = "" if response is None else " within an answer"
                self._fail(TransportFailure(f"the connection broke{within}{_reason(exc)}", kind="unknown"))
        self._on_lost(self)

    def on_message_begin(self) -> None:
        """Begin a message; one more than was asked for ends the parsing, and the use of this connection."""
        if self._is_over:
            raise ValueError("a second answer")
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; what trails a body is not one."""
        if self._response is not None:
            return
        key, text = name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        """Hand over the response, unless it is an interim one (RFC 9110, section 15.2)."""
        status, asked = self._parser.get_status_code(), self._asked
        if status // 100 == 1 or asked is None:
            return
        self._keeps_alive = self._parser.should_keep_alive()
        self._response = HttpResponse(status, self._headers, self)
        if not asked.done():
            asked.set_result(self._response)

    def on_body(self, data: bytes) -> None:
        """Hand over a part of the body."""
        self._without_body_bytes = 0
        if self._response is not None:
            self._response.take(data)

    def on_message_complete(self) -> None:
        """Note that all of a response is there."""
        self._is_over = self._response is not None

    def _finish(self) -> None:
        response, self._response, self._asked = self._response, None, None
        self._is_over, self._without_body_bytes = False, 0
        if response is not None:
            self.idle_until = self._loop.time() + response.keep_alive_s
            response.end()
        self._on_over(self)

    def _fail(self, failure: TransportFailure) -> None:
        asked, response = self._asked, self._response
        self._asked = self._response = None
        self._keeps_alive = False
        if response is not None:
            response.end(failure)
        elif asked is not None and not asked.done():
            asked.set_exception(failure)
        self.abort()
        self._on_over(self)


class HttpResponse:
    """A response: its head, with names of headers in lower case, and its body as it comes."""

    __slots__ = (
        *("headers", "is_complete", "status"),
        *("_chunks", "_connection", "_failure", "_giving_up", "_held_bytes", "_waiting"),
    )

    def __init__(self, status: int, headers: dict[str, str], connection: HttpConnection) -> None:
        self.status = status
        self.headers = headers
        self.is_complete = False
        self._connection = connection
        self._chunks: list[bytes] = []
        self._held_bytes = 0
        self._failure: TransportFailure | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._giving_up: asyncio.TimerHandle | None = None  # once nobody reads on

    @property
    def content_type(self) -> str:
        """The media type, in lower case and without parameters; empty where none is given."""
        return self.headers.get("content-type", "").partition(";")[0].partition(",")[0].strip().lower()

    @property
    def content_length(self) -> int | None:
        """The length of the body in bytes, where it is declared."""
        declared = self.headers.get("content-length")
        return None if declared is None else int(declared)

    @property
    def keep_alive_s(self) -> float:
        """How long its connection may be idle before the next request (RFC 2068, section 19.7.1.1)."""
        named = _TIMEOUT.search(self.headers.get("keep-alive", ""))
        return KEEP_ALIVE_S if named is None else min(float(named.group(1)) - MARGIN_S, MAX_KEEP_ALIVE_S)

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body ends where the connection does (RFC 9112, section 6.3)."""
        coding = self.headers.get("transfer-encoding", "").lower()
        return "content-length" not in self.headers and "chunked" not in coding

    async def chunk(self) -> bytes:
        """Return what has come of the body since, waiting for something; empty at its end.

        One reader at a time. Raises ``TransportFailure`` when the connection broke before.
        """
        while not self._chunks:
            if self._failure is not None:
                raise self._failure
            if self.is_complete:
                return b""
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._make_room()
        return data

    def close(self) -> None:
        """Give up what has not come yet, and the connection with it; a complete one has left its connection."""
        if not self.is_complete:
            self._connection.abort()

    def leave(self) -> None:
        """Read no more, and leave the connection to others when the rest has come; close it if that takes long."""
        if not self.is_complete and self._failure is None:
            self._giving_up = asyncio.get_running_loop().call_later(LEAVE_S, self.close)
            self._chunks.clear()
            self._make_room()

    def take(self, data: bytes) -> None:
        """Take a part of the body."""
        if self._giving_up is not None:
            return
        self._chunks.append(data)
        is_full, self._held_bytes = self._held_bytes > READ_BUFFER_BYTES, self._held_bytes + len(data)
        if self._held_bytes > READ_BUFFER_BYTES and not is_full:
            self._connection.pause()
        self._wake()

    def end(self, failure: TransportFailure | None = None) -> None:
        """Take the end of the body, or what came in its place."""
        self.is_complete, self._failure = failure is None, failure
        if self._giving_up is not None:
            self._giving_up.cancel()
        self._make_room()
        self._wake()

    def _make_room(self) -> None:
        """Let more come in, if it was too much; once all has come, the connection is another's."""
        if self._held_bytes > READ_BUFFER_BYTES:
            self._connection.resume()
        self._held_bytes = 0

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _reason(error: Exception | None) -> str:
    if isinstance(error, ssl.SSLError):  # whose errno is none of the system's
        return f" (TLS: {error.reason or type(error).__name__})"
    return f" ({os.strerror(error.errno)})" if isinstance(error, OSError) and error.errno else ""

"""One connection of HTTP/1.1, with bounds that uvicorn leaves to a proxy: slow or endless heads, floods, slow readers.

They are held on the connection and not in the application, because the application never sees a request whose head
does not end, and does not learn whether what it sent is read.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from portal.server._gathered_writes import GatheredWrites
from portal.server._http_messages import MAX_HEAD_BYTES

if TYPE_CHECKING:
    from asyncio import TimerHandle, Transport

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

HEAD_S: Final = 30.0
"""The longest that a client may take to send the head of a request."""
REFUSED_S: Final = 2.0
"""How long a client that was refused may take to read why."""
SLOW_READER_S: Final = 30.0
"""A client has to read what waits for it, at most some 64 KiB, in this time: 2 KiB/s are too slow."""
MAX_PIPELINED: Final = 16
"""Requests that may wait on one connection for the one before: each costs a hundred times what it is on the wire."""

_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, giving up on clients that would hold it for ever."""

    _writes: GatheredWrites
    _is_in_head = True
    _is_refused = False
    _is_head_alone = True  # in what came last
    _head_bytes = 0
    _head_timer: TimerHandle | None = None
    _reader_timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Give the client time to send a first request."""
        self._writes = GatheredWrites(transport, self.loop)
        super().connection_made(cast("Transport", self._writes))
        self._head_timer = self.loop.call_later(HEAD_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and hold those of an unfinished head to their bounds."""
        if self._is_refused:
            return
        self._is_head_alone = True
        self._feed(data)
        if not self._is_in_head or self._is_refused:
            return
        if self._is_head_alone:
            self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self.transport.abort)

    def _feed(self, data: bytes) -> None:
        """Parse what came. A client that offers to upgrade is answered as if it did not (RFC 9110, section 7.8).

        The parser takes such a request to end with its head: it is read again without the offer, with the body behind.
        """
        self._unset_keepalive_if_required()
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                if self.parser.get_method() == b"CONNECT":
                    self.send_400_response("This is no proxy.")
                    return
                data = self._head_without_offer() + data[offer.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
            except httptools.HttpParserError:
                if self._is_refused:
                    self.transport.abort()
                else:
                    self.send_400_response("Invalid HTTP request received.")
                return
            else:
                return

    def _refuse_head(self) -> None:
        self._is_refused = True
        cycle = cast("RequestResponseCycle | None", self.cycle)  # there is none before the first request
        if cycle is not None and not cycle.response_complete:  # an answer is being written: no other after it
            cycle.keep_alive = False
            self.pipeline.clear()
            return
        # Closing at once would take the answer away from a client that is still sending.
        self.transport.write(_HEAD_TOO_LARGE)
        self.transport.write_eof()
        self.loop.call_later(REFUSED_S, self.transport.abort)

    def _head_without_offer(self) -> bytes:
        lines = [b"%b %b HTTP/1.1" % (self.parser.get_method(), self.url)]
        for name, value in self.headers:
            if name == b"connection":
                options = (option.strip() for option in value.split(b","))
                value = b", ".join(option for option in options if option.lower() != b"upgrade")  # noqa: PLW2901
            if name != b"upgrade":
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """End it, unless it is read again."""
        if self.parser.should_upgrade():
            return
        if len(self.pipeline) >= MAX_PIPELINED:
            self._is_refused = True
            raise ConnectionAbortedError("too many requests wait on this connection")  # stops the parser
        self._is_in_head = self._is_head_alone = False
        _stop(self._head_timer)
        self._head_timer = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request, unless it is read again."""
        self._is_head_alone = False
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Send the end of a response at once."""
        self._writes.flush()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Give the client time to read what waits for it."""
        super().pause_writing()
        if self._reader_timer is None:
            self._reader_timer = self.loop.call_later(SLOW_READER_S, self._reset)

    def resume_writing(self) -> None:
        """Take it that the client reads."""
        super().resume_writing()
        _stop(self._reader_timer)
        self._reader_timer = None

    def _reset(self) -> None:
        """End the connection at once: closed, the system would go on sending the MBs that it holds at the slow pace."""
        number = self.transport.get_extra_info("socket").fileno()
        # Of a duplicate: uvloop's own sockets take no options. Lingering for no time makes close() send RST.
        with (
            contextlib.suppress(OSError),  # no descriptor left
            socket.fromfd(number, socket.AF_INET, socket.SOCK_STREAM) as duplicate,
        ):
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the timers, and forget what nobody waits for."""
        super().connection_lost(exc)
        self.pipeline.clear()
        _stop(self._head_timer)
        self._head_timer = None
        _stop(self._reader_timer)
        self._reader_timer = None


def _stop(timer: TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()

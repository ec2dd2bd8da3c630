"""HTTP+SSE, the transport of MCP 2024-11-05: a stream of events for what the upstream says, a POST for each message."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from yarl import URL

from portal.upstream._channel import SessionLost
from portal.upstream._duplex import DuplexChannel
from portal.upstream._event_stream import EventReader
from portal.upstream._failures import TransportFailure
from portal.upstream._http_connections import origin_of
from portal.upstream._parsing import read_messages
from portal.wire import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from portal.upstream._background import Background
    from portal.upstream._channel import Loss
    from portal.upstream._event_stream import Event
    from portal.upstream._http import HttpClient
    from portal.upstream._http_connection import HttpResponse
    from portal.upstream._inbound import Inbound
    from portal.wire import Message

logger = logging.getLogger("portico.upstream")

_GET: Final = {"accept": "text/event-stream"}
_POST: Final = {"content-type": "application/json"}


@asynccontextmanager
async def sse_channel(
    http: HttpClient, url: URL, *, inbound: Inbound, loss: Loss, tasks: Background, server_id: str
) -> AsyncIterator[DuplexChannel]:
    """Open the stream and learn where messages go. Raises ``TransportFailure``."""
    response = await http.send("GET", url, headers=_GET)
    try:
        if response.status >= 400:
            raise await http.refusal(response)
        if response.content_type != "text/event-stream":
            raise TransportFailure(f"content type {response.content_type[:60]}", kind="not_mcp")
        stream = _Stream(http, url, response, inbound=inbound, loss=loss, server_id=server_id)
        channel = DuplexChannel(stream.send, inbound=inbound, loss=loss, server_id=server_id)
        waiting = await stream.find_endpoint()
        tasks.start_soon(stream.read, channel, waiting)
        yield channel
        stream.is_closing = True
    finally:
        response.close()


class _Stream:
    """The stream of one session, and the address that it named."""

    def __init__(
        self,
        http: HttpClient,
        url: URL,
        response: HttpResponse,
        *,
        inbound: Inbound,
        loss: Loss,
        server_id: str,
    ) -> None:
        self.is_closing = False
        self._http = http
        self._url = url
        self._endpoint = url
        self._response = response
        self._reader = EventReader(self._limit)
        self._inbound = inbound
        self._loss = loss
        self._server_id = server_id

    async def find_endpoint(self) -> list[Event]:
        """Read until the event that says where messages go; return those that came right after it."""
        while (events := await self._http.next_events(self._response, self._reader)) is not None:
            for number, event in enumerate(events):
                if event.type == "endpoint":
                    self._endpoint = self._joined(event.data)
                    return events[number + 1 :]
        raise TransportFailure("an event stream without an endpoint", kind="not_mcp")

    async def read(self, channel: DuplexChannel, first: Iterable[Event]) -> None:
        """Hand over what comes, until the stream ends."""
        cause, kind = "the event stream ended", None
        try:
            self._take(first, channel)
            while (events := await self._http.next_events(self._response, self._reader)) is not None:
                self._take(events, channel)
        except TransportFailure as failure:
            cause, kind = failure.phrase, failure.kind
        if not self.is_closing:
            channel.end(cause, too_large=kind == "too_large")

    async def send(self, message: Message) -> None:
        """Send a message. Raises ``TransportFailure`` or ``SessionLost``."""
        response = await self._http.send("POST", self._endpoint, headers=_POST, body=encode(message))
        if response.status == 404:
            response.leave()
            self._loss.note("the server no longer knows the session")
            raise SessionLost
        if response.status >= 400:
            raise await self._http.refusal(response)
        response.leave()

    def _limit(self) -> int:
        """Return how long an event may be now, as for a line of a process."""
        answer_bytes, list_bytes = self._http.max_answer_bytes, self._http.max_list_bytes
        return max(list_bytes, answer_bytes) if self._inbound.awaits_list else answer_bytes

    def _take(self, events: Iterable[Event], channel: DuplexChannel) -> None:
        for event in events:
            if event.type != "message" or not event.data:
                continue
            try:
                messages = read_messages(event.data)
            except TransportFailure as failure:
                channel.refuse_unread(event.data, failure)
                logger.warning("%s: an event was ignored: %s", self._server_id, failure.phrase)
                continue
            for message in messages:
                channel.take(message)

    def _joined(self, data: bytes) -> URL:
        try:
            endpoint = self._url.join(URL(data.decode().strip()))
            is_own = origin_of(endpoint) == origin_of(self._url)
        except ValueError:  # also of a host name that is none
            raise TransportFailure("an event stream whose endpoint is no address", kind="not_mcp") from None
        if not is_own:
            raise TransportFailure("an event stream whose endpoint is at another origin", kind="not_mcp")
        return endpoint

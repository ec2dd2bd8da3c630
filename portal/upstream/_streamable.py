"""Streamable HTTP towards an upstream, in both eras: one POST a request, answered by JSON or by a stream of events.

Handshake versions have a session besides: its id goes with every request, a GET stream brings what belongs to no
request, a broken stream is resumed after the last event that had an id, and a DELETE ends it (MCP 2025-11-25,
transports). MCP 2026-07-28 has none of these.
"""

from __future__ import annotations

import logging
import math
import re
import time
from typing import TYPE_CHECKING, Final

import anyio

from portal.upstream._channel import SessionLost
from portal.upstream._event_stream import EventReader
from portal.upstream._failures import TransportFailure
from portal.upstream._parsing import read_messages
from portal.wire import CANCELLATION, RpcError, encode, notification_message, request_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yarl import URL

    from portal.upstream._background import Background
    from portal.upstream._channel import Loss
    from portal.upstream._event_stream import Event
    from portal.upstream._exchange import Exchange
    from portal.upstream._http import HttpClient
    from portal.upstream._http_connection import HttpResponse
    from portal.upstream._inbound import Inbound
    from portal.wire import Message, RequestId
    from typegen import JsonObject

logger = logging.getLogger("portico.upstream")

CANCEL_S: Final = 5.0
"""How long an upstream may take to hear that a request was given up; whoever gave it up does not wait for that."""
CLOSE_S: Final = 2.0
RETRY_S: Final = 1.0
"""The pause before a stream is resumed, where the upstream named none."""
MIN_RETRY_S: Final = 0.1
"""The least pause that an upstream can name: with none, a stream that ends at once would be resumed without end."""
MAX_RETRY_S: Final = 60.0
MAX_RESUMPTIONS: Final = 5
"""Attempts in a row to resume the stream of a request that bring nothing new."""

_POST: Final = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
_GET: Final = {"accept": "text/event-stream"}
_OF_HTTP: Final = frozenset({401, 403, 429, 502, 503, 504})
"""Statuses that say more than an error of JSON-RPC beside them."""
# What servers say of a session that they do not know, with whichever status.
_NO_SESSION: Final = re.compile(
    r"session.{0,60}(?:not found|not initialized|terminated|expired|unknown|invalid|does not exist)"
    r"|(?:no valid|no such|invalid|unknown|expired) session",
    re.IGNORECASE | re.DOTALL,
)
_SAYS_ONLY_SO: Final = re.compile(r"session (?:not found|terminated|expired)\.?", re.IGNORECASE)


class StreamableChannel:
    """Streamable HTTP with one upstream."""

    is_http = True

    def __init__(self, http: HttpClient, url: URL, *, inbound: Inbound, loss: Loss, tasks: Background) -> None:
        self._http = http
        self._url = url
        self._inbound = inbound
        self._loss = loss
        self._tasks = tasks
        self._session_id: str | None = None
        self._is_gone = False  # requests that are still on their way with the session's id meet the same answer
        self._is_modern = False
        self._post_headers: dict[str, str] = _POST
        self._listening = anyio.CancelScope()
        inbound.send = self.notify

    def settle(self, version: str, *, is_modern: bool) -> None:
        """Learn the version; from now on it goes with every request, as does the session's id."""
        self._is_modern = is_modern
        own = {"mcp-protocol-version": version}
        if self._session_id is not None:
            own["mcp-session-id"] = self._session_id
        self._post_headers = {**_POST, **own}

    def listen(self) -> None:
        """Open the stream of a session of the handshake versions, for what belongs to no request."""
        if not self._is_modern:
            self._tasks.start_soon(self._listen)

    async def request(self, exchange: Exchange, params: JsonObject, *, headers: Mapping[str, str]) -> JsonObject:
        """Send a request and return its result, as a ``Channel`` does."""
        body = encode(request_message(exchange.request_id, exchange.method, params))
        sent_headers = {**self._post_headers, **headers} if headers else self._post_headers
        response: HttpResponse | None = None
        try:
            response = await self._http.send("POST", self._url, headers=sent_headers, body=body)
            if response.status >= 400:
                raise await self._http.refusal(response)
            if exchange.method == "initialize":
                self._session_id = response.headers.get("mcp-session-id")
            if response.content_type != "text/event-stream":
                return await self._from_body(response, exchange)
            stream, response = response, None
            return await self._from_stream(stream, exchange)
        except TransportFailure as failure:
            raise self._judged(failure) from failure
        except RpcError as error:
            raise self._judged_error(error) from error
        except anyio.get_cancelled_exc_class():
            if not self._is_modern and exchange.method != "initialize":
                self._tasks.start_soon(self._tell_cancelled, exchange.request_id)
            raise
        finally:
            # For MCP 2026-07-28 this is what cancels a request; an answer that was read has left its connection.
            if response is not None:
                response.close()

    async def notify(self, message: Message) -> None:
        """Send a notification, or an answer."""
        response = await self._http.send("POST", self._url, headers=self._post_headers, body=encode(message))
        if response.status >= 400:
            raise self._judged(await self._http.refusal(response))
        response.leave()

    async def close(self) -> None:
        """End the session there, if there is one, within a bounded time."""
        self._listening.cancel()
        if self._session_id is None or self._is_gone:
            return
        with anyio.move_on_after(CLOSE_S, shield=True):
            try:
                response = await self._http.send("DELETE", self._url, headers=self._post_headers)
                response.close()
            except TransportFailure as failure:
                logger.debug("a session could not be ended: %s", failure.phrase)

    async def _from_body(self, response: HttpResponse, exchange: Exchange) -> JsonObject:
        content_type = response.content_type
        if content_type != "application/json" and response.content_length != 0 and response.status == 200:
            raise TransportFailure(f"content type {content_type[:60]}", kind="not_mcp")
        body = await self._http.read(response, self._limit(exchange))
        for message in read_messages(body) if body else ():
            result = self._take(message, exchange)
            if result is not None:
                return result
        raise TransportFailure("no answer to the request", kind="not_mcp")

    async def _from_stream(self, response: HttpResponse, exchange: Exchange) -> JsonObject:
        """Read the stream of a request until the answer; where it breaks, resume it after the last event with an id."""
        position, attempts = Position(), 0
        stream: HttpResponse | None = response
        while True:
            if stream is not None:
                position.is_new = False
                try:
                    result = await self._answer_in(stream, exchange, position)
                except TransportFailure as failure:
                    if failure.kind != "unknown" or self._is_modern or position.last_id is None:
                        raise
                else:
                    if result is not None:
                        return result
            attempts = 0 if stream is not None and position.is_new else attempts + 1
            if self._is_modern or position.last_id is None or attempts > MAX_RESUMPTIONS:
                raise TransportFailure("the stream ended without an answer", kind="unknown")
            await anyio.sleep(position.retry_s)
            stream = await self._resumed(position.last_id)

    async def _answer_in(self, response: HttpResponse, exchange: Exchange, position: Position) -> JsonObject | None:
        """Read one stream; None when it ended without the answer."""
        reader = EventReader(lambda: self._limit(exchange))
        is_answered = False
        try:
            while (events := await self._http.next_events(response, reader)) is not None:
                for event in events:
                    position.note(event)
                    result = self._take_event(event, exchange)
                    if result is not None:
                        is_answered = True
                        return result
        except RpcError:
            is_answered = True
            raise
        else:
            return None
        finally:
            if is_answered:
                response.leave()
            else:
                response.close()

    async def _resumed(self, last_id: str) -> HttpResponse | None:
        """Open the stream again after an event; None when that may work later."""
        headers = {**self._post_headers, **_GET, "last-event-id": last_id}
        try:
            response = await self._http.send("GET", self._url, headers=headers)
        except TransportFailure:
            return None
        if response.status == 200 and response.content_type == "text/event-stream":
            return response
        response.close()
        if response.status >= 500:
            return None
        raise TransportFailure("the stream broke and could not be resumed", kind="unknown")

    async def _listen(self) -> None:
        """Keep the session's own stream open, resumed after its last event, until the session ends.

        Proxies cut quiet streams: one that lasted longer than the pause before it was no failure.
        """
        position, pause_s = Position(), RETRY_S
        with self._listening:
            while True:
                position.is_new, position.opened_at = False, math.inf
                try:
                    if not await self._listened(position):
                        return
                except TransportFailure as failure:
                    if failure.kind == "unsent":
                        self._loss.suspicion.set()
                    logger.debug("the stream of a session broke: %s", failure.phrase)
                is_good = position.is_new or time.monotonic() - position.opened_at >= pause_s
                pause_s = position.retry_s if is_good else min(pause_s * 2, MAX_RETRY_S)
                await anyio.sleep(pause_s)

    async def _listened(self, position: Position) -> bool:
        """Read the session's own stream until it ends; return whether it is worth coming back."""
        headers = {**self._post_headers, **_GET}
        if position.last_id is not None:
            headers["last-event-id"] = position.last_id
        response = await self._http.send("GET", self._url, headers=headers)
        try:
            if response.status != 200 or response.content_type != "text/event-stream":
                if response.status == 404 and self._session_id is not None:
                    self._lose()
                return response.status >= 500 or response.status == 429  # with any other, it offers none
            if position.is_again and position.last_id is None:
                self._inbound.on_gap()
            position.is_again, position.opened_at = True, time.monotonic()
            reader = EventReader(lambda: self._http.max_answer_bytes)
            while (events := await self._http.next_events(response, reader)) is not None:
                for event in events:
                    position.note(event)
                    self._take_event(event, None)
            return True
        finally:
            response.close()

    def _take_event(self, event: Event, exchange: Exchange | None) -> JsonObject | None:
        if not event.data or event.type != "message":
            return None
        for message in read_messages(event.data):
            result = self._take(message, exchange)
            if result is not None:
                return result
        return None

    def _take(self, message: Message, exchange: Exchange | None) -> JsonObject | None:
        """Take a message; return the result that it holds for the request. Raises ``RpcError``, likewise."""
        if "method" in message:
            self._inbound.take(message, exchange)
            return None
        if exchange is None:
            return None
        answered = message.get("id")
        if str(answered) != str(exchange.request_id) and not (answered is None and "error" in message):
            raise TransportFailure("the answer to another request", kind="not_mcp")
        if "error" in message:
            raise RpcError.of(message["error"])
        result = message.get("result")
        if not isinstance(result, dict):
            raise TransportFailure("an answer without a result", kind="not_mcp")
        return result

    def _limit(self, exchange: Exchange) -> int:
        return self._http.max_list_bytes if exchange.method.endswith("/list") else self._http.max_answer_bytes

    async def _tell_cancelled(self, request_id: RequestId) -> None:
        with anyio.move_on_after(CANCEL_S):
            try:
                gone: JsonObject = {"requestId": request_id}
                await self.notify(notification_message(CANCELLATION, gone))
            except (TransportFailure, SessionLost, RpcError) as error:
                logger.debug("a cancellation was not taken (%s)", type(error).__name__)

    def _judged(self, failure: TransportFailure) -> Exception:
        """Return what a failure means on this session."""
        if self._session_id is not None and not self._is_modern:
            says_so = failure.error is not None and _NO_SESSION.search(failure.error.message) is not None
            if failure.status == 404 or (failure.status in {400, 410, 503} and says_so):
                return self._lose()
        if failure.kind in {"unsent", "unknown"}:
            self._loss.suspicion.set()
        return failure.error if failure.error is not None and failure.status not in _OF_HTTP else failure

    def _judged_error(self, error: RpcError) -> Exception:
        # Some servers say with status 200 that they do not know the session.
        is_servers_own = -32099 <= error.code <= -32000 or error.code == -32600
        if self._session_id is not None and is_servers_own and _SAYS_ONLY_SO.fullmatch(error.message.strip()):
            return self._lose()
        return error

    def _lose(self) -> SessionLost:
        self._is_gone = True
        self._loss.note("the server no longer knows the session")
        return SessionLost()


class Position:
    """How far a stream was read, and when to come back for more."""

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.retry_s = RETRY_S
        self.is_new = False
        self.is_again = False
        self.opened_at = math.inf

    def note(self, event: Event) -> None:
        self.is_new = True
        if event.id is not None:
            self.last_id = event.id
        if event.retry_ms is not None:
            self.retry_s = min(max(event.retry_ms / 1000, MIN_RETRY_S), MAX_RETRY_S)

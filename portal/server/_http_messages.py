"""HTTP as MCP uses it: bodies in within their bounds, JSON out, and refusals in the shape that clients show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portal.wire import INVALID_REQUEST, RpcError, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.types import Receive, Scope, Send

    from portal.wire import Message
    from typegen import JsonValue

MAX_HEAD_BYTES: Final = 2**16
"""All headers of a request; common servers take 8 to 64 KiB."""
MAX_BODY_BYTES: Final = 4 * 2**20
"""One request: the arguments of one tool call, or a program, which is bounded further on its own."""
MAX_SKIPPED_BYTES: Final = 2**28
"""A body that is refused is read and thrown away: most clients read no answer before they have sent everything."""
PART_BYTES: Final = 2**18
"""A large answer goes out in parts, so that a client that does not read keeps this much in memory and not all of it."""

JSON: Final = b"application/json"
EVENTS: Final = b"text/event-stream"

Headers = list[tuple[bytes, bytes]]


class HttpRefusal(Exception):  # noqa: N818 -- an answer, not a mistake of ours
    """Raised when a request is answered with an HTTP error; its body is a JSON-RPC error, which clients show."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: int = INVALID_REQUEST,
        data: JsonValue = None,
        request_id: JsonValue = None,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        error = RpcError(code, message, data).as_json()
        self.body = encode({"jsonrpc": "2.0", "id": request_id, "error": error})
        self.headers = tuple(headers)

    async def send(self, send: Send) -> None:
        """Answer with it."""
        await send_json(send, self.status, (self.body,), self.headers)


class ClientGone(Exception):  # noqa: N818 -- likewise
    """Raised when the connection ended before the request was there as a whole."""


@dataclass(slots=True, eq=False)
class HttpRequest:
    """One HTTP request to an endpoint. ``headers`` has one value a name; ``raw_headers`` has all."""

    method: str
    query: bytes
    raw_headers: Headers
    headers: dict[bytes, bytes]
    receive: Receive
    send: Send

    @classmethod
    def of(cls, scope: Scope, receive: Receive, send: Send) -> HttpRequest:
        """Read the head of a request."""
        raw: Headers = scope["headers"]
        return cls(scope["method"], scope["query_string"], raw, dict(raw), receive, send)

    def check_head(self) -> None:
        """Raise ``HttpRefusal`` when there is too much in the headers."""
        size = 0
        for name, value in self.raw_headers:
            size += len(name) + len(value)
        if size > MAX_HEAD_BYTES:
            raise HttpRefusal(431, f"The headers of a request have at most {MAX_HEAD_BYTES} bytes", headers=CLOSE)

    def accepts(self, media_type: bytes) -> bool:
        """Whether the client says that it takes this type (RFC 9110, section 12.5.1)."""
        accept = self.headers.get(b"accept", b"").lower()
        if media_type in accept or b"*/*" in accept:
            return True
        return media_type.partition(b"/")[0] + b"/*" in accept

    @property
    def prefers_events(self) -> bool:
        """Whether the client names event streams before plain JSON, as one does that would rather have those."""
        accept = self.headers.get(b"accept", b"").lower()
        return 0 <= accept.find(EVENTS) < accept.find(JSON)

    def check_post(self) -> None:
        """Raise ``HttpRefusal`` for a POST that says that it is no message, or cannot take both kinds of answer."""
        if self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != JSON:
            raise HttpRefusal(415, "Send a message as application/json")
        if not (self.accepts(JSON) and self.accepts(EVENTS)):
            raise HttpRefusal(406, "Accept both application/json and text/event-stream")

    async def message(self) -> Message | list[JsonValue]:
        """Return the message, or the batch, that the body is, however long that takes (see ``Exchanges``).

        Raises as ``body``, and ``HttpRefusal`` for no JSON.
        """
        try:
            return decode(await self.body())
        except RpcError as error:
            raise HttpRefusal(400, error.message, code=error.code) from None

    async def body(self) -> bytes:
        """Return the body. Raises ``HttpRefusal`` for one that is too large, ``ClientGone``."""
        declared = self.headers.get(b"content-length")
        if declared is not None and int(declared) > MAX_BODY_BYTES:
            raise _too_large(is_closing=int(declared) > MAX_SKIPPED_BYTES)
        body = bytearray()
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                raise ClientGone
            part: bytes = message.get("body", b"")
            if not body and not message.get("more_body", False):
                return part
            body += part
            if len(body) > MAX_BODY_BYTES:
                raise _too_large(is_closing=False)
            if not message.get("more_body", False):
                return bytes(body)


CLOSE: Final = ((b"connection", b"close"),)


def _too_large(*, is_closing: bool) -> HttpRefusal:
    message = f"A message has at most {MAX_BODY_BYTES} bytes"
    return HttpRefusal(413, message, headers=CLOSE if is_closing else ())


async def send_json(
    send: Send, status: int, body: Sequence[bytes], headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Answer with JSON, whose text may be given in pieces: that spares copying a large one."""
    length = sum(map(len, body))
    fields: Headers = [(b"content-type", JSON), (b"content-length", b"%d" % length), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    if length <= PART_BYTES:
        await send({"type": "http.response.body", "body": b"".join(body)})
        return
    for piece in body:
        rest = memoryview(piece)
        while rest:
            await send({"type": "http.response.body", "body": rest[:PART_BYTES], "more_body": True})
            rest = rest[PART_BYTES:]
    await send({"type": "http.response.body", "body": b""})


async def send_empty(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Answer without a body."""
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0"), *headers]})
    await send({"type": "http.response.body", "body": b""})

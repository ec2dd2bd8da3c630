"""HTTP/1.1 with as little as possible around it, for a thousand connections at once and for leaving in their midst."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.portal.clients.conftest import BOTH, modern_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status, headers in lower case, and the body without its transfer coding."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def answer(self) -> Any:  # noqa: ANN401 -- a message may hold anything
        """The body as JSON, of an event stream the last event."""
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            return json.loads(self.body.rpartition(b"data: ")[2])
        return json.loads(self.body)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Hold a connection, which is closed on leaving."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def exchange(
    port: int, message: object, headers: Mapping[str, str] | None = None, *, method: str = "POST"
) -> Reply:
    """Send one message on a connection of its own and return what comes back.

    Raises ``ConnectionResetError`` when the answer breaks off.
    """
    async with connected(port) as (reader, writer):
        writer.write(written(message, {**(headers or {}), "connection": "close"}, method=method))
        reply = parsed(await reader.read())
    if len(reply.body) < int(reply.headers.get("content-length", 0)):
        raise ConnectionResetError("the answer broke off")
    return reply


def modern_call(name: str, **arguments: object) -> tuple[object, dict[str, str]]:
    """A call of a tool in MCP 2026-07-28, and its headers."""
    return modern_request("tools/call", {"name": name, "arguments": arguments})


def written(message: object, headers: Mapping[str, str], *, method: str = "POST") -> bytes:
    """Write a request."""
    body = b"" if message is None else json.dumps(message).encode()
    fields = {
        "host": "127.0.0.1",
        "accept": BOTH,
        "content-type": "application/json",
        "content-length": str(len(body)),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} /mcp HTTP/1.1\r\n{head}\r\n".encode() + body


def parsed(data: bytes) -> Reply:
    """Read an answer that is there as a whole."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        rest, body = body, b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return Reply(int(first.split(" ")[1]) if first else 0, headers, body)

"""HTTP+SSE, the transport of MCP 2024-11-05, for clients that speak nothing newer.

A GET opens the stream over which the client gets everything; its first event names the address to POST messages to,
which belongs to that stream and to the user who opened it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

from portal.server._connection import Connection
from portal.server._event_stream import EventStream, event
from portal.server._http_messages import ClientGone, HttpRefusal, HttpRequest, send_empty

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from portal.server._endpoint import Endpoint
    from portal.server._exchanges import Exchanges
    from portal.server._server import ServedPortal

FINISH_S: Final = 18.0
"""How long calls in flight may go on when the portal stops."""


class SseEndpoint:
    """One portal over HTTP+SSE, at ``{prefix}/sse`` and ``{prefix}/messages/``."""

    def __init__(
        self,
        portal: ServedPortal,
        endpoint: Endpoint,
        exchanges: Exchanges,
        *,
        prefix: str,
        on_close: Callable[[str], None],
    ) -> None:
        self._portal = portal
        self._endpoint = endpoint
        self._exchanges = exchanges
        self._messages_path = f"{prefix}/messages/"
        self._on_close = on_close
        self._connections: dict[str, tuple[str, Connection]] = {}

    def __len__(self) -> int:
        return len(self._connections)

    async def streams(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the address that clients connect to. An ASGI application."""
        request = HttpRequest.of(scope, receive, send)
        try:
            await self._stream(request, self._endpoint.user(scope))
        except HttpRefusal as refusal:
            await refusal.send(send)

    async def messages(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the addresses that clients POST to. An ASGI application."""
        request = HttpRequest.of(scope, receive, send)
        try:
            await self._message(request, self._endpoint.user(scope), scope["path"].rpartition("/")[2])
        except HttpRefusal as refusal:
            await refusal.send(send)
        except ClientGone:
            return

    async def _stream(self, request: HttpRequest, user: str) -> None:
        request.check_head()
        if request.method != "GET":
            raise HttpRefusal(405, "Open the stream with GET", headers=((b"allow", b"GET"),))
        self._exchanges.check_standing()
        view = self._endpoint.view(request.query)
        stream = EventStream(request.send)

        async def write(text: bytes) -> None:
            await stream.write(event(text))

        async with anyio.create_task_group() as tasks:
            connection = Connection(self._portal, user=user, view=view, write=write, tasks=tasks)
            self._connections[connection.client] = (user, connection)
            try:
                address = self._messages_path + connection.client
                await stream.write(event(address.encode(), name=b"endpoint"))
                if await self._exchanges.hold_open(stream, request):
                    await connection.finish(FINISH_S)
                    await stream.end()
            finally:
                del self._connections[connection.client]
                connection.close()
                self._on_close(connection.client)

    async def _message(self, request: HttpRequest, user: str, client: str) -> None:
        request.check_head()
        if request.method != "POST":
            raise HttpRefusal(405, "Send messages with POST", headers=((b"allow", b"POST"),))
        owner, connection = self._connections.get(client, ("", None))
        if connection is None or owner != user:
            raise HttpRefusal(404, "There is no such stream, or it has ended")
        message = await self._exchanges.message_of(request)
        await send_empty(request.send, 202)
        await connection.take(message)

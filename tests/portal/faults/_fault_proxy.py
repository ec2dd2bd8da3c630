"""A TCP proxy on loopback that does to what passes what a network, a proxy or a dying server does.

The faults are numbered in ``_numbers.py``.
"""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
import anyio.abc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import SocketStream

_CHUNK_BYTES = 65_536
_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to what passes; the default lets everything through.

    ``answers_nothing`` takes what is sent and never passes it on. After ``answer_bytes`` more of answers the connection
    is reset. ``drip_bytes`` of an answer pass in each ``every_s`` seconds.
    """

    answers_nothing: bool = False
    answer_bytes: int | None = None
    drip_bytes: int | None = None
    every_s: float = 0.1


@dataclass(slots=True)
class FaultProxy:
    """The proxy: ``fault`` counts from the moment on in which it is set; ``connections`` counts all there were.

    While it ``is_down``, connections are reset as soon as they are made.
    """

    port: int
    target_port: int
    path: str
    fault: Fault = field(default_factory=Fault)
    is_down: bool = False
    connections: int = 0
    open: dict[SocketStream, anyio.CancelScope] = field(default_factory=dict)

    def url(self) -> str:
        """The address at which the server behind it is reached."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    def cut(self) -> None:
        """Reset every connection that is open."""
        for scope in list(self.open.values()):
            scope.cancel()

    async def _serve(self, client: SocketStream) -> None:
        self.connections += 1
        async with client:
            if self.is_down:
                _reset(client)
                return
            try:
                with anyio.CancelScope() as scope:
                    self.open[client] = scope
                    await self._carry(client)
            finally:
                self.open.pop(client, None)

    async def _carry(self, client: SocketStream) -> None:
        try:
            async with await anyio.connect_tcp("127.0.0.1", self.target_port) as server:
                is_reset = True  # also when it is cut
                try:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(self._pass_on, client, server, tasks.cancel_scope)
                        is_reset = await self._answer(server, client)
                        tasks.cancel_scope.cancel()
                finally:
                    if is_reset:
                        _reset(client)
        except OSError:
            _reset(client)  # there is nobody behind the proxy

    async def _pass_on(self, client: SocketStream, server: SocketStream, over: anyio.CancelScope) -> None:
        try:
            while True:
                data = await client.receive(_CHUNK_BYTES)
                if not self.fault.answers_nothing:
                    await server.send(data)
        except _GONE:
            over.cancel()

    async def _answer(self, server: SocketStream, client: SocketStream) -> bool:
        """Pass answers on until the server ends them; return whether the connection is to be reset."""
        fault, left = self.fault, self.fault.answer_bytes
        try:
            while True:
                data = await server.receive(_CHUNK_BYTES)
                if self.fault is not fault:
                    fault, left = self.fault, self.fault.answer_bytes
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                await self._send(client, data, fault)
                if left == 0:
                    return True
        except _GONE:
            return False

    async def _send(self, client: SocketStream, data: bytes, fault: Fault) -> None:
        if fault.drip_bytes is None:
            await client.send(data)
            return
        for at in range(0, len(data), fault.drip_bytes):
            await client.send(data[at : at + fault.drip_bytes])
            await anyio.sleep(fault.every_s)


@asynccontextmanager
async def fault_proxy(target: str, fault: Fault | None = None) -> AsyncIterator[FaultProxy]:
    """Stand before the server at the address ``target`` while the block is open."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = int(listener.extra(anyio.abc.SocketAttribute.local_port))
    parts = urlsplit(target)
    proxy = FaultProxy(port=port, target_port=parts.port or 80, path=parts.path, fault=fault or Fault())
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, proxy._serve)
        yield proxy
        tasks.cancel_scope.cancel()


def _reset(stream: SocketStream) -> None:
    """Have the closing of ``stream``, which follows, reach the other side as a reset."""
    raw = stream.extra(anyio.abc.SocketAttribute.raw_socket)
    if raw.fileno() >= 0:  # else it is closed already
        # Lingering for no time makes close() send RST in place of FIN.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

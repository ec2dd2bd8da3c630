"""A TCP proxy on loopback that does to what passes what a network, a proxy or a dying server does.

The faults are numbered in SECURITY.md section 4.2.
"""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
import anyio.abc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import SocketStream

_CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to a connection; the default lets everything through.

    ``answers_nothing`` takes the request and never passes it on. After ``answer_bytes`` of the answer the connection is
    reset or, with ``is_clean``, closed. ``drip_bytes`` of an answer pass in each ``every_s`` seconds. ``garbage`` is
    sent in the answer's place. ``lasts_s`` is how long a connection may live.
    """

    answers_nothing: bool = False
    answer_bytes: int | None = None
    is_clean: bool = False
    drip_bytes: int | None = None
    every_s: float = 0.1
    garbage: bytes = b""
    lasts_s: float | None = None


@dataclass(slots=True)
class FaultProxy:
    """The proxy: ``fault`` counts from the next connection on; ``open`` holds those that live."""

    port: int
    target_port: int
    fault: Fault = field(default_factory=Fault)
    connections: int = 0
    open: dict[SocketStream, anyio.CancelScope] = field(default_factory=dict)

    def url(self, path: str = "/mcp") -> str:
        """The address of the server behind it."""
        return f"http://127.0.0.1:{self.port}{path}"

    def cut(self) -> None:
        """Reset every connection that is open."""
        for stream, scope in list(self.open.items()):
            _reset(stream)
            scope.cancel()

    async def _serve(self, client: SocketStream) -> None:
        self.connections += 1
        fault = self.fault
        async with client:
            try:
                with anyio.move_on_after(fault.lasts_s) as scope:
                    self.open[client] = scope
                    await self._carry(client, fault)
                if scope.cancelled_caught:
                    _reset(client)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError):
                pass  # either side has gone, which is what this proxy is for
            finally:
                self.open.pop(client, None)

    async def _carry(self, client: SocketStream, fault: Fault) -> None:
        if fault.answers_nothing or fault.garbage:
            await client.receive(_CHUNK_BYTES)
            if fault.garbage:
                await client.send(fault.garbage)
                return
            while True:
                await client.receive(_CHUNK_BYTES)
        async with await anyio.connect_tcp("127.0.0.1", self.target_port) as server, anyio.create_task_group() as tasks:
            tasks.start_soon(_pass_on, client, server, tasks.cancel_scope)
            tasks.start_soon(_answer, server, client, fault, tasks.cancel_scope)


@asynccontextmanager
async def fault_proxy(target_port: int, fault: Fault | None = None) -> AsyncIterator[FaultProxy]:
    """Stand before the server on ``target_port`` while the block is open."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = int(listener.extra(anyio.abc.SocketAttribute.local_port))
    proxy = FaultProxy(port=port, target_port=target_port, fault=fault or Fault())
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, proxy._serve)
        yield proxy
        tasks.cancel_scope.cancel()


async def _pass_on(source: SocketStream, target: SocketStream, over: anyio.CancelScope) -> None:
    try:
        while True:
            await target.send(await source.receive(_CHUNK_BYTES))
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        over.cancel()


async def _answer(server: SocketStream, client: SocketStream, fault: Fault, over: anyio.CancelScope) -> None:
    left = fault.answer_bytes
    try:
        while left is None or left > 0:
            data = await server.receive(min(_CHUNK_BYTES, left or _CHUNK_BYTES))
            if left is not None:
                left -= len(data)
            if fault.drip_bytes is None:
                await client.send(data)
                continue
            for at in range(0, len(data), fault.drip_bytes):
                await client.send(data[at : at + fault.drip_bytes])
                await anyio.sleep(fault.every_s)
        if not fault.is_clean:
            _reset(client)
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    over.cancel()


def _reset(stream: SocketStream) -> None:
    """Have the closing of ``stream``, which follows, reach the other side as a reset."""
    raw = stream.extra(anyio.abc.SocketAttribute.raw_socket)
    # Lingering for no time makes close() send RST in place of FIN.
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

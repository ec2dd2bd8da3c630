"""Ask an MCP endpoint as often as it answers, over raw sockets; run in a process of its own.

Reads ``{"url", "era": "legacy" | "modern", "clients", "method", "params", "warm", "count"}`` from standard input, says
when it is warm, and on the next line measures: ``{"seconds", "latencies", "bytes"}``. ``{"url", "sessions"}`` opens so
many sessions, each with its standing stream, and holds them until the next line; ``{"url", "try": params}`` says
whether a call is answered.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import orjson
import uvloop

Json = dict[str, Any]
MODERN = "2026-07-28"


class Client:
    """One connection that is kept, and the requests that go over it one after the other."""

    def __init__(self, url: str, era: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._target = parts.path + (f"?{parts.query}" if parts.query else "")
        self._era = era
        self._session = ""
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> None:
        """Connect, and shake hands where that is how it begins."""
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=2**26)
        if self._era == "legacy":
            about = {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "load", "version": "1"},
            }
            _, headers, _ = await self._exchange(self._request("initialize", about))
            self._session = headers["mcp-session-id"]
            noted = orjson.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"})
            await self._exchange(self._head(len(noted)) + noted)

    async def stand(self) -> None:
        """Open the standing stream, and leave it open."""
        head = self._head(0).replace(b"POST ", b"GET ", 1).replace(b"content-length: 0\r\n", b"")
        self._writer.write(head)
        await self._reader.readuntil(b"\r\n\r\n")

    def close(self) -> None:
        """Disconnect."""
        self._writer.close()

    def prepared(self, method: str, params: Json) -> bytes:
        """Return a request as it goes over the wire."""
        if self._era == "modern":
            meta = {
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "load", "version": "1"},
            }
            params = {**params, "_meta": meta}
        return self._request(method, params)

    async def ask(self, request: bytes) -> bytes:
        """Send a request and return the body of its answer, which is no error."""
        status, _, body = await self._exchange(request)
        if status != 200 or b'"result"' not in body:
            raise RuntimeError(f"{status}: {body[:300]!r}")
        return body

    def _request(self, method: str, params: Json) -> bytes:
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        return self._head(len(body), method, str(params.get("name", ""))) + body

    def _head(self, length: int, method: str = "", name: str = "") -> bytes:
        lines = [
            f"POST {self._target} HTTP/1.1",
            f"host: {self._host}:{self._port}",
            "content-type: application/json",
            "accept: application/json, text/event-stream",
            f"content-length: {length}",
        ]
        if self._era == "modern":
            lines += [
                f"mcp-protocol-version: {MODERN}",
                f"mcp-method: {method}",
                *([f"mcp-name: {name}"] if name else []),
            ]
        elif self._session:
            lines += ["mcp-protocol-version: 2025-11-25", f"mcp-session-id: {self._session}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def _exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:]) if name}
        body = bytearray()
        if "content-length" in headers:
            body += await self._reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                body += (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readuntil(b"\r\n")
        return int(head[0].split()[1]), headers, bytes(body)


async def measure(asked: Json) -> Json:
    """Ask as often as ``count`` says, over all clients together."""
    clients = [Client(asked["url"], asked["era"]) for _ in range(asked["clients"])]
    for client in clients:
        await client.open()
    latencies: list[float] = []
    size = 0

    async def run(client: Client, count: int, *, is_counted: bool) -> None:
        nonlocal size
        request = client.prepared(asked["method"], asked["params"])
        for _ in range(count):
            start = time.perf_counter()
            body = await client.ask(request)
            if is_counted:
                latencies.append(time.perf_counter() - start)
                size = len(body)

    async def all_clients(count: int, *, is_counted: bool) -> float:
        start = time.perf_counter()
        await asyncio.gather(*(run(client, count // len(clients), is_counted=is_counted) for client in clients))
        return time.perf_counter() - start

    await all_clients(asked["warm"], is_counted=False)
    sys.stdout.write("warm\n")
    sys.stdout.flush()
    sys.stdin.readline()
    seconds = await all_clients(asked["count"], is_counted=True)
    for client in clients:
        client.close()
    return {"seconds": seconds, "latencies": latencies, "bytes": size}


async def hold(asked: Json) -> Json:
    """Hold sessions open until the next line."""
    clients = [Client(asked["url"], "legacy") for _ in range(asked["sessions"])]
    start = time.perf_counter()
    for client in clients:
        await client.open()
        await client.stand()
    seconds = time.perf_counter() - start
    sys.stdout.write("open\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for client in clients:
        client.close()
    return {"seconds": seconds}


async def is_answered(asked: Json) -> bool:
    """Say whether a call is answered with a result that is no error."""
    client = Client(asked["url"], "modern")
    await client.open()
    try:
        return b'"isError":true' not in await client.ask(client.prepared("tools/call", asked["try"]))
    except RuntimeError:
        return False
    finally:
        client.close()


def main() -> None:
    """Answer one line after the other."""
    for line in sys.stdin:
        asked = json.loads(line)
        work = hold if "sessions" in asked else is_answered if "try" in asked else measure
        answer = uvloop.run(work(asked))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


main()

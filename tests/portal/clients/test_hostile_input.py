"""Fault 26, and others who send what no client sends: refused before it costs anything."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from portal.server._http_protocol import MAX_PIPELINED
from tests.portal.clients.conftest import MODERN, modern_request, request
from tests.portal.conftest import until
from tests.portal.test_serve import portal_process

if TYPE_CHECKING:
    from tests.portal.clients.conftest import RawAt
    from tests.portal.conftest import PortalAt

MIB = 2**20


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b'"a"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b'{"jsonrpc":"2.0","id":1}'],
    ids=["empty", "open", "null", "text", "no UTF-8", "deep lists", "deep objects", "neither"],
)
@pytest.mark.parametrize("headers", [{}, {"mcp-protocol-version": MODERN}], ids=["handshake", "modern"])
async def test_what_is_no_message_is_400(
    portal_at: PortalAt, raw_client: RawAt, body: bytes, headers: dict[str, str]
) -> None:
    async with portal_at() as (_, origin), raw_client(origin) as raw:
        if not headers:
            await raw.begin()
        response = await raw.post(body, headers)

    assert response.status_code == 400
    assert response.json()["error"]["code"] in {-32700, -32600}
    assert response.json()["id"] is None


@pytest.mark.parametrize("version", ["2025-03-26", "2025-11-25"])
async def test_a_batch_of_ten_thousand_is_refused_as_a_whole(
    portal_at: PortalAt, raw_client: RawAt, version: str
) -> None:
    async with portal_at() as (_, origin), raw_client(origin) as raw:
        await raw.begin(version)
        response = await raw.post([request("ping", {}, number) for number in range(10_000)])

    assert response.status_code == 400


@pytest.mark.parametrize("request_id", [True, 1.5, [1], {"a": 1}, None])
async def test_an_id_is_a_string_or_an_integer(portal_at: PortalAt, raw_client: RawAt, request_id: object) -> None:
    body, headers = modern_request("tools/list", request_id=request_id)
    async with portal_at() as (_, origin), raw_client(origin) as raw:
        modern = await raw.post(body, headers)
        await raw.begin()
        handshake = await raw.post(request("tools/list", {}, request_id))

    assert (modern.status_code, handshake.status_code) == (400, 400)


def begun(port: int, path: str = "/mcp") -> bytes:
    """A request whose body does not come."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    return f"{head}accept: application/json, text/event-stream\r\ncontent-length: 20\r\n\r\n".encode()


CLOSING = b"\r\nconnection: close\r\n\r\n"


async def received_after(port: int, *parts: bytes) -> bytes:
    """Send these one after the other and return all that comes until the portal closes the connection."""
    received = b""
    with anyio.fail_after(20), contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            for part in parts:
                await stream.send(part)
                await anyio.sleep(0.1)
            while True:
                received += await stream.receive()
    return received


OFFERS = {"h2c": "upgrade: h2c\r\nconnection: Upgrade, HTTP2-Settings\r\nhttp2-settings: AAMAAABk\r\n"}
OFFERS |= {"another": "connection: keep-alive, upgrade\r\nupgrade: foo/1\r\n", "alone": "upgrade: websocket\r\n"}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=list(OFFERS))
@pytest.mark.parametrize("cut", [0, 10, 10**6], ids=["apart", "in the body", "at once"])
async def test_an_offer_to_upgrade_is_passed_over_and_the_body_is_the_requests(
    portal_at: PortalAt, offer: str, cut: int
) -> None:
    """As Java's client offers with each request; a body that looks like a request must not become one."""
    body = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
    ping = json.dumps(request("tools/list")).encode()
    async with portal_at() as (_, origin):
        port = int(origin.rpartition(":")[2])
        heads = [
            f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n{offer}"
            f"accept: application/json, text/event-stream\r\ncontent-length: {len(content)}\r\n\r\n".encode()
            for content in (body, ping, b"")
        ]
        sent = heads[0] + body + heads[1] + ping + heads[2].replace(b"POST /mcp", b"GET /healthz")
        at = len(heads[0]) + cut
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            received = b""
            for part in filter(None, (sent[:at], sent[at:])):
                await stream.send(part)
                await anyio.sleep(0.1)
            with anyio.fail_after(20):
                while not received.endswith(b'{"status":"ok"}'):
                    received += await stream.receive()

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"400", b"400", b"200"], "no JSON, no session, and well"
    assert received.count(b"Parse error") == 1


async def test_a_flood_of_requests_on_one_connection_ends_it_and_nothing_else(portal_at: PortalAt) -> None:
    async with portal_at() as (_, origin):
        port = int(origin.rpartition(":")[2])
        one = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
        few = await received_after(port, one * (MAX_PIPELINED - 1) + one.replace(b"\r\n\r\n", CLOSING))
        flood = await received_after(port, one * 1_500)
        well = await received_after(port, one.replace(b"\r\n\r\n", CLOSING))

    assert few.count(b"HTTP/1.1 200 OK") == MAX_PIPELINED
    assert flood.count(b"HTTP/1.1 200 OK") <= MAX_PIPELINED + 1
    assert well.count(b"HTTP/1.1 200 OK") == 1


async def test_bytes_of_a_body_do_not_count_as_a_head(portal_at: PortalAt, caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps({**request("tools/list"), "padding": "x" * 100_000}).encode()
    async with portal_at() as (_, origin):
        port = int(origin.rpartition(":")[2])
        head = begun(port).replace(b"content-length: 20", b"content-length: %d" % len(body))
        answer = await received_after(port, head + body + b"GET /healthz HT", b"TP/1.1\r\nhost: x" + CLOSING)

    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"400", b"200"], "no session, and well"
    assert "Traceback" not in caplog.text


async def test_a_head_that_is_too_large_behind_an_open_request_costs_that_no_answer(
    portal_at: PortalAt, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps(request("tools/list")).encode()
    async with portal_at() as (_, origin):
        port = int(origin.rpartition(":")[2])
        head = begun(port).replace(b"content-length: 20", b"content-length: %d" % len(body))
        answer = await received_after(port, head + body + b"GET /healthz HTTP/1.1\r\nx: ", b"x" * MIB)

    assert re.findall(rb"HTTP/1.1 (\d+)", answer)[0] == b"400", "no session"
    assert "Traceback" not in caplog.text


async def test_the_portal_is_no_proxy(portal_at: PortalAt) -> None:
    async with portal_at() as (_, origin):
        port = int(origin.rpartition(":")[2])
        status = await sent(port, [b"CONNECT example.com:80 HTTP/1.1\r\nhost: example.com:80\r\n\r\n"])

    assert status == 400


@pytest.mark.parametrize("body", [b"", b'{"jsonrpc"'], ids=["nothing", "half"])
async def test_a_body_that_does_not_come_in_time_is_refused(
    portal_at: PortalAt, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr("portal.server._exchanges.BODY_S", 0.1)
    async with portal_at() as (_, origin):
        port = int(origin.rpartition(":")[2])
        status = await sent(port, [begun(port) + body])

    assert status == 408


async def test_requests_that_are_being_sent_are_counted(
    portal_at: PortalAt, raw_client: RawAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.server._exchanges.MAX_READING", 1)
    async with portal_at() as (portal, origin), raw_client(origin) as raw:
        port = int(origin.rpartition(":")[2])
        below = (await raw.modern("tools/list")).status_code
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(begun(port))
            await until(lambda: portal._open_face().exchanges.reading == 1)
            at = await raw.modern("tools/list")
        await until(lambda: portal._open_face().exchanges.reading == 0)
        again = (await raw.modern("tools/list")).status_code

    assert (below, at.status_code, again) == (200, 503, 200)
    assert int(at.headers["retry-after"]) > 0


async def test_large_bodies_and_heads_are_refused_and_leave_the_memory_flat(tmp_path: Path) -> None:
    """Fault 26: a body of 50 MB, declared or not, a head of 1 MB and one without an end."""
    async with portal_process(tmp_path) as (process, origin):
        port = int(origin.rpartition(":")[2])
        head = f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        accept = "accept: application/json, text/event-stream\r\n"
        probe = f"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
        await sent(port, [f"{probe}\r\n".encode()])
        before = memory_of(process.pid)
        statuses = []
        for _ in range(3):
            statuses += [
                await sent(port, [f"{head}{accept}content-length: {50 * MIB}\r\n\r\n".encode(), *[b"x" * MIB] * 50]),
                await sent(
                    port,
                    [
                        f"{head}{accept}transfer-encoding: chunked\r\n\r\n".encode(),
                        *[b"100000\r\n" + b"x" * MIB + b"\r\n"] * 50,
                    ],
                ),
                await sent(port, [f"{probe}x-long: ".encode(), b"x" * MIB, b"\r\n\r\n"]),
                await sent(port, [probe.encode(), *[b"x-endless: " + b"x" * 60_000] * 50]),
            ]
        alive = await sent(port, [f"{probe}\r\n".encode()])
        growth = memory_of(process.pid) - before

    assert statuses == [413, 413, 431, 431] * 3
    assert alive == 200
    assert growth < 32 * MIB


def memory_of(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


async def sent(port: int, parts: list[bytes]) -> int:
    """Send bytes as long as they are taken, and return the status of the answer; 0 where there is none."""
    with anyio.fail_after(20):
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            try:
                for part in parts:
                    await stream.send(part)
            except anyio.BrokenResourceError:
                pass  # refused while it was being sent
            answer = b""
            try:
                while b"\r\n" not in answer:
                    answer += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass
    return int(answer.split(b" ")[1]) if answer else 0

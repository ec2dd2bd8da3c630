"""The way to an upstream over TLS, and servers that close as they please: some wait for nobody."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import pytest
from yarl import URL

from portal._server_config import ServerConfig
from portal.upstream._failures import TransportFailure
from portal.upstream._http import HttpClient
from tests.portal.upstream.talking import PATIENCE_S, anyio_backend
from tests.portal.upstream.test_http import Authority, authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["anyio_backend", "authority"]  # fixtures

LIMIT = 2**24


@contextmanager
def serving(context: ssl.SSLContext, serve: Callable[[ssl.SSLSocket], None]) -> Iterator[URL]:
    """Serve each connection in a thread, as no event loop would."""

    def take(connection: socket.socket) -> None:
        with suppress(OSError):
            secured = context.wrap_socket(connection, server_side=True)
            with secured:
                serve(secured)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=take, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept)
        accepting.start()
        yield URL(f"https://127.0.0.1:{listener.getsockname()[1]}/mcp")
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()


def asked(connection: ssl.SSLSocket, until: bytes = b"\r\n\r\n{}") -> None:
    """Wait for so much of a request."""
    got = b""
    while until not in got:
        got += connection.recv(4096)


async def ask(http: HttpClient, url: URL, body: bytes = b"{}") -> tuple[int, bytes]:
    with anyio.fail_after(PATIENCE_S):
        response = await http.send("POST", url, headers={}, body=body)
        try:
            return response.status, await http.read(response, LIMIT)
        finally:
            response.close()


@pytest.mark.parametrize("size", [300_000, 3_000_000])
@pytest.mark.parametrize("says_goodbye", [True, False])
@pytest.mark.parametrize("has_length", [True, False])
async def test_an_answer_is_whole_though_its_server_closes_at_once(
    authority: Authority, size: int, says_goodbye: bool, has_length: bool
) -> None:
    head = b"Content-Length: %d\r\n" % size if has_length else b""

    def serve(connection: ssl.SSLSocket) -> None:
        asked(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n%b\r\n" % head + bytes(size))
        if says_goodbye:
            connection.settimeout(0)  # without waiting for the same from the other side
            with suppress(OSError):
                connection.unwrap()

    with serving(authority.server(), serve) as url:
        async with HttpClient(ServerConfig(id="up", url=str(url))) as http:
            answers = [await ask(http, url) for _ in range(3)]

    assert answers == [(200, bytes(size))] * 3


async def test_a_connection_whose_request_is_not_all_sent_is_not_used_again(authority: Authority) -> None:
    """The next request would wait behind the rest of this one."""
    released = threading.Event()

    def serve(connection: ssl.SSLSocket) -> None:
        asked(connection, b"\r\n\r\n")
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        released.wait(PATIENCE_S)

    with serving(authority.server(), serve) as url:
        async with HttpClient(ServerConfig(id="up", url=str(url))) as http:
            answers = [await ask(http, url, bytes(size)) for size in (LIMIT, 2)]
        released.set()

    assert answers == [(413, b"no")] * 2


async def test_a_refusal_by_tls_itself_is_named_as_such(authority: Authority) -> None:
    context = authority.server()
    context.verify_mode = ssl.CERT_REQUIRED

    with serving(context, asked) as url:
        async with HttpClient(ServerConfig(id="up", url=str(url))) as http:
            with pytest.raises(TransportFailure) as caught:
                await ask(http, url)

    assert "not permitted" not in caught.value.phrase
    assert "TLS" in caught.value.phrase or "reset" in caught.value.phrase

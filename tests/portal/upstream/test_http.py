"""The way to an upstream over HTTP: addresses, redirects, names, certificates, and what is kept from whom."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from yarl import URL

from portal._errors import UpstreamUnavailable
from portal._secret import Secret
from portal._server_config import BearerAuth, HeadersAuth, ServerConfig
from portal.upstream import _http, _http_connections
from portal.upstream._connect import open_session
from portal.upstream._failures import TransportFailure
from portal.upstream._http import HttpClient
from tests.portal.conftest import until
from tests.portal.upstream.conftest import HELLO, PATIENCE_S, Scripted, calling, serving_scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.portal.upstream.conftest import JSON, Answering, Asked

NOW = datetime.now(UTC)


async def hello(asked: Asked) -> None:
    await asked.result(HELLO)


def redirecting(scripted: Scripted, to: str, status: int = 307) -> Scripted:
    """A server that sends whoever asks at its front door to another address, and answers there."""

    async def answer(asked: Asked, inner: Answering) -> None:
        if asked.path == "/mcp":
            await asked.reply(status, Location=to)
        else:
            await inner(asked)

    front = Scripted(dict(scripted.answers), scripted.version)
    inner_answer = front.answer
    front.answer = lambda asked: answer(asked, inner_answer)  # type: ignore[method-assign]  # one server of two rooms
    return front


async def opened_at(config: ServerConfig) -> JSON:
    with anyio.fail_after(PATIENCE_S):
        async with open_session(config, capabilities={}, on_notification=lambda *_: None) as session:
            return await calling(session)


async def test_a_redirect_within_the_origin_is_followed_with_the_credential() -> None:
    server = redirecting(Scripted({"tools/call": hello}), "/elsewhere/mcp")
    async with serving_scripted(server) as url:
        result = await opened_at(ServerConfig(id="up", url=url, auth=BearerAuth(token=Secret("s3cret"))))

    assert result == HELLO
    assert {asked.path for asked in server.seen} == {"/mcp", "/elsewhere/mcp"}
    assert all(asked.headers["authorization"] == "Bearer s3cret" for asked in server.seen)


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_redirect_that_would_make_another_request_of_it_is_not_followed(status: int) -> None:
    async with serving_scripted(redirecting(Scripted(), "/elsewhere/mcp", status)) as url:
        with pytest.raises(UpstreamUnavailable, match="redirects to another address"):
            await opened_at(ServerConfig(id="up", url=url))


async def test_neither_request_nor_credential_leaves_the_origin() -> None:
    """MCP 2025-11-25, authorization: a client must not send its token anywhere but to the server it is for."""
    other = Scripted()
    async with serving_scripted(other) as elsewhere, serving_scripted(redirecting(Scripted(), elsewhere)) as url:
        auth = HeadersAuth(headers={"X-Api-Key": Secret("s3cret")})
        with pytest.raises(UpstreamUnavailable, match="redirects to another address"):
            await opened_at(ServerConfig(id="up", url=url, auth=auth))

    assert other.seen == []


@pytest.mark.parametrize("to", ["http://xn--a.com/", "https://xn--/", "http://[::1", "http://a:99999/"])
async def test_a_redirect_to_what_is_no_address_is_not_followed(to: str) -> None:
    async with serving_scripted(redirecting(Scripted(), to)) as url:
        with pytest.raises(UpstreamUnavailable, match="redirects to another address"):
            await opened_at(ServerConfig(id="up", url=url))


async def test_redirects_in_a_circle_end() -> None:
    circle = redirecting(Scripted(), "/mcp")
    async with serving_scripted(circle) as url:
        with pytest.raises(UpstreamUnavailable, match="without an end"):
            await opened_at(ServerConfig(id="up", url=url))

    assert len(circle.seen) <= 2 * (_http.MAX_REDIRECTS + 1)


async def test_no_cookie_is_kept_and_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def biscuit(asked: Asked) -> None:
        await asked.result(HELLO, Set_Cookie="id=1; Path=/")

    server = Scripted({"tools/call": biscuit})
    async with (
        serving_scripted(server) as url,
        open_session(ServerConfig(id="up", url=url), capabilities={}, on_notification=lambda *_: None) as session,
    ):
        await calling(session)
        await calling(session)

    assert all("cookie" not in asked.headers for asked in server.seen)


@pytest.mark.parametrize(("where", "status"), [("/mcp", 404), ("/sse", 405), ("/mcp", 406)])
async def test_a_server_is_found_at_the_usual_paths_below_its_address(where: str, status: int) -> None:
    """FIELD A.1.5: the address as it is in both transports, then /mcp and /sse; on 404, 405 and 406 only."""
    server = Scripted({"tools/call": hello}, None if where == "/mcp" else "2024-11-05")
    inner = server.answer

    async def answer(asked: Asked) -> None:
        if where == "/mcp" and asked.path == "/base/mcp":
            await inner(asked)
        elif where == "/sse" and asked.path == "/base/sse" and asked.method == "GET":
            await asked.stream()
            await asked.send(b"event: endpoint\ndata: /base/sse/messages\n\n")
            await until_answered(asked, server)
        elif asked.path == "/base/sse/messages":
            await asked.reply(202)
        else:
            await asked.reply(status)

    server.answer = answer  # type: ignore[method-assign]  # one server of several rooms
    async with serving_scripted(server) as url:
        result = await opened_at(ServerConfig(id="up", url=url.replace("/mcp", "/base")))

    assert result == HELLO


async def until_answered(asked: Asked, server: Scripted) -> None:
    """Answer what was posted, on the stream of a server of HTTP+SSE."""
    about: JSON = {"protocolVersion": "2024-11-05", "capabilities": {}}
    probe = await posted(server, "server/discover")
    await asked.event({"id": probe.id, "error": {"code": -32601, "message": "No"}})
    greeting = await posted(server, "initialize")
    await asked.event({"id": greeting.id, "result": about})
    call = await posted(server, "tools/call")
    await asked.event({"id": call.id, "result": HELLO})
    await asked.until_gone()


async def posted(server: Scripted, method: str) -> Asked:
    def found() -> list[Asked]:
        return [one for one in server.of(method) if one.path.endswith("/messages")]

    await until(lambda: bool(found()))
    return found()[-1]


async def test_any_other_refusal_ends_the_search() -> None:
    server = Scripted({"server/discover": lambda asked: asked.reply(401)})
    async with serving_scripted(server) as url:
        with pytest.raises(UpstreamUnavailable, match="HTTP 401 Unauthorized: it refuses the credential"):
            await opened_at(ServerConfig(id="up", url=url.replace("/mcp", "/base")))

    assert len(server.seen) == 1


async def test_a_name_that_moved_is_found_at_its_new_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """SECURITY 4.2, fault 13: within 60 s; here with the next connection."""
    at = ["127.0.0.1"]
    real = socket.getaddrinfo

    def resolve(host: str, *args: object, **kwargs: object) -> object:
        return real(at[0] if host == "tools.test" else host, *args, **kwargs)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    old, new = Scripted({"tools/call": hello}), Scripted({"tools/call": hello})
    async with serving_scripted(new, host="127.0.0.2") as url:
        port = int(url.split(":")[2].partition("/")[0])
        config = ServerConfig(id="up", url=f"http://tools.test:{port}/mcp")
        async with serving_scripted(old, port=port):
            stack = open_session(config, capabilities={}, on_notification=lambda *_: None)
            session = await stack.__aenter__()
            await calling(session)
        at[0] = "127.0.0.2"
        with anyio.fail_after(PATIENCE_S):
            while not new.of("tools/call"):
                try:
                    await calling(session)
                except UpstreamUnavailable:
                    await anyio.sleep(0.02)
        await stack.__aexit__(None, None, None)

    assert len(old.of("tools/call")) == 1


async def test_the_next_address_of_a_name_is_tried_when_the_first_takes_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = socket.getaddrinfo

    def both(host: str, *args: object, **kwargs: object) -> object:
        hosts = ["127.0.0.9", "127.0.0.1"] if host == "tools.test" else [host]
        return [found for each in hosts for found in real(each, *args, **kwargs)]  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(socket, "getaddrinfo", both)
    async with serving_scripted(Scripted({"tools/call": hello})) as url:
        assert await opened_at(ServerConfig(id="up", url=url.replace("127.0.0.1", "tools.test"))) == HELLO


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """A certificate authority that this process trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    _http_connections.trust.cache_clear()
    yield made
    _http_connections.trust.cache_clear()


class Authority:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Authority")])
        certificate = self._builder(self._name, self._key, days=1).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        signed = certificate.sign(self._key, hashes.SHA256())
        (folder / "authority.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def server(self, *, address: str = "127.0.0.1", days: int = 1) -> ssl.SSLContext:
        """Certify a server; with negative ``days`` the certificate has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        certificate = self._builder(name, key, days=days).add_extension(names, critical=False)
        signed = certificate.sign(self._key, hashes.SHA256())
        file = self._folder / "server.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=5))
            .not_valid_after(NOW + timedelta(days=days))
        )


async def test_an_authority_named_in_the_environment_is_trusted(authority: Authority) -> None:
    async with serving_scripted(Scripted({"tools/call": hello}), tls=authority.server()) as url:
        assert await opened_at(ServerConfig(id="up", url=url)) == HELLO


async def test_a_certificate_that_expired_is_named_as_such(authority: Authority) -> None:
    """SECURITY 4.2, fault 13."""
    async with serving_scripted(Scripted(), tls=authority.server(days=-1)) as url:
        with pytest.raises(UpstreamUnavailable, match="its certificate has expired"):
            await opened_at(ServerConfig(id="up", url=url))


async def test_a_certificate_for_another_host_is_named_as_such(authority: Authority) -> None:
    async with serving_scripted(Scripted(), tls=authority.server(address="127.0.0.9")) as url:
        with pytest.raises(UpstreamUnavailable, match="its certificate is for another host"):
            await opened_at(ServerConfig(id="up", url=url))


async def test_a_certificate_of_an_authority_that_nobody_trusts_is_named_as_such(tmp_path: Path) -> None:
    async with serving_scripted(Scripted(), tls=Authority(tmp_path).server()) as url:
        with pytest.raises(
            UpstreamUnavailable, match="nobody whom this machine trusts: name its authority in SSL_CERT"
        ):
            await opened_at(ServerConfig(id="up", url=url))


async def test_https_where_http_is_spoken_is_named_as_such() -> None:
    def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UpstreamUnavailable, match="does it speak https at this address"):
            await opened_at(ServerConfig(id="up", url=f"https://127.0.0.1:{port}/mcp"))


async def test_a_name_that_does_not_exist_is_named_as_such() -> None:
    with pytest.raises(UpstreamUnavailable, match="its name is not known"):
        await opened_at(ServerConfig(id="up", url="http://nowhere.invalid/mcp"))


async def test_a_name_that_there_cannot_be_is_named_as_such() -> None:
    with pytest.raises(UpstreamUnavailable, match="host name is none that there can be") as caught:
        await opened_at(ServerConfig(id="up", url="http://xn--a.com/mcp"))

    assert not caught.value.is_retryable


async def test_a_request_that_the_end_of_its_session_overtakes_was_not_sent() -> None:
    silent = Scripted({"tools/call": lambda asked: asked.until_gone()})
    connections = 1 + _http.SPARE_CONNECTIONS
    kinds: list[str] = []

    async def send(http: HttpClient, url: str) -> None:
        with pytest.raises(TransportFailure) as failure:
            await http.send("POST", URL(url), headers={}, body=b'{"method":"tools/call"}')
        kinds.append(failure.value.kind)

    async with (
        serving_scripted(silent) as url,
        anyio.create_task_group() as tasks,
        HttpClient(ServerConfig(id="up", url=url, max_concurrent=1)) as http,
    ):
        for _ in range(connections + 2):
            tasks.start_soon(send, http, url)
        await silent.reached("tools/call", connections)

    assert (kinds.count("unknown"), kinds.count("unsent")) == (connections, 2)

"""Streams of events that end, break and are taken up again (MCP 2025-11-25, transports, resumability)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from portal._errors import UpstreamMisbehaved, UpstreamTimeout, UpstreamUnavailable
from portal._secret import Secret
from portal._server_config import BearerAuth, ServerConfig
from portal.upstream import _http_connection
from portal.upstream._connect import open_session
from portal.upstream._event_stream import Event, EventReader
from portal.upstream._exchange import Timeouts
from portal.upstream._failures import TransportFailure
from portal.upstream._streamable import Position
from tests.portal.upstream.conftest import HELLO, PATIENCE_S, PATIENT, Scripted, calling, serving_scripted

if TYPE_CHECKING:
    from tests.portal.upstream.conftest import JSON, Answering, Asked, Opened

HANDSHAKE = "2025-11-25"
STREAM = (
    b"\xef\xbb\xbf: a comment\r\n\r\nid: 1\r\nretry: 20\r\ndata:\r\n\r\ndata: {\ndata: }\n\n"
    b"event: other\rdata: x\r\rid: 2\ndata:y\nodd\n\nid: bad\0id\ndata: z\n\nretry: soon\n\ndata: unfinished"
)
EVENTS = [
    Event(b"", id="1", retry_ms=20),
    Event(b"{\n}"),
    Event(b"x", type="other"),
    Event(b"y", id="2"),
    Event(b"z"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(STREAM)])
def test_events_are_read_alike_however_the_bytes_are_cut(size: int) -> None:
    """WHATWG HTML, section 9.2.6: line ends, fields, a byte order mark."""
    reader = EventReader(lambda: 1000)
    events = [event for start in range(0, len(STREAM), size) for event in reader.feed(STREAM[start : start + size])]

    assert events == EVENTS


@pytest.mark.parametrize("length", [93, 94])
def test_an_event_up_to_its_limit_is_taken(length: int) -> None:
    assert EventReader(lambda: 100).feed(b"data: " + b"x" * length + b"\n\n") == [Event(b"x" * length)]


@pytest.mark.parametrize("end", [b"\n\n", b""])
def test_an_event_beyond_its_limit_is_refused_whether_it_ends_or_not(end: bytes) -> None:
    with pytest.raises(TransportFailure, match="more than 100 bytes"):
        EventReader(lambda: 100).feed(b"data: " + b"x" * 95 + end)


@pytest.mark.parametrize(
    ("retry_ms", "pause_s"), [(0, 0.1), (99, 0.1), (100, 0.1), (101, 0.101), (60_000, 60.0), (60_001, 60.0)]
)
def test_a_pause_that_a_server_names_is_bounded(retry_ms: int, pause_s: float) -> None:
    position = Position()
    position.note(Event(b"", retry_ms=retry_ms))

    assert position.retry_s == pause_s


async def test_the_sessions_stream_is_taken_up_after_its_last_event_without_losing_any(opened: Opened) -> None:
    """SECURITY 4.2, fault 23, on the upstream's side."""

    async def listening(asked: Asked) -> None:
        await asked.stream()
        number = int(asked.headers.get("last-event-id", "0"))
        if number < 3:
            told = {"method": "notifications/resources/updated", "params": {"uri": f"n:{number + 1}"}}
            await asked.event(told, event_id=str(number + 1), retry_ms=10)
        else:
            await asked.until_gone()

    heard: list[tuple[str, JSON]] = []
    scripted = Scripted({"GET": listening}, HANDSHAKE)
    async with opened(scripted, heard=heard):
        await scripted.reached("GET", 4)

    assert [params["uri"] for _, params in heard] == ["n:1", "n:2", "n:3"]
    assert [asked.headers.get("last-event-id") for asked in scripted.of("GET")] == [None, "1", "2", "3"]
    assert all(asked.headers["mcp-session-id"] == "the-session" for asked in scripted.of("GET"))


async def test_a_server_that_offers_no_stream_is_not_asked_again(opened: Opened) -> None:
    scripted = Scripted({"tools/call": lambda asked: asked.result(HELLO)}, HANDSHAKE)
    async with opened(scripted) as session:
        await scripted.reached("GET")
        await calling(session)

    assert len(scripted.of("GET")) == 1
    assert not session.loss.suspicion.is_set()


@pytest.mark.parametrize("ends", ["closes", "breaks"])
async def test_the_stream_of_a_call_is_taken_up_where_it_ended(opened: Opened, ends: str) -> None:
    """Also as a server wants it that closes the stream to be polled (SEP-1699)."""

    async def begin(asked: Asked) -> None:
        await asked.stream()
        await asked.event(None, event_id=f"{asked.id}-0", retry_ms=10)
        calls.append(asked.id)
        if ends == "breaks":
            asked.writer.transport.abort()

    async def go_on(asked: Asked) -> None:
        last = asked.headers.get("last-event-id")
        if last is None:
            await asked.reply(405)
            return
        call, _, number = last.partition("-")
        await asked.stream()
        if int(number) == 7:
            await asked.event({"id": int(call), "result": HELLO})
        else:
            await asked.event(None, event_id=f"{call}-{int(number) + 1}", retry_ms=10)

    calls: list[int] = []
    scripted = Scripted({"tools/call": begin, "GET": go_on}, HANDSHAKE)
    async with opened(scripted) as session:
        result = await calling(session)

    assert result == HELLO
    assert len(calls) == 1
    assert len(scripted.of("GET")) == 1 + 8


async def test_a_stream_that_cannot_be_taken_up_leaves_the_outcome_unknown(opened: Opened) -> None:
    async def begin(asked: Asked) -> None:
        await asked.stream()
        await asked.event(None, event_id="1", retry_ms=10)

    async with opened(Scripted({"tools/call": begin}, HANDSHAKE)) as session:
        with pytest.raises(UpstreamUnavailable, match="the outcome is unknown"):
            await calling(session)


async def test_a_session_ends_in_time_although_nobody_takes_its_end(opened: Opened) -> None:
    scripted = Scripted({"DELETE": lambda asked: asked.until_gone()}, HANDSHAKE)
    async with opened(scripted):
        began = anyio.current_time()

    assert len(scripted.of("DELETE")) == 1
    assert anyio.current_time() - began < PATIENCE_S / 2


async def test_a_connection_serves_one_request_after_the_other(opened: Opened) -> None:
    async def chunked(asked: Asked) -> None:
        body = b'data: {"id":%d,"result":{}}\n\n' % asked.id
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        await asked.send(head + b"%x\r\n%b\r\n" % (len(body), body))
        await asked.send(b"0\r\n\r\n")

    scripted = Scripted({"tools/call": chunked, "tools/list": lambda asked: asked.result({"tools": []})})
    async with opened(scripted) as session:
        for _ in range(5):
            await calling(session)
            await anyio.sleep(0.01)

    assert len({asked.writer for asked in scripted.seen}) == 1


def over_sse(
    endpoint: str = "/messages?session=1", *, called: Answering | None = None, method: str = "tools/call"
) -> Scripted:
    """A server of HTTP+SSE: its stream names ``endpoint`` and carries what it answers.

    With the first request of ``method``, ``called`` gets the stream, which ends with it.
    """

    async def listening(asked: Asked) -> None:
        await asked.stream()
        await asked.send(f"event: endpoint\ndata: {endpoint}\n\n".encode())
        probe = await scripted.reached("server/discover")
        await asked.event({"id": probe.id, "error": {"code": -32601, "message": "Method not found"}})
        hello = await scripted.reached("initialize")
        await asked.event({"id": hello.id, "result": {"protocolVersion": "2024-11-05", "capabilities": {}}})
        await scripted.reached(method)
        if called is not None:
            await called(asked)

    async def accept(asked: Asked) -> None:
        await asked.reply(202, b"Accepted")

    sent = ("server/discover", "initialize", "notifications/initialized", "tools/list", "tools/call")
    scripted = Scripted({"GET": listening, **dict.fromkeys(sent, accept)})
    return scripted


def at_sse(url: str, **fields: Any) -> ServerConfig:  # noqa: ANN401 -- fields of the configuration
    return ServerConfig(id="up", url=url.replace("/mcp", "/sse"), auth=BearerAuth(token=Secret("s3cret")), **fields)


async def test_a_stream_that_ends_fails_the_calls_on_it_and_loses_the_session() -> None:
    scripted = over_sse()
    async with (
        serving_scripted(scripted) as url,
        open_session(at_sse(url), capabilities={}, on_notification=lambda *_: None) as session,
    ):
        with pytest.raises(UpstreamUnavailable, match="the outcome is unknown"):
            await calling(session)

    assert session.loss.cause == "the event stream ended"
    assert scripted.of("tools/call")[0].path == "/messages?session=1"
    assert scripted.of("tools/call")[0].headers["authorization"] == "Bearer s3cret"


async def test_an_endpoint_at_another_origin_gets_no_message() -> None:
    other = Scripted()
    async with serving_scripted(other) as elsewhere, serving_scripted(over_sse(elsewhere)) as url:
        with pytest.raises(UpstreamUnavailable, match="endpoint is at another origin"):
            async with open_session(at_sse(url), capabilities={}, on_notification=lambda *_: None):
                pass

    assert other.seen == []


async def test_a_session_that_the_server_forgot_is_lost_over_sse_too() -> None:
    scripted = over_sse()
    scripted.answers["ping"] = lambda asked: asked.reply(404, b"Could not find session")
    async with (
        serving_scripted(scripted) as url,
        open_session(at_sse(url), capabilities={}, on_notification=lambda *_: None) as session,
    ):
        await session.check(timeout_s=PATIENCE_S)

    assert session.loss.cause == "the server no longer knows the session"


@pytest.mark.parametrize("status", [404, 429, 500])
async def test_a_call_whose_time_is_over_stays_one_although_nobody_takes_its_cancellation(status: int) -> None:
    """A call of unknown fate must never look like one that was not sent: it would be sent again."""
    scripted = over_sse(called=lambda asked: asked.until_gone())
    scripted.answers["notifications/cancelled"] = lambda asked: asked.reply(status)
    async with (
        serving_scripted(scripted) as url,
        open_session(at_sse(url), capabilities={}, on_notification=lambda *_: None) as session,
    ):
        with pytest.raises(UpstreamTimeout):
            await calling(session, timeouts=Timeouts(idle_s=0.2))

    assert len(scripted.of("notifications/cancelled")) == 1


async def test_an_answer_is_bounded_as_such_over_sse_too_and_a_list_as_a_list() -> None:
    async def pour(asked: Asked) -> None:
        listing = await scripted.reached("tools/list")
        await asked.event({"id": listing.id, "result": {"tools": ["x" * 2**21]}})
        call = await scripted.reached("tools/call")
        await asked.event({"id": call.id, "result": {"text": "x" * 2**21}})

    scripted = over_sse(called=pour, method="tools/list")
    async with (
        serving_scripted(scripted) as url,
        open_session(at_sse(url, max_answer_mb=1), capabilities={}, on_notification=lambda *_: None) as session,
    ):
        listed = await session.request("tools/list", {}, timeouts=PATIENT)
        with pytest.raises(UpstreamMisbehaved, match=r"^up sent an answer of more than 1 MiB, which is too much; ask"):
            await calling(session)

    assert len(str(listed)) > 2**21


async def test_a_notification_leaves_its_connection_whatever_is_said_to_it(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP 202 may have a body, which comes when it comes."""
    monkeypatch.setattr(_http_connection, "LEAVE_S", PATIENCE_S)  # it may be late on a busy machine
    taken = anyio.Event()

    async def accept(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 8\r\n\r\n")
        await anyio.sleep(0.02)
        await asked.send(b"Accepted")
        taken.set()

    scripted = Scripted(
        {"notifications/initialized": accept, "tools/call": lambda asked: asked.result(HELLO)}, HANDSHAKE
    )
    async with opened(scripted) as session:
        await taken.wait()
        await anyio.sleep(0.05)
        await calling(session)
        used = {asked.writer for asked in scripted.seen if asked.method == "POST"}

    assert len(used) == 1

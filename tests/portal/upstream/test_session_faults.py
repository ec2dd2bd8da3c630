"""Upstreams that answer wrongly, too much, too slowly or not at all: each costs its own request, and says so."""

from __future__ import annotations

from email.utils import formatdate
from functools import partial
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

import anyio
import pytest

from portal._errors import (
    UpstreamBusy,
    UpstreamFailure,
    UpstreamMisbehaved,
    UpstreamRefused,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from portal.upstream._channel import SessionLost
from portal.upstream._exchange import Timeouts
from tests.portal.upstream.conftest import HELLO, PATIENT, Scripted, calling

if TYPE_CHECKING:
    from tests.portal.upstream.conftest import Answering, Asked, Opened

MIB = 2**20
PIECE = b"x" * MIB


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def declared(asked: Asked) -> None:
    """100 MB of JSON, with their length said."""
    await asked.send(
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {100 * MIB}\r\n\r\n".encode()
    )
    await pour(asked)


async def undeclared(asked: Asked) -> None:
    """100 MB of JSON, that end with the connection."""
    await asked.send(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"x":"')
    await pour(asked)


async def one_event(asked: Asked) -> None:
    await asked.stream()
    await asked.send(b"data: ")
    await pour(asked)


async def pour(asked: Asked) -> None:
    asked.is_last = True
    for _ in range(100):
        await asked.send(PIECE)


@pytest.mark.parametrize(
    ("answer", "size"),
    [(declared, r"100 MiB \(more than 2 MiB\)"), (undeclared, "more than 2 MiB"), (one_event, "more than 2 MiB")],
)
async def test_an_answer_of_100_mb_is_refused_before_it_is_held(opened: Opened, answer: Answering, size: str) -> None:
    """SECURITY 4.2, faults 4 and 5."""
    async with opened(Scripted({"tools/call": answer}), max_answer_mb=2) as session:
        before = resident_bytes()
        for _ in range(3):
            with pytest.raises(UpstreamMisbehaved, match=f"up sent an answer of {size}, which is too much"):
                await calling(session)
        rise = resident_bytes() - before

    assert rise < 32 * MIB


@pytest.mark.parametrize(("size_mib", "is_taken"), [(22, True), (25, False)])
async def test_a_list_may_be_longer_than_an_answer(opened: Opened, size_mib: int, is_taken: bool) -> None:
    """SECURITY 4.2, fault 6: a list is taken within its own limit, and otherwise too large, never empty."""

    async def long(asked: Asked) -> None:
        tools = [{"name": f"t{number}", "description": "x" * MIB} for number in range(size_mib)]
        await asked.result({"tools": tools})

    async with opened(Scripted({"tools/list": long}), max_answer_mb=1, max_list_mb=24) as session:
        if is_taken:
            result = await session.request("tools/list", {}, timeouts=PATIENT)
            assert len(result["tools"]) == size_mib  # type: ignore[arg-type]  # a list, as it was sent
        else:
            with pytest.raises(UpstreamMisbehaved, match=r"25\.0 MiB \(more than 24 MiB\)"):
                await session.request("tools/list", {}, timeouts=PATIENT)


async def test_a_drip_of_bytes_ends_with_the_time_for_silence(opened: Opened) -> None:
    """SECURITY 4.2, fault 5: bytes that make no message are silence."""

    async def drip(asked: Asked) -> None:
        await asked.stream()
        while True:
            await asked.send(b":")
            await anyio.sleep(0.02)

    async with opened(Scripted({"tools/call": drip})) as session:
        with pytest.raises(UpstreamTimeout, match=r"up did not answer within 0\.2 s"):
            await calling(session, timeouts=Timeouts(idle_s=0.2, total_s=10))


async def test_whatever_is_said_ends_the_silence_but_not_the_time_in_all(opened: Opened) -> None:
    async def work(asked: Asked) -> None:
        await asked.stream()
        while True:
            await asked.event(
                {"method": "notifications/progress", "params": {"progressToken": asked.id, "progress": 1}}
            )
            await anyio.sleep(0.05)

    async with opened(Scripted({"tools/call": work})) as session:
        with pytest.raises(UpstreamTimeout, match=r"up did not answer within 0\.6 s"):
            await calling(session, timeouts=Timeouts(idle_s=0.3, total_s=0.6))


async def refuse(asked: Asked, status: int, body: bytes = b"<html>no</html>", **headers: str) -> None:
    await asked.reply(status, body, **headers)


async def until_a_date(asked: Asked) -> None:
    await asked.reply(503, Retry_After=formatdate(time() + 1000))


@pytest.mark.parametrize(
    ("answer", "kind", "retry_after_s", "is_unknown"),
    [
        (partial(refuse, status=502, Content_Type="text/html"), UpstreamRejected, None, True),
        (partial(refuse, status=504), UpstreamRejected, None, True),
        (partial(refuse, status=500), UpstreamRejected, None, False),
        (partial(refuse, status=401), UpstreamRejected, None, False),
        (partial(refuse, status=429, Retry_After="7"), UpstreamBusy, 7, False),
        (until_a_date, UpstreamBusy, 1000, True),
        (partial(refuse, status=503, Retry_After="soon"), UpstreamBusy, None, True),
    ],
)
async def test_a_status_of_failure_is_told_by_its_meaning(
    opened: Opened, answer: Answering, kind: type[UpstreamFailure], retry_after_s: float | None, is_unknown: bool
) -> None:
    """SECURITY 4.2, fault 7."""
    async with opened(Scripted({"tools/call": answer}, "2025-11-25")) as session:
        with pytest.raises(UpstreamFailure) as failure:
            await calling(session)

    assert type(failure.value) is kind
    assert failure.value.retry_after_s == (retry_after_s and pytest.approx(retry_after_s, abs=60))
    assert failure.value.is_outcome_unknown is is_unknown


async def as_json(asked: Asked, body: bytes) -> None:
    await asked.reply(200, body, Content_Type="application/json")


async def compressed(asked: Asked) -> None:
    await asked.reply(200, b"\x1f\x8b", Content_Type="application/json", Content_Encoding="gzip")


async def another_id(asked: Asked) -> None:
    await asked.stream()
    await asked.event({"id": 987654, "result": HELLO})
    await asked.until_gone()


@pytest.mark.parametrize(
    "answer",
    [
        partial(as_json, body=b'{"jsonrpc":"2.0","id":1,"resu'),
        partial(as_json, body=b'{"jsonrpc":"2.0","id":987654,"result":{}}'),
        partial(as_json, body=b'{"jsonrpc":"2.0","id":1,"result":{"t":"\xff\xfe"}}'),
        partial(as_json, body=b"[" * 100_000),
        partial(as_json, body=b"7"),
        partial(as_json, body=b""),
        partial(refuse, status=200, Content_Type="text/html"),
        partial(refuse, status=202, body=b""),
        compressed,
        another_id,
    ],
)
async def test_an_answer_that_is_none_is_told_and_leaves_the_session_alone(opened: Opened, answer: Answering) -> None:
    """SECURITY 4.2, faults 7 and 26."""
    scripted = Scripted({"tools/call": answer})
    async with opened(scripted) as session:
        with pytest.raises(UpstreamMisbehaved, match="up answered with something that is no message of MCP"):
            await calling(session)
        scripted.answers["tools/call"] = lambda asked: asked.result(HELLO)
        result = await calling(session)

    assert result == HELLO
    assert not session.loss.suspicion.is_set()


async def test_a_second_answer_to_the_same_request_is_not_taken_for_the_next(opened: Opened) -> None:
    """SECURITY 4.2, fault 7."""

    async def twice(asked: Asked) -> None:
        await asked.stream()
        for text in ("first", "second"):
            await asked.event({"id": asked.id, "result": {"text": text}})

    async with opened(Scripted({"tools/call": twice})) as session:
        results = [await calling(session) for _ in range(3)]

    assert results == [{"text": "first"}] * 3


async def test_half_an_emoji_does_not_cost_the_answer(opened: Opened) -> None:
    body = '{"jsonrpc":"2.0","id":%d,"result":{"text":"cut \\ud83d"}}'

    async with opened(Scripted({"tools/call": lambda asked: as_json(asked, (body % asked.id).encode())})) as session:
        result = await calling(session)

    assert result == {"text": "cut ?"}


async def reset(asked: Asked) -> None:
    asked.writer.transport.abort()


async def half(asked: Asked) -> None:
    await asked.send(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"json')
    asked.writer.close()


async def silent_end(asked: Asked) -> None:
    await asked.stream()
    await asked.send(b": nothing more\n\n")


@pytest.mark.parametrize("answer", [reset, half, silent_end])
@pytest.mark.parametrize("version", [None, "2025-11-25"])
async def test_a_connection_that_breaks_after_the_request_leaves_its_outcome_unknown(
    opened: Opened, answer: Answering, version: str | None
) -> None:
    """SECURITY 4.2, fault 9."""
    scripted = Scripted({"tools/call": answer}, version)
    async with opened(scripted) as session:
        with pytest.raises(UpstreamUnavailable, match="the outcome is unknown") as failure:
            await calling(session)

    assert failure.value.is_outcome_unknown
    assert len(scripted.of("tools/call")) == 1
    assert session.loss.suspicion.is_set()


NO_SESSION = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"No valid session ID provided"}}'


@pytest.mark.parametrize(
    "answer",
    [
        partial(refuse, status=404),
        partial(refuse, status=400, body=NO_SESSION, Content_Type="application/json"),
        lambda asked: asked.error(-32001, "Session not found"),
    ],
)
async def test_a_session_that_the_server_forgot_is_lost_and_the_request_had_no_effect(
    opened: Opened, answer: Answering
) -> None:
    """SECURITY 4.2, fault 8; MCP 2025-11-25, transports, session management: 404."""
    scripted = Scripted({"tools/call": answer}, "2025-11-25")
    async with opened(scripted) as session:
        with pytest.raises(SessionLost):
            await calling(session)

    assert session.loss.cause == "the server no longer knows the session"
    assert "DELETE" not in scripted.methods()


async def test_without_a_session_404_is_an_error_like_others(opened: Opened) -> None:
    async with opened(Scripted({"tools/call": lambda asked: asked.error(-32601, "No", status=404)})) as session:
        with pytest.raises(UpstreamRefused, match="No") as refusal:
            await calling(session)

    assert refusal.value.code == -32601

"""What the streams of sessions keep for clients that come back, and when they let go of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal.server._channel import Channel, KeptBytes
from portal.server._event_stream import EventStream
from portal.server._sessions import Session
from portal.upstream import Caller

if TYPE_CHECKING:
    from starlette.types import Message

VERSION = "2025-11-25"
LIMIT = 1_000


@pytest.fixture
def kept() -> KeptBytes:
    """What the channels of a process keep together."""
    return KeptBytes()


class Sent:
    """A response that is read, and what was sent over it."""

    def __init__(self) -> None:
        self.body = b""
        self.stream = EventStream(self._send)

    async def _send(self, message: Message) -> None:
        self.body += message.get("body", b"")


async def test_clients_that_are_there_do_not_keep_more_together_than_all_may(
    kept: KeptBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.server._channel.MAX_TOTAL_BYTES", LIMIT)
    channels = [Channel(key, version=VERSION, kept=kept) for key in range(4)]
    responses = [Sent() for _ in channels]
    most = 0
    for channel, response in zip(channels, responses, strict=True):
        await channel.attach(response.stream)
        for _ in range(10):
            await channel.send(b"x" * 200)
            most = max(most, kept.total)

    assert LIMIT // 2 < most <= LIMIT
    assert [response.body.count(b"x" * 200) for response in responses] == [10] * 4


@pytest.mark.parametrize("is_attached", [True, False])
async def test_a_session_that_has_ended_keeps_nothing_of_what_ends_later(kept: KeptBytes, *, is_attached: bool) -> None:
    session = Session(Caller(user="ada", client="c"), portal_id="p", version=VERSION, kept=kept)
    channel, response = session.open_channel(), Sent()
    await channel.send(b"early")
    if is_attached:
        await channel.attach(response.stream)
    session.close()
    await channel.send(b"late")
    await channel.end(b"last")
    opened_late = session.open_channel()
    await opened_late.end(b"last")

    assert kept.total == 0
    assert (b"late" in response.body, b"last" in response.body) == (is_attached, is_attached)

"""A worker that is asked nonsense: it answers what it owes, or ends; it never hangs, and no run of it harms the next.

The worker's half of the protocol in sandbox/_frames.py: every START and SETTLE is answered by a FAILED or a last TURN.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import _frames as frames
from sandbox._frames import FrameReader, Kind
from sandbox._guest import precompile
from sandbox._spawn import end_process, read_ready, spawn
from tests.sandbox._isolates import CLOCK_US, SEED, make_setup

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sandbox._child import ChildProcess

PATIENCE_S = 30.0
CANARY = 4_000_000
DATA_BYTES = 2**30
SOURCES = [b"1 + 1", b"await host.tracker_list(1)", b"await new Promise(() => {})", b"(", b"throw 1", b"\xff\xfe"]


def start(run: int, source: bytes, setup: bytes) -> bytes:
    return frames.encode_start(
        run,
        frames.Start(
            cpu_limit_us=200_000, memory_bytes=16 * 2**20, clock_us=CLOCK_US, seed=SEED, setup=setup, source=source
        ),
    )


RUN = st.integers(0, 3)
START = st.builds(start, RUN, st.sampled_from(SOURCES), st.sampled_from([make_setup(), make_setup(), b"{}", b"\0"]))
SETTLEMENT = st.builds(
    lambda key, value: json.dumps({"id": key, "ok": True, "value": value}).encode(),
    st.integers(-1, 3),
    st.text(max_size=5),
)
SETTLE = st.builds(
    lambda run, settlements: frames.encode_settle(run, settlements, clock_us=CLOCK_US),
    RUN,
    st.lists(SETTLEMENT | st.binary(max_size=5), max_size=3),
)
STOP = st.builds(lambda run: frames.encode(Kind.STOP, run), RUN)
ODD = st.builds(frames.encode, st.sampled_from(Kind), RUN, st.binary(max_size=70))


@dataclass
class Asked:
    """A worker process, and the socket to it; a new one when the last has ended."""

    module: Path
    process: ChildProcess | None = None
    connection: socket.socket | None = None
    reader: FrameReader = field(default_factory=FrameReader)

    async def open(self) -> socket.socket:
        if self.connection is None:
            self.process, self.connection = await spawn("_worker:main", str(self.module), str(DATA_BYTES))
            self.reader = FrameReader()
            await read_ready(self.connection)
            self.connection.settimeout(PATIENCE_S)
        return self.connection

    async def close(self) -> None:
        process, connection = self.process, self.connection
        self.process = self.connection = None
        if process is not None and connection is not None:
            await end_process(process, connection, wait_s=PATIENCE_S)

    def answers_until(self, run: int) -> int | None:
        """Count the answers up to that of ``run``; None when the worker has ended instead."""
        assert self.connection is not None
        answers = 0
        while data := self.connection.recv(65_536):
            for kind, of_run, payload in self.reader.feed(data):
                if kind == Kind.TICK:
                    continue
                report = frames.decode_failed(payload) if kind == Kind.FAILED else frames.decode_turn(payload)
                answers += report.is_last and report.is_answer
                if of_run == run and report.is_last:
                    return answers
        return None


@pytest.fixture(scope="module")
async def asked(cache_dir: Path) -> AsyncIterator[Asked]:
    worker = Asked(precompile(cache_dir))
    yield worker
    await worker.close()


@settings(max_examples=100, deadline=None)
@given(sent=st.lists(st.one_of(START, START, SETTLE, SETTLE, STOP), max_size=10))
async def test_each_start_and_settlement_is_answered_once_in_any_order(asked: Asked, sent: list[bytes]) -> None:
    connection = await asked.open()
    connection.sendall(b"".join([*sent, start(CANARY, b"1", make_setup())]))

    owed = sum(frame[4] in {Kind.START, Kind.SETTLE} for frame in sent) + 1
    assert asked.answers_until(CANARY) == owed


@settings(max_examples=60, deadline=None)
@given(sent=st.lists(st.one_of(ODD, START, SETTLE), max_size=6))
async def test_a_worker_that_is_asked_nonsense_goes_on_or_ends(asked: Asked, sent: list[bytes]) -> None:
    """The portal never sends these; what it does then is start another."""
    connection = await asked.open()
    connection.sendall(b"".join([*sent, start(CANARY, b"1", make_setup())]))

    if asked.answers_until(CANARY) is None:
        await asked.close()

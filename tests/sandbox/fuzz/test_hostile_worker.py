"""A worker that is not what it should be: whatever it sends, the run ends, and a failure has a type.

The portal's half of the protocol in sandbox/_frames.py. The worker at the other end of the socket is the test.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import Bounds, Capabilities, GuestError, HostCall, HostError, Limits, Rejection
from sandbox import _frames as frames
from sandbox._admission import Admission
from sandbox._child import Child
from sandbox._errors import WorkerLost
from sandbox._frames import Cause, Kind, Tag
from sandbox._post import Post
from sandbox._process import WorkerProcess
from sandbox._rounds import Rounds
from sandbox._run import Program, Run
from sandbox._transcript import Transcript
from sandbox._workers import Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sandbox._child import ChildProcess

PATIENCE_S = 30.0
RUN = 7
PROGRAM_SOURCE = b"await host.m(1)"

RECORDS = [
    b'{"id":1,"method":"m","args":[1],"line":1,"column":7}',
    b'{"id":1,"method":"m","args":[1]}',
    b'{"id":-1,"method":"m","args":[]}',
    b'{"id":1e9,"method":7,"args":{}}',
    b'{"level":"log","text":"said"}',
    b'{"level":7}',
    b'{"value":[1],"unhandled":[],"unawaited_calls":[],"unawaited":0,"dropped_timers":0}',
    b'{"error":{"name":"LimitError","message":"m","limit":"calls","max":1,"used":2}}',
    b'{"error":{"name":7,"frames":[{"line":"x"}]},"unhandled":7}',
    b"\xff\xfe",
]
RECORD = st.tuples(st.sampled_from([*Tag, 9]), st.sampled_from(RECORDS) | st.binary(max_size=40))
REPORT = struct.Struct("<QQQBBB")


def turn(records: Sequence[tuple[int, bytes]], *, is_last: bool, is_answer: bool, has_timer: bool, run: int) -> bytes:
    body = b"".join(struct.pack("<BI", tag, len(record)) + record for tag, record in records)
    return frames.encode(Kind.TURN, run, REPORT.pack(5, 5, 5, is_last, is_answer, has_timer) + body)


WHICH_RUN = st.sampled_from([RUN, RUN, RUN, RUN + 1, 0])
TURN = st.builds(
    turn,
    st.lists(RECORD, max_size=4),
    is_last=st.booleans(),
    is_answer=st.booleans(),
    has_timer=st.booleans(),
    run=WHICH_RUN,
)
FAILURE = st.builds(
    lambda cause, run, is_answer: frames.encode_failed(run, cause, cpu_us=1, memory_bytes=1, is_answer=is_answer),
    st.sampled_from(Cause),
    WHICH_RUN,
    st.booleans(),
)
ODD = st.builds(
    lambda kind, run, payload: struct.pack("<IBI", len(payload), kind, run) + payload,
    st.integers(0, 255),
    WHICH_RUN,
    st.binary(max_size=40),
)
TICK = st.builds(lambda run: frames.encode_tick(run, cpu_us=9), WHICH_RUN)
SENT = st.lists(st.one_of(TURN, TURN, FAILURE, TICK, ODD, st.binary(max_size=30)), max_size=8)


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[ChildProcess]:
    """A process for the worker's own; it does nothing."""
    child = Child([sys.executable, "-c", ""], descriptor=0)
    yield child
    await child.wait()


async def answer(call: HostCall) -> bytes:
    """Answer a host call, or refuse it."""
    if call.method != "m":
        raise Rejection(f"no {call.method}", name="TypeError")
    await anyio.lowlevel.checkpoint()  # so that more may come while it works
    return call.args


@settings(max_examples=200, deadline=None)
@given(sent=SENT)
async def test_whatever_a_worker_sends_its_run_ends_and_says_why_if_it_failed(
    process: ChildProcess, sent: list[bytes]
) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    worker = WorkerProcess(process, ours, (), lambda: None)
    limits = Limits()
    program = Program(
        source=PROGRAM_SOURCE, limits=limits, capabilities=Capabilities(methods="m"), on_call=answer, seed=bytes(32)
    )
    transcript = Transcript(limits, PROGRAM_SOURCE)
    post = Post("shared", Admission(Bounds(), long_turns=1, run_bytes=0), most_runs=1)
    ended: list[GuestError | HostError | None] = []
    scope = anyio.CancelScope()

    def stop(error: GuestError | HostError) -> None:
        ended.append(error)
        scope.cancel()

    async def drive() -> None:
        place = Place(post, worker, RUN)
        run = Run(
            program,
            place,
            transcript=transcript,
            rounds=Rounds(),
            stop=stop,
            on_report=lambda _report, _calls: None,
        )
        with scope:
            try:
                ended.append(await run.drive())
            except HostError as error:
                ended.append(error)
            run.leave()

    async def serve() -> None:
        await worker.serve()
        worker.lose_runs(WorkerLost("gone"))

    with ours, theirs, anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            tasks.start_soon(drive)
            theirs.sendall(b"".join(sent))
            theirs.shutdown(socket.SHUT_WR)

    assert len(ended) == 1
    assert ended[0] is None or isinstance(ended[0], GuestError | HostError)

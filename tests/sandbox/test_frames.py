"""Frames survive their way through a stream of bytes, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import _frames as frames
from sandbox._frames import Cause, FrameError, FrameReader, Kind, Start, Tag

RECORDS = st.lists(st.tuples(st.sampled_from(list(Tag)), st.binary(max_size=50)), max_size=8)


@given(payloads=st.lists(st.binary(max_size=40), max_size=6), cut=st.integers(1, 30))
def test_frames_arrive_whole_and_in_order_however_the_stream_is_cut(payloads: list[bytes], cut: int) -> None:
    stream = b"".join(frames.encode(Kind.TURN, run, payload) for run, payload in enumerate(payloads))
    reader = FrameReader()

    arrived = [frame for at in range(0, len(stream), cut) for frame in reader.feed(stream[at : at + cut])]

    assert arrived == [(Kind.TURN, run, payload) for run, payload in enumerate(payloads)]


@given(setup=st.binary(max_size=40), source=st.binary(max_size=40), seed=st.binary(min_size=32, max_size=32))
def test_a_start_is_read_as_it_was_written(setup: bytes, source: bytes, seed: bytes) -> None:
    start = Start(cpu_limit_us=7, memory_bytes=2**21, clock_us=2**50, seed=seed, setup=setup, source=source)

    [(kind, run, payload)] = FrameReader().feed(frames.encode_start(9, start))

    assert (kind, run, frames.decode_start(payload)) == (Kind.START, 9, start)


@given(records=RECORDS)
def test_the_records_of_a_turn_arrive_in_order(records: list[tuple[Tag, bytes]]) -> None:
    sent = b"".join(frames.encode_turn(3, records, cpu_us=5, memory_bytes=6, is_answer=True))

    reports = [frames.decode_turn(payload) for _, _, payload in FrameReader().feed(sent)]

    assert [record for report in reports for record in report.records] == records
    assert [report.is_last for report in reports] == [False] * (len(reports) - 1) + [True]


def test_a_large_turn_is_sent_in_pieces() -> None:
    records = [(Tag.CALL, bytes(700_000)) for _ in range(3)]

    sent = list(frames.encode_turn(1, records, cpu_us=0, memory_bytes=0, is_answer=True))

    assert len(sent) == 3


@given(payload=st.binary(max_size=60))
def test_no_bytes_make_a_report_fail_in_any_other_way_than_a_frame_error(payload: bytes) -> None:
    for decode in (frames.decode_turn, frames.decode_failed, frames.decode_tick):
        try:
            decode(payload)
        except FrameError:
            continue


def test_a_frame_is_refused_by_its_length_before_it_is_kept() -> None:
    header = (2**32 - 1).to_bytes(4, "little") + bytes((Kind.TURN, 0, 0, 0, 0))

    with pytest.raises(FrameError, match="too large"):
        FrameReader().feed(header)


def test_a_failure_names_its_cause() -> None:
    [(_, run, payload)] = FrameReader().feed(
        frames.encode_failed(4, Cause.STACK, cpu_us=1, memory_bytes=2, is_answer=True)
    )

    report = frames.decode_failed(payload)

    assert (run, report.cause, report.is_answer) == (4, Cause.STACK, True)


@given(payloads=st.lists(st.binary(max_size=40), max_size=6), cut=st.integers(min_value=1, max_value=70))
def test_frames_are_read_from_a_buffer_that_is_used_again(payloads: list[bytes], cut: int) -> None:
    stream = b"".join(frames.encode(Kind.TURN, number, payload) for number, payload in enumerate(payloads))
    reader, buffer = FrameReader(), bytearray(cut)
    arrived: list[tuple[int, int, bytes]] = []

    for at in range(0, len(stream), cut):
        part = stream[at : at + cut]
        buffer[: len(part)] = part
        arrived += reader.feed(memoryview(buffer)[: len(part)])
        buffer[:] = bytes(cut)

    assert arrived == [(Kind.TURN, number, payload) for number, payload in enumerate(payloads)]

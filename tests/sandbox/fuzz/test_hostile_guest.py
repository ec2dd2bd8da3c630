"""Whatever a guest leaves in its memory, the host reads records of it or says that it broke the protocol.

SECURITY.md 2b, probes 55 and 56: addresses and lengths outside the memory, random bytes over the outbox.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox._errors import ProtocolError
from sandbox._isolate import IsolateTrap
from sandbox._records import EndRecord, read_call, read_log
from tests.sandbox._isolates import CLOCK_US, SEED
from tests.sandbox.fuzz._hostile_guest import MEMORY_BYTES, Left, make_isolate, make_module

if TYPE_CHECKING:
    from sandbox._guest import GuestModule
    from sandbox._isolate import Turn

U32 = st.integers(0, 2**32 - 1)
NEAR_THE_EDGE = st.integers(MEMORY_BYTES - 64, MEMORY_BYTES + 64)
ADDRESS = st.one_of(U32, NEAR_THE_EDGE, st.integers(0, MEMORY_BYTES))
RECORD = st.builds(
    lambda kind, body, lie: struct.pack("<IB", (len(body) + lie) % 2**32, kind) + body,
    st.one_of(st.sampled_from(b"CLE"), st.integers(0, 255)),
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from(
            [
                b'{"id":1,"method":"a","args":[]}',
                b'{"id":"1","method":[],"args":[1],"line":-1}',
                b'{"value":1,"unhandled":[],"unawaited_calls":[],"unawaited":0,"dropped_timers":0}',
                b'{"level":"log","text":"\\ud800"}',
                b"[" * 50,
            ]
        ),
    ),
    st.one_of(st.just(0), st.just(0), st.integers(-9, 9), U32),
)
OUTBOX = st.one_of(st.binary(max_size=200), st.lists(RECORD, max_size=6).map(b"".join))
ANY_STATUS = st.one_of(st.sampled_from([0, 1, 2]), st.integers(-(2**31), 2**31 - 1))


SETUP = b"{}"


@pytest.fixture(scope="module")
def module() -> GuestModule:
    return make_module()


def turn_of(module: GuestModule, left: Left, *, source: bytes = b"1") -> Turn | None:
    """Run one turn; None where the host refused what the guest left, in one of the two ways there are."""
    isolate = make_isolate(module, left)
    try:
        return isolate.start(SETUP, source, clock_us=CLOCK_US, seed=SEED)
    except (ProtocolError, IsolateTrap):
        return None
    finally:
        isolate.close()


@settings(max_examples=300)
@given(outbox=OUTBOX, status=ANY_STATUS, wake=st.integers(-(2**63), 2**63 - 1), abi=st.sampled_from([0, 1, 3, 3, 3]))
def test_random_bytes_over_the_outbox_are_records_or_a_breach_of_the_protocol(
    module: GuestModule, outbox: bytes, status: int, wake: int, abi: int
) -> None:
    left = Left(abi=abi, status=status, outbox_length=len(outbox), memory=outbox, wake_at_us=wake)
    turn = turn_of(module, left)

    if turn is not None:
        assert (turn.end is not None) == (status == 1)
        assert all(record in outbox for record in (*turn.calls, *turn.logs))
        for record in turn.calls:
            with suppress(ProtocolError):
                read_call(record)
        for record in turn.logs:
            with suppress(ProtocolError):
                read_log(record)
        with suppress(ProtocolError):
            EndRecord(turn.end or b"{}")


@settings(max_examples=300)
@given(address=ADDRESS, length=ADDRESS)
def test_an_outbox_outside_the_memory_is_never_read(module: GuestModule, address: int, length: int) -> None:
    turn = turn_of(module, Left(outbox=address, outbox_length=length))

    # The memory holds zeros there, and no zero is a kind of record.
    assert turn is None or length == 0
    assert not (turn is not None and address + length > MEMORY_BYTES and length)


@settings(max_examples=300)
@given(address=ADDRESS, capacity=U32, reserved=ADDRESS, size=st.integers(0, 90_000))
def test_an_inbox_outside_the_memory_is_never_written(
    module: GuestModule, address: int, capacity: int, reserved: int, size: int
) -> None:
    left = Left(inbox=address, inbox_capacity=capacity, reserved=reserved)
    ends = [(reserved if written >= capacity else address) + written for written in (len(SETUP), size)]
    turn = turn_of(module, left, source=bytes(size))

    # A write inside the guest's own memory harms the guest alone; one past its end would be into ours.
    assert turn is None or max(ends) < MEMORY_BYTES


def test_a_record_at_the_last_byte_of_the_memory_is_read_and_one_past_it_is_not(module: GuestModule) -> None:
    record = struct.pack("<IB", 2, ord("L")) + b"{}"
    at = MEMORY_BYTES - len(record)
    fits = Left(outbox=at, outbox_length=len(record), memory=record, memory_at=at)
    past = Left(outbox=at + 1, outbox_length=len(record), memory=record, memory_at=at)

    kept = turn_of(module, fits)
    assert kept is not None
    assert kept.logs == (b"{}",)
    assert turn_of(module, past) is None

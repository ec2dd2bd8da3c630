"""Isolates made ahead of time: the one that is prepared, for whom it is, and that it is like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox._errors import ProtocolError
from sandbox._isolate import Isolate
from sandbox._spare import Spare
from sandbox._worker import rehearse
from tests.sandbox._isolates import CLOCK_US, LIMITS, SEED, make_setup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sandbox._isolates import Host

MEMORY_BYTES = LIMITS["memory_bytes"]
OURS, THEIRS = make_setup(), make_setup(source_bytes=1_000)
PROGRAM = b"[typeof host.add, Object.keys(host).length, Math.random(), Date.now(), performance.now(), await host.x(1)]"


@pytest.fixture
def spare(host: Host) -> Iterator[Spare]:
    spare = Spare(host.module, rehearse(host.module), memory_bytes=MEMORY_BYTES, stock=2)
    yield spare
    spare.take(1, b"").close()  # for another limit: all that wait are done
    while spare.has_retired:
        spare.close_one()


def fill(spare: Spare) -> None:
    while spare.is_wanted:
        spare.make()


def taken(spare: Spare, setup: bytes) -> bool:
    """Take an isolate, with the stock filled before, and say whether it was prepared."""
    fill(spare)
    isolate = spare.take(MEMORY_BYTES, setup)
    isolate.close()
    return isolate.setup is not None


def test_the_setup_of_the_last_run_is_prepared_for_the_next(spare: Spare) -> None:
    assert [taken(spare, OURS) for _ in range(3)] == [False, True, True]


def test_a_setup_that_comes_twice_is_prepared_in_place_of_the_one_before(spare: Spare) -> None:
    assert [taken(spare, setup) for setup in (OURS, THEIRS, THEIRS, THEIRS)] == [False, False, False, True]


def test_of_two_setups_that_take_turns_the_first_stays_prepared(spare: Spare) -> None:
    assert [taken(spare, setup) for setup in (OURS, THEIRS, OURS, THEIRS, OURS)] == [False, False, True, False, True]


def test_another_memory_limit_takes_nothing_of_what_waits(spare: Spare) -> None:
    taken(spare, OURS)
    fill(spare)

    isolate = spare.take(2 * MEMORY_BYTES, OURS)

    assert isolate.setup is None
    assert spare.has_retired
    isolate.close()


def test_isolates_that_are_done_wait_to_be_closed_and_not_too_many_of_them(host: Host, spare: Spare) -> None:
    done = [Isolate(host.module, memory_bytes=MEMORY_BYTES) for _ in range(10)]
    for isolate in done:
        spare.retire(isolate)

    closed = 0
    while spare.has_retired:
        spare.close_one()
        closed += 1
    assert closed == 3  # one more than the stock; the others have made place


def test_what_the_next_run_needs_comes_before_what_is_over(host: Host, spare: Spare) -> None:
    spare.retire(Isolate(host.module, memory_bytes=MEMORY_BYTES))
    made = 0
    while spare.is_wanted:
        spare.do_chore()
        made += 1
    is_still_open = spare.has_retired
    spare.do_chore()

    assert (made, is_still_open) == (2, True)
    assert not spare.has_chore


def test_a_program_cannot_tell_a_prepared_isolate_from_another(host: Host) -> None:
    ends = []
    for is_ahead in (False, True):
        isolate = Isolate(host.module, memory_bytes=MEMORY_BYTES)
        if is_ahead:
            isolate.prepare(OURS)
        isolate.start(OURS, PROGRAM, clock_us=CLOCK_US, seed=SEED)
        ends.append(isolate.settle(b'[{"id":1,"ok":true,"value":2}]', clock_us=CLOCK_US + 5_000).end)
        isolate.close()

    assert ends[0] == ends[1]
    assert ends[0] is not None


def test_thousands_of_method_names_are_there_in_a_prepared_isolate(host: Host) -> None:
    names = "\n".join(f"server_tool_{number}" for number in range(3_000))
    isolate = Isolate(host.module, memory_bytes=MEMORY_BYTES)
    isolate.prepare(make_setup(methods=names))

    turn = isolate.start(isolate.setup or b"", b"Object.keys(host)[2999]", clock_us=CLOCK_US, seed=SEED)

    assert turn.end is not None
    assert b'"value":"server_tool_2999"' in turn.end
    isolate.close()


def test_a_prepared_isolate_runs_with_no_other_setup(host: Host) -> None:
    isolate = Isolate(host.module, memory_bytes=MEMORY_BYTES)
    isolate.prepare(OURS)

    with pytest.raises(ValueError, match="another setup"):
        isolate.start(THEIRS, b"1", clock_us=CLOCK_US, seed=SEED)
    with pytest.raises(ValueError, match="once"):
        isolate.prepare(OURS)
    isolate.close()


def test_what_is_no_setup_is_refused(host: Host) -> None:
    isolate = Isolate(host.module, memory_bytes=MEMORY_BYTES)

    with pytest.raises(ProtocolError, match="setup"):
        isolate.prepare(b'{"limits":{}}')
    isolate.close()

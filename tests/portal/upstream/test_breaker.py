"""An upstream that keeps failing is left alone, and tried again in time."""

from __future__ import annotations

from portal.upstream._breaker import OPEN_AFTER, PROBE_S, Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def failed(breaker: Breaker, times: int) -> bool:
    for _ in range(times):
        breaker.failed(breaker.now())
    return breaker.is_open


async def test_the_breaker_opens_with_the_fifth_failure_in_a_row() -> None:
    breaker = Breaker()

    assert OPEN_AFTER == 5
    assert not failed(breaker, 4)
    assert failed(breaker, 1)


async def test_a_success_in_between_counts_from_the_start() -> None:
    breaker = Breaker()
    failed(breaker, 4)
    breaker.succeeded()

    assert not failed(breaker, 4)


async def test_an_open_breaker_is_probed_every_30_seconds_with_jitter() -> None:
    clock = Clock()
    breaker = Breaker(clock=clock)
    failed(breaker, 5)
    waits = [breaker.probe_in_s]
    for _ in range(20):
        clock.now += breaker.probe_in_s
        assert breaker.probe_in_s == 0
        breaker.failed(clock.now)
        waits.append(breaker.probe_in_s)

    assert PROBE_S == 30
    assert all(0.75 * PROBE_S <= wait <= 1.25 * PROBE_S for wait in waits)
    assert len(set(waits)) > 10


async def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = Breaker()
    failed(breaker, 5)
    breaker.succeeded()

    assert not breaker.is_open
    assert not failed(breaker, 4)


async def test_half_open_one_failure_opens_it_again_and_one_success_closes_it() -> None:
    breaker = Breaker()
    failed(breaker, 5)
    breaker.let_one_through()
    assert not breaker.is_open
    assert failed(breaker, 1)
    breaker.let_one_through()
    breaker.succeeded()

    assert not failed(breaker, 4)


async def test_tries_that_fail_together_count_as_one() -> None:
    """A restart breaks every connection at once, and is over in a second."""
    clock = Clock()
    breaker = Breaker(clock=clock)
    began = [clock.now + number / 10 for number in range(10)]
    clock.now += 5
    for began_at in began:
        breaker.failed(began_at)

    assert breaker.failures == 1
    assert failed(breaker, 4)

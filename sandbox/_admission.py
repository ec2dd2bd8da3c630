"""Who may begin a run now, who waits and in what order, and who is told to come back later. No I/O here.

Each user has a queue. The next run to begin is the first of the user who has lately used the least processor time, so
that whoever fills a queue delays nobody else. What a user's runs use is counted as it is reported.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from sandbox._errors import CpuLimitExceeded, MemoryLimitExceeded, Overloaded
from sandbox._limits import MEMORY_BESIDE_HEAP_BYTES
from sandbox._meter import CpuMeter

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox._bounds import Bounds
    from sandbox._errors import GuestError, HostError
    from sandbox._frames import Report

NOBODY: Final = ""
_CALL_CPU_S = 0.0001  # what answering one host call costs the portal, whatever the program
_OFFENCE_S = 60.0  # how long after a long turn the runs of its user are kept apart from those of others
_SAME_S = 0.1  # users whose use differs by less than this are served by turns
_MANY_SHARES = 1_000


class Seat:
    """One run on its way: whose it is, and what it has used up to now."""

    __slots__ = ("_stop", "cpu_s", "is_admitted", "kept_bytes", "needed_bytes", "share", "stopped_by", "taken_bytes")

    def __init__(self, share: Share, *, memory_bytes: int, stop: Callable[[], None]) -> None:
        self.share = share
        self.needed_bytes = memory_bytes + MEMORY_BESIDE_HEAP_BYTES
        self.taken_bytes = 0  # what it may have: all that it may grow to, until its first turn says what it kept
        self.kept_bytes = 0
        self.is_admitted = False
        self.stopped_by: GuestError | HostError | None = None
        self.cpu_s = 0.0  # as its last turn said
        self._stop = stop

    def stop(self, error: GuestError | HostError) -> None:
        """End the run with ``error``, unless it has just ended by itself."""
        self.stopped_by = self.stopped_by or error
        self._stop()


class Share:
    """What one user's runs have of the sandbox."""

    def __init__(self, owner: str, bounds: Bounds) -> None:
        self.owner = owner
        self.is_bounded = owner != NOBODY  # whether the bounds of a user hold for it
        self.waiting: deque[Seat] = deque()
        self.seats: set[Seat] = set()  # those that have begun
        self.meter = CpuMeter(budget_s=bounds.user_cpu_s, window_s=bounds.cpu_window_s)
        self.taken_bytes = 0
        self.kept_bytes = 0
        self.long_turns = 0
        self.served = 0
        self.offended_at = -math.inf

    def is_offender(self, now: float) -> bool:
        """Whether a run of this user has lately held a worker for long."""
        return now - self.offended_at < _OFFENCE_S


class Admission:
    """Counts runs, and says which may begin. ``long_turns`` bounds the workers that one user may hold for long."""

    def __init__(
        self, bounds: Bounds, *, long_turns: int, run_bytes: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.runs = 0
        self.waiting = 0
        self._bounds = bounds
        self._long_turns = long_turns
        self._run_bytes = run_bytes  # what a run keeps that has not grown at all
        self._memory_bytes = bounds.total_memory_bytes
        self._meter = None if bounds.cpu_s is None else CpuMeter(budget_s=bounds.cpu_s, window_s=bounds.cpu_window_s)
        self._shares: dict[str, Share] = {}
        self._taken_bytes = 0
        self._kept_bytes = 0
        self._served = 0
        self._now = now

    def share(self, owner: str) -> Share:
        """Return the share of ``owner``."""
        found = self._shares.get(owner)
        if found is None:
            if len(self._shares) >= _MANY_SHARES:
                self._forget_idle_shares()
            found = self._shares[owner] = Share(owner, self._bounds)
        return found

    def check(self, share: Share, *, unread: int = 0) -> None:
        """Raise ``Overloaded`` when a run of this user must not even wait; ``unread`` of them wait to be read."""
        bounds, now = self._bounds, self._now()
        if share.is_bounded and share.meter.spent_s(now) >= share.meter.budget_s:
            text = "your programs have used their processor time"
            raise self._refusal("user_cpu_s", bounds.user_cpu_s, share.meter.wait_s(now), text)
        if self._meter is not None and self._meter.spent_s(now) >= self._meter.budget_s:
            text = "programs have used their processor time"
            raise self._refusal("cpu_s", self._meter.budget_s, self._meter.wait_s(now), text)
        is_queue_full = share.is_bounded and max(len(share.waiting), unread) >= bounds.user_waiting
        if is_queue_full and (unread or not self._has_room(share)):
            raise self._queue_full("user_waiting", bounds.user_waiting, "many of your programs wait already")
        if self.waiting >= bounds.waiting and not self._has_room(share):
            raise self._queue_full("waiting", bounds.waiting, "many programs wait already")

    def given_up(self, share: Share) -> Overloaded:
        """Return the error of a run that has waited as long as it may."""
        has_too_many = share.is_bounded and len(share.seats) >= self._bounds.user_runs
        bound, most = ("user_runs", self._bounds.user_runs) if has_too_many else ("wait_s", self._bounds.wait_s)
        text = "as many of your programs run as may" if has_too_many else "no room became free for the program in time"
        return self._refusal(bound, most, self._bounds.wait_s / 2, text)

    def may_begin(self, seat: Seat) -> bool:
        """Say whether the bounds leave room for this run now."""
        if seat.is_admitted:  # it is started again, in the room that it has
            return True
        bounds, share = self._bounds, seat.share
        if self.runs >= bounds.runs or (
            self._taken_bytes and self._taken_bytes + seat.needed_bytes > self._memory_bytes
        ):
            return False
        return not share.is_bounded or (
            len(share.seats) < bounds.user_runs
            and share.long_turns < self._long_turns
            and (not share.taken_bytes or share.taken_bytes + seat.needed_bytes <= bounds.user_memory_bytes)
        )

    def wait(self, seat: Seat) -> None:
        """Put a run at the end of its user's queue; one that is started again comes first."""
        self.waiting += 1
        if seat.is_admitted:
            seat.share.waiting.appendleft(seat)
        else:
            seat.share.waiting.append(seat)

    def leave_queue(self, seat: Seat) -> None:
        """Take a run out of its queue."""
        self.waiting -= 1
        seat.share.waiting.remove(seat)

    def next_in_line(self) -> list[Seat]:
        """Return the first of each user's queue that may begin, in the order in which they should."""
        now = self._now()
        shares = [share for share in self._shares.values() if share.waiting and self.may_begin(share.waiting[0])]
        shares.sort(key=lambda share: (share.meter.spent_s(now) // _SAME_S, share.served))
        return [share.waiting[0] for share in shares]

    def begin(self, seat: Seat) -> None:
        """Count a run as begun; ``end`` it."""
        self._served += 1
        seat.share.served = self._served
        if not seat.is_admitted:
            seat.is_admitted = True
            seat.share.seats.add(seat)
            self.runs += 1
            self._hold(seat, taken_bytes=seat.needed_bytes, kept_bytes=0)

    def end(self, seat: Seat) -> None:
        """Give back what the run has."""
        if seat.is_admitted:
            seat.is_admitted = False
            seat.share.seats.discard(seat)
            self.runs -= 1
            self._hold(seat, taken_bytes=0, kept_bytes=0)

    def report(self, seat: Seat, report: Report, calls: int) -> None:
        """Count what a run has used up to now, with so many host calls more, and stop runs where memory is used up."""
        cpu_s = report.cpu_us / 1e6
        self.spend(seat.share, max(0.0, cpu_s - seat.cpu_s) + calls * _CALL_CPU_S)  # one that is started again has less
        seat.cpu_s = cpu_s
        kept_bytes = report.grown_bytes + self._run_bytes
        if seat.is_admitted and (kept_bytes != seat.kept_bytes or kept_bytes != seat.taken_bytes):
            self._hold(seat, taken_bytes=kept_bytes, kept_bytes=kept_bytes)
            self._stop_what_is_too_large(seat)

    def spend(self, share: Share, cpu_s: float) -> None:
        """Count processor time that was used for a user."""
        now = self._now()
        share.meter.spend(cpu_s, now=now)
        if self._meter is not None:
            self._meter.spend(cpu_s, now=now)

    def begin_long_turn(self, seat: Seat) -> None:
        """Learn that a run holds its worker; ``end_long_turn`` when it no longer does."""
        seat.share.long_turns += 1
        seat.share.offended_at = self._now()

    def end_long_turn(self, seat: Seat) -> None:
        """Learn that it does no longer."""
        seat.share.long_turns -= 1
        seat.share.offended_at = self._now()

    def is_offender(self, share: Share) -> bool:
        """Say whether a run of this user has lately held a worker for long."""
        return share.is_offender(self._now())

    def _has_room(self, share: Share) -> bool:
        is_below = not share.is_bounded or len(share.seats) < self._bounds.user_runs
        return is_below and not share.waiting and self.runs < self._bounds.runs

    def _hold(self, seat: Seat, *, taken_bytes: int, kept_bytes: int) -> None:
        share = seat.share
        more_taken, more_kept = taken_bytes - seat.taken_bytes, kept_bytes - seat.kept_bytes
        seat.taken_bytes, seat.kept_bytes = taken_bytes, kept_bytes
        share.taken_bytes += more_taken
        share.kept_bytes += more_kept
        self._taken_bytes += more_taken
        self._kept_bytes += more_kept

    def _stop_what_is_too_large(self, seat: Seat) -> None:
        """Stop this run when it takes its user past the bound; the largest of the largest user when all are past it."""
        most = self._bounds.user_memory_bytes
        if seat.share.is_bounded and seat.share.kept_bytes > most and len(seat.share.seats) > 1:
            text = f"your programs hold more than {most} bytes together; keep fewer results, or run fewer at a time"
            seat.stop(MemoryLimitExceeded(text, limit="user_memory_bytes", max=most, used=seat.share.kept_bytes))
        elif self._kept_bytes > self._memory_bytes and self.runs > 1:
            largest = max(self._shares.values(), key=lambda share: share.kept_bytes)
            victim = max(largest.seats, key=lambda each: each.kept_bytes)
            text = f"all programs together hold more than {self._memory_bytes} bytes, and this one the most; keep less"
            victim.stop(
                MemoryLimitExceeded(text, limit="total_memory_bytes", max=self._memory_bytes, used=self._kept_bytes)
            )

    def _queue_full(self, bound: str, most: int, text: str) -> Overloaded:
        return self._refusal(bound, most, max(1.0, self._bounds.wait_s / 2), text)

    def _refusal(self, bound: str, most: float, retry_after_s: float, text: str) -> Overloaded:
        retry_after_s = math.ceil(max(1.0, retry_after_s))
        message = f"{text} ({bound} is {most:g}); send the program again in {retry_after_s} s"
        return Overloaded(message, bound=bound, max=most, retry_after_s=retry_after_s)

    def _forget_idle_shares(self) -> None:
        now = self._now()
        for owner, share in list(self._shares.items()):
            if not (share.waiting or share.seats or share.meter.spent_s(now) or share.is_offender(now)):
                del self._shares[owner]


def held_up_error(turn_s: float) -> CpuLimitExceeded:
    """Return the error of a run whose turn was stopped because runs of others waited for it."""
    text = f"the program computed for more than {turn_s:g} s at a stretch while programs of others waited for it"
    return CpuLimitExceeded(f"{text}; send it again, or compute less at a time", limit="shared_turn_s", max=turn_s)

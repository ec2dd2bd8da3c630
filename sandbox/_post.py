"""One worker process and the runs that it holds, as the pool sees them: who may join them, and who waits for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from sandbox._admission import Admission, Seat
    from sandbox._config import Isolation
    from sandbox._process import WorkerProcess


class Post:
    """A worker's place in the pool. ``worker`` is there once it has started."""

    def __init__(self, isolation: Isolation, admission: Admission, *, most_runs: int) -> None:
        self.is_taken = anyio.Event()  # by its first run, or lost before
        self.worker: WorkerProcess | None = None
        self._isolation = isolation
        self._admission = admission
        self._most_runs = 1 if isolation == "run" else most_runs
        self._seats: dict[int, Seat] = {}
        self._owners: dict[str, int] = {}  # how many runs of each
        self._first_owner: str | None = None
        self._long: Seat | None = None
        self._next_run = 0  # the last one's: they are told apart within one worker
        self.held_up_since: float | None = None  # runs of others wait since then for the long turn of one

    @property
    def is_idle(self) -> bool:
        """Whether its worker holds no run and waits for one."""
        return self.worker is not None and self.worker.is_free and not self._seats

    @property
    def is_fresh(self) -> bool:
        """Whether it has met no program yet."""
        return self._first_owner is None

    @property
    def runs(self) -> int:
        """How many runs it holds."""
        return len(self._seats)

    def holds_others(self, owner: str) -> bool:
        """Whether runs of anybody but ``owner`` are in it."""
        return len(self._owners) > (owner in self._owners)

    def takes(self, owner: str, *, is_busy_ok: bool) -> bool:
        """Whether a run of ``owner`` may begin in it now; with ``is_busy_ok`` also behind a few short turns."""
        worker = self.worker
        if worker is None or len(self._seats) >= self._most_runs:
            return False
        if self._isolation != "shared" and self._is_closed_to(owner):
            return False
        return worker.is_free or (is_busy_ok and worker.is_moving)

    def add(self, seat: Seat) -> int:
        """Give a run its place, and its number in this worker."""
        if self._first_owner is None:
            self._first_owner = seat.share.owner
            self.is_taken.set()
        self._next_run += 1
        self._seats[self._next_run] = seat
        self._owners[seat.share.owner] = self._owners.get(seat.share.owner, 0) + 1
        if self.worker is not None:
            self.worker.is_reserved = True
        return self._next_run

    def remove(self, run: int) -> None:
        """Take a run out that is over."""
        seat = self._seats.pop(run)
        owner = seat.share.owner
        self._owners[owner] -= 1
        if not self._owners[owner]:
            del self._owners[owner]
        if seat is self._long:
            self._end_long_turn()
        if run == self._next_run and self.worker is not None:
            self.worker.is_reserved = False  # it may have been given up before it began

    def note_long_turn(self) -> Seat | None:
        """Count a long turn of one of its runs as its user's; return the run while it is inside one."""
        worker = self.worker
        seat = self._seats.get(worker.long_run) if worker is not None and worker.long_run is not None else None
        if seat is not self._long:
            if self._long is not None:
                self._end_long_turn()
            if seat is not None:
                self._long = seat
                self._admission.begin_long_turn(seat)
        return seat

    def has_others_waiting(self, owner: str) -> bool:
        """Whether a run of anybody but ``owner`` waits for a turn of the worker."""
        worker = self.worker
        return worker is not None and any(
            seat.share.owner != owner and worker.owes_turn(run) for run, seat in self._seats.items()
        )

    def _is_closed_to(self, owner: str) -> bool:
        if self._first_owner is None:
            return False
        return self._isolation == "run" or self._first_owner != owner

    def _end_long_turn(self) -> None:
        if self._long is not None:
            self._admission.end_long_turn(self._long)
        self._long = None

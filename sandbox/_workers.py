"""The workers of a sandbox: kept going, added and replaced as runs need them, and handed to the runs that wait."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

import anyio

from sandbox._admission import held_up_error
from sandbox._errors import HostError, SandboxClosed, WorkerLost
from sandbox._post import Post
from sandbox._seal import check_isolation
from sandbox._status import WorkerStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.abc import TaskGroup

    from sandbox._admission import Admission, Seat
    from sandbox._config import SandboxConfig
    from sandbox._process import WorkerProcess
    from sandbox._seal import IsolationLayer

_log = logging.getLogger("sandbox")

_IDLE_S = 30.0  # how long such a worker waits for another use
_RETRY_FIRST_S, _RETRY_MOST_S = 0.1, 5.0
_PATIENCE_S = 0.050  # while runs wait and none of them has begun for this long, more is done for them
_NOBODY_THERE = (False, False, 0)  # there is no better place
_SHARED_TURN_S = 1.0  # how long a turn may hold up runs of others in its worker


class WorkerSource(Protocol):
    """What starts workers."""

    async def start(self, on_change: Callable[[], None]) -> WorkerProcess:
        """Start one and wait until it is sealed and ready. Raises ``HostError``."""
        ...


class Place(NamedTuple):
    """A run's worker, and the run's number in it."""

    post: Post
    worker: WorkerProcess
    run: int


class Workers:
    """Keeps the base workers going, and more while these are not enough, from ``open`` and ``serve`` to ``close``.

    A run goes to a worker that waits for a turn to do: to one that holds no run of anybody else if there is one, else
    to the one with the fewest runs.
    """

    def __init__(self, config: SandboxConfig, admission: Admission) -> None:
        self.lost = 0
        self.layers: tuple[IsolationLayer, ...] = ()
        self._config = config
        self._admission = admission
        self._source: WorkerSource | None = None
        self._first: Post | None = None
        self._posts: list[Post] = []  # those that runs may join
        self._used: set[Post] = set()  # those whose one run is going on, where each has a process of its own
        self._slots = 0
        self._waiters: dict[Seat, _Waiter] = {}
        self._has_waiters = anyio.Event()
        self._placed = 0
        self._tasks: TaskGroup | None = None

    async def open(self, source: WorkerSource) -> None:
        """Start the first worker. Raises ``HostError`` when that does not come about."""
        self._source = source
        self._first = await self._start(source)

    def serve(self, tasks: TaskGroup) -> None:
        """Keep the workers going, in ``tasks``, until these are cancelled."""
        self._tasks = tasks
        first, self._first = self._first, None
        for post in (first, *[None] * (self._config.base_workers - 1)):
            self._slots += 1
            tasks.start_soon(self._keep_spare if self._config.isolation == "run" else self._keep_worker, post)
        tasks.start_soon(self._mind_waiters)

    def close(self) -> None:
        """End every run, and every wait for a worker, with ``SandboxClosed``."""
        self._tasks = None
        for worker in self._processes():
            worker.lose_runs(SandboxClosed("the sandbox was closed during the run"))
        for waiter in self._waiters.values():
            waiter.event.set()

    def reserve_now(self, seat: Seat) -> Place | None:
        """Return a place if there is one, and nobody waits before this run; ``release`` it afterwards."""
        if seat.share.waiting or not self._admission.may_begin(seat):
            return None
        return self._place(seat, is_impatient=False)

    async def reserve(self, seat: Seat) -> Place:
        """Wait for a place. Raises ``Overloaded`` when there is none in time; ``release`` it afterwards."""
        place = self.reserve_now(seat)
        if place is not None:
            return place
        waiter = self._waiters[seat] = _Waiter()
        self._admission.wait(seat)
        self._has_waiters.set()
        self._hand_on()
        try:
            with anyio.move_on_after(self._config.bounds.wait_s):
                await waiter.event.wait()
        except BaseException:
            if waiter.place is not None:
                self.release(waiter.place)
            raise
        finally:
            if waiter.place is None:
                del self._waiters[seat]
                self._admission.leave_queue(seat)
        if waiter.place is None:
            raise (
                SandboxClosed("the sandbox was closed before the run had begun")
                if self._tasks is None
                else self._admission.given_up(seat.share)
            )
        return waiter.place

    def release(self, place: Place) -> None:
        """Give a place back."""
        place.post.remove(place.run)
        if self._config.isolation == "run":
            place.worker.retire()
        if self._waiters:
            self._hand_on()

    def status(self) -> tuple[WorkerStatus, ...]:
        """Report each worker at this moment."""
        return tuple(
            WorkerStatus(pid=worker.pid, runs=worker.runs, is_in_long_turn=worker.is_in_long_turn)
            for worker in self._processes()
        )

    def _processes(self) -> Iterator[WorkerProcess]:
        return (post.worker for post in (*self._posts, *self._used) if post.worker is not None)

    def _hand_on(self, *, is_impatient: bool = False) -> None:
        """Give places to the runs that wait, and see that there will be more of them where there are none."""
        while self._waiters and self._tasks is not None:
            line = self._admission.next_in_line()
            for seat in line:
                place = self._place(seat, is_impatient=is_impatient)
                if place is not None:
                    self._admission.leave_queue(seat)
                    waiter = self._waiters.pop(seat)
                    waiter.place = place
                    waiter.event.set()
                    break
            else:
                if line:
                    self._make_room(line, is_impatient=is_impatient)
                return

    def _place(self, seat: Seat, *, is_impatient: bool) -> Place | None:
        """Give a run a place if there is one for it now."""
        owner = seat.share.owner
        best: Post | None = None
        best_key = (True, True, 0)
        is_by_user = self._config.isolation == "user"
        for post in self._posts:
            if post.takes(owner, is_busy_ok=is_impatient):
                key = (post.holds_others(owner), is_by_user and post.is_fresh, post.runs)
                if best is None or key < best_key:
                    best, best_key = post, key
                if key == _NOBODY_THERE:
                    break
        if best is None or best.worker is None:
            return None
        if best_key[0]:  # runs of others would wait for this one's turns
            can_grow = self._slots < self._config.most_workers
            self._grow()
            if self._admission.is_offender(seat.share) and (can_grow or not is_impatient):
                return None
        self._admission.begin(seat)
        self._placed += 1
        place = Place(best, best.worker, best.add(seat))
        if self._config.isolation == "run":
            self._posts.remove(best)
            self._used.add(best)
        elif is_by_user and not any(post.is_fresh for post in self._posts):
            self._grow()
        return place

    def _make_room(self, line: list[Seat], *, is_impatient: bool) -> None:
        """Add a worker when every one there is has been inside its turn for long, or nothing has moved for a while.

        Where a worker serves one user, one that waits for its user's next run is given up for another's.
        """
        starting = self._slots - len(self._posts)
        if self._config.isolation == "user" and starting < min(len(line), self._config.base_workers):
            idle = next((post for post in self._posts if post.is_idle and not post.is_fresh), None)
            if self._slots < self._config.most_workers:
                self._grow()
            elif idle is not None and idle.worker is not None:
                idle.worker.retire()
        elif self._config.isolation == "shared" and (is_impatient or self._is_stuck()):
            self._grow()

    def _is_stuck(self) -> bool:
        return all(post.worker is not None and post.worker.is_in_long_turn for post in self._posts)

    def _grow(self) -> None:
        """Add a worker, unless one is about to come or there are as many as may be."""
        if self._tasks is not None and len(self._posts) == self._slots < self._config.most_workers:
            self._slots += 1
            self._tasks.start_soon(self._keep_extra_worker)

    def _look_at(self, post: Post) -> None:
        """Learn that a worker has become free, or is in a long turn."""
        seat = post.note_long_turn()
        if seat is None:
            post.held_up_since = None
        elif post.has_others_waiting(seat.share.owner):
            now = time.monotonic()
            post.held_up_since = now if post.held_up_since is None else post.held_up_since
            if now - post.held_up_since >= _SHARED_TURN_S:
                seat.stop(held_up_error(_SHARED_TURN_S))
        if self._waiters:
            self._hand_on()

    async def _mind_waiters(self) -> None:
        while True:
            await self._has_waiters.wait()
            placed = self._placed
            await anyio.sleep(_PATIENCE_S)
            if not self._waiters:
                self._has_waiters = anyio.Event()
            elif self._placed == placed:
                self._hand_on(is_impatient=True)

    async def _keep_worker(self, post: Post | None) -> None:
        """Own one worker after the other: when one is lost the next is started."""
        while True:
            await self._serve_post(post if post is not None else await self._start_at_last())
            post = None

    async def _keep_spare(self, post: Post | None) -> None:
        """Keep one worker ready for the next run, which has it for itself."""
        tasks = self._tasks  # gone from here when the sandbox closes, while one may be on its way
        while tasks is not None:
            if post is None:
                post = await self._start_at_last()
            tasks.start_soon(self._serve_post, post)
            await post.is_taken.wait()
            post = None

    async def _keep_extra_worker(self) -> None:
        try:
            post = await self._start(self._source)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_retire_when_idle, post)
                await self._serve_post(post)
                tasks.cancel_scope.cancel()
        except HostError as error:
            _log.error("another worker did not start: %s", error)
        finally:
            self._slots -= 1

    async def _start_at_last(self) -> Post:
        retry_s = _RETRY_FIRST_S
        while True:
            try:
                return await self._start(self._source)
            except HostError as error:
                _log.error("a worker did not start, the next attempt is in %.1f s: %s", retry_s, error)
            await anyio.sleep(retry_s)
            retry_s = min(retry_s * 2, _RETRY_MOST_S)

    async def _start(self, source: WorkerSource | None) -> Post:
        if source is None:
            raise SandboxClosed("the sandbox is not open")
        post = Post(self._config.isolation, self._admission, most_runs=self._config.runs_per_worker)
        worker = await source.start(partial(self._look_at, post))
        try:
            check_isolation(worker.layers, is_required=self._config.require_isolation)
        except BaseException:
            await worker.aclose()
            raise
        self.layers = worker.layers
        post.worker = worker
        self._posts.append(post)
        return post

    async def _serve_post(self, post: Post) -> None:
        worker = post.worker
        if worker is None:
            return
        self._hand_on()
        is_retired = False
        try:
            await worker.serve()
            is_retired = worker.is_retired
        finally:
            post.is_taken.set()
            if post in self._used:
                self._used.remove(post)
            else:
                self._posts.remove(post)
            worker.lose_runs(WorkerLost("the worker process of the run died"))
            await worker.aclose()
        self.lost += not is_retired


class _Waiter:
    """A run without a worker."""

    __slots__ = ("event", "place")

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.place: Place | None = None


async def _retire_when_idle(post: Post) -> None:
    was_idle = False
    while True:
        await anyio.sleep(_IDLE_S / 2)
        if post.is_idle and was_idle and post.worker is not None:
            post.worker.retire()
            return
        was_idle = post.is_idle

"""Programs over a catalog of tools: the path from a submitted text to the agent's answer."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import anyio

from engine._errors import CallError, UnknownRunError
from engine._journal import Journal
from engine._kept_runs import MemoryRunStore, new_run_id
from engine._learned import LearnedView, Learner, MemoryLearnedTypes
from engine._limits import EngineLimits
from engine._query import query_tools
from engine._quote import quoted_part
from engine._run import Run
from engine._source import program_text
from sandbox import RunCancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from types import TracebackType
    from typing import Self

    from engine._answer import Answer
    from engine._call import Invoker
    from engine._catalog import Catalog, CatalogTool
    from engine._journal import KeptCall
    from engine._kept_runs import RunStore
    from engine._learned import LearnedTypes
    from engine._query import Detail
    from engine._records import RunRecord
    from sandbox import Sandbox
    from typegen import JsonObject

logger = logging.getLogger("portico.engine")

NO_ACCOUNTS: Final[Mapping[str, str]] = MappingProxyType({})
LEAST_WAIT_S: Final = 0.05
"""While a run is paused its patience stands still, and is looked at again and again."""
LOCAL_OWNER = "local"
"""Who runs belong to where nobody signs in."""


class Engine:
    """Runs programs in a sandbox over whatever catalog and invoker it is handed with each. Shared by all callers.

    It works inside ``async with``; leaving stops the runs that still go on in the background.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        limits: EngineLimits | None = None,
        store: RunStore | None = None,
        learned: LearnedTypes | None = None,
    ) -> None:
        self._sandbox = sandbox
        self._limits = limits if limits is not None else EngineLimits()
        self._store: RunStore = (
            store
            if store is not None
            else MemoryRunStore(max_bytes=self._limits.kept_bytes, keep_s=self._limits.kept_s)
        )
        self._learner = Learner(learned if learned is not None else MemoryLearnedTypes())
        self._running: dict[tuple[str, str], _Task] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_open = False

    async def __aenter__(self) -> Self:
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        for task in self._running.values():
            task.cancel()
        with anyio.CancelScope(shield=True):  # bounded: what they wait for is cancelled
            while self._tasks:
                await asyncio.wait(self._tasks)

    async def code(
        self,
        submitted: str,
        *,
        catalog: Catalog,
        invoker: Invoker,
        owner: str = LOCAL_OWNER,
        resume: str | None = None,
        accounts: Mapping[str, str] = NO_ACCOUNTS,
        on_end: Callable[[RunRecord], None] | None = None,
    ) -> Answer:
        """Run one program, as an agent submitted it, and write its answer.

        Tools exist only as ``catalog`` lists them, and calls leave only through ``invoker``. A failing program is an
        answer with ``is_error``; nothing is raised for it. ``owner`` is who may ask for the run's result again and who
        may ``resume`` it: calls that the run with that id completed are then answered from its record. A run that
        takes longer than ``EngineLimits.background_after_s`` is answered with its id and goes on; ``on_end`` gets the
        record of every run once, when it has ended.

        What results look like is learned, for the declarations of tools without an output schema. ``accounts`` names,
        by server id, the account with which this caller calls a server, where callers have accounts of their own:
        what is learned there is shown to the same account only.

        Raises ``UnknownRunError`` when there is nothing to resume.
        """
        source = program_text(submitted)
        run = await self._new_run(
            source, catalog=catalog, invoker=invoker, owner=owner, resume=resume, accounts=accounts
        )
        return await self._finish(_Task(run, run.execute(self._sandbox), on_end))

    def query(
        self,
        query: str,
        *,
        catalog: Catalog,
        server: str | None = None,
        limit: int | None = None,
        detail: Detail = "types",
        name_of: Callable[[CatalogTool], str] | None = None,
        accounts: Mapping[str, str] = NO_ACCOUNTS,
    ) -> str:
        """Find tools, outside of any program: see ``query_tools``, and ``code`` for ``accounts``.

        Raises ``CallError``.
        """
        learned = LearnedView(self._learner, accounts)
        return query_tools(catalog, query, server=server, limit=limit, detail=detail, name_of=name_of, learned=learned)

    async def execute(
        self,
        tool: str,
        arguments: JsonObject,
        *,
        catalog: Catalog,
        invoker: Invoker,
        owner: str = LOCAL_OWNER,
        resume: str | None = None,
        accounts: Mapping[str, str] = NO_ACCOUNTS,
        on_end: Callable[[RunRecord], None] | None = None,
    ) -> Answer:
        """Call one tool without a program; everything else is as for ``code``."""
        run = await self._new_run("", catalog=catalog, invoker=invoker, owner=owner, resume=resume, accounts=accounts)
        return await self._finish(_Task(run, run.call(tool, arguments), on_end))

    async def _new_run(
        self,
        source: str,
        *,
        catalog: Catalog,
        invoker: Invoker,
        owner: str,
        resume: str | None,
        accounts: Mapping[str, str],
    ) -> Run:
        return Run(
            run_id=new_run_id(),
            owner=owner,
            source=source,
            catalog=catalog,
            invoker=invoker,
            journal=Journal(
                () if resume is None else await self._kept_calls(owner, resume), max_bytes=self._limits.kept_run_bytes
            ),
            limits=self._limits,
            store=self._store,
            learned=LearnedView(self._learner, accounts),
            find_result=lambda earlier: self._find_result(owner, earlier),
        )

    async def _finish(self, task: _Task) -> Answer:
        """Let a run work in the engine's own task, and wait for it as long as a client does."""
        run = task.run
        if not self._is_open:
            task.work.close()
            raise RuntimeError("the engine is not open: use it inside `async with Engine(sandbox) as engine`")
        self._running[run.owner, run.id] = task
        working = task.start()
        self._tasks.add(working)
        working.add_done_callback(partial(self._forget, task))
        began = time.monotonic()
        try:
            # Until it goes to the background, where nobody could be asked: not while a person is.
            while not task.is_done:
                left_s = self._limits.background_after_s + run.paused_s - (time.monotonic() - began)
                if left_s <= 0:
                    return run.still_running()
                await task.wait(max(left_s, LEAST_WAIT_S))
        finally:
            if not (run.is_in_background or task.is_done):
                task.cancel()
        return task.result()

    def _forget(self, task: _Task, working: asyncio.Task[None]) -> None:
        self._tasks.discard(working)
        del self._running[task.run.owner, task.run.id]

    async def _kept_calls(self, owner: str, run_id: str) -> tuple[KeptCall, ...]:
        kept = await self._store.find(owner, run_id)
        if kept is None:
            raise UnknownRunError(run_id)
        return kept.calls

    async def _find_result(self, owner: str, run_id: str) -> bytes:
        """Return the result of an earlier run as JSON text, waiting for one that still goes on.

        Raises ``CallError`` when there is none.
        """
        running = self._running.get((owner, run_id))
        if running is not None:
            await running.wait()
        kept = await self._store.find(owner, run_id)
        if kept is None or (kept.value is None and kept.failure is None):
            raise CallError(f"result: no result {quoted_part(run_id)!r} is kept: run that program again", name="Error")
        if kept.value is None:
            raise CallError(f"result: the run {run_id} failed: {kept.failure}", name="Error")
        return kept.value


class _Task:
    """A run on its way, and what came of it: for the caller that waits, and for those that ask later."""

    def __init__(
        self, run: Run, work: Coroutine[None, None, Answer], on_end: Callable[[RunRecord], None] | None
    ) -> None:
        self.run = run
        self.work = work
        self.is_done = False
        self._working: asyncio.Task[None] | None = None  # once it has begun, until it is cancelled
        self._on_end = on_end
        self._alarms: list[asyncio.Future[None]] = []
        self._answer: Answer | None = None
        self._error: Exception | None = None

    def start(self) -> asyncio.Task[None]:
        """Let it run in a task of its own."""
        # asyncio's own: in a task group of anyio it took 20 us more, of the 600 that a short run takes.
        return asyncio.get_running_loop().create_task(self._carry_out())

    def cancel(self) -> None:
        """Stop it; parts of its work that are shielded come to their end first."""
        working, self._working = self._working, None
        if not self.run.cancel() and working is not None:
            working.cancel()  # it has only looked at the program yet

    async def _carry_out(self) -> None:
        self._working = asyncio.current_task()
        record: RunRecord | None = None
        try:
            self._answer = await self.work
            record = self._answer.run
        except RunCancelled:
            record = self.run.given_up("Cancelled")
        except asyncio.CancelledError:
            record = self.run.given_up("Cancelled")
            raise
        except Exception as error:
            self._error = error
            record = self.run.given_up(type(error).__name__)
            if self.run.is_in_background:
                logger.exception("run %s ended by an error of the host", self.run.id)
        finally:
            if self._on_end is not None and record is not None:
                self._on_end(record)
            self.is_done = True
            for alarm in self._alarms:
                _ring(alarm)

    async def wait(self, timeout_s: float | None = None) -> None:
        """Wait until it is done, or that long."""
        if self.is_done:
            return
        # asyncio's own: an anyio.Event and move_on_after took 26 us more, of the 600 that a short run takes.
        loop = asyncio.get_running_loop()
        alarm = loop.create_future()
        timer = loop.call_later(timeout_s, _ring, alarm) if timeout_s is not None else None
        self._alarms.append(alarm)
        try:
            await alarm
        finally:
            self._alarms.remove(alarm)
            if timer is not None:
                timer.cancel()

    def result(self) -> Answer:
        if self._error is not None:
            raise self._error
        if self._answer is None:
            raise RuntimeError(f"the engine was closed while run {self.run.id} went on")
        return self._answer


def _ring(alarm: asyncio.Future[None]) -> None:
    if not alarm.done():
        alarm.set_result(None)

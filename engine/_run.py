"""One run: a program, its host calls, and the answer and record that come of it."""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING

import anyio

from engine._answer import Answer, lost_text, resume_text, write_answer
from engine._check import check_program, missing_awaits, refusal_text, refused_syntax
from engine._failure import error_status
from engine._host_calls import HostCalls
from engine._kept_runs import KeptRun
from engine._records import RunRecord
from engine._surface import NAMESPACE, TOOL_ERROR, capabilities
from sandbox import (
    HostError,
    Outcome,
    Overloaded,
    ProgramError,
    ProgramFacts,
    ProgramSyntaxError,
    Rejection,
    RunCancelled,
    RunClock,
    Usage,
    WorkerLost,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from engine._call import Invoker
    from engine._catalog import Catalog
    from engine._check import Finding
    from engine._journal import Journal
    from engine._kept_runs import RunStore
    from engine._learned import LearnedView
    from engine._limits import EngineLimits
    from sandbox import Sandbox
    from typegen import JsonObject

logger = logging.getLogger("portico.engine")


class Run:
    """One program of ``owner`` over one catalog; ``execute`` it once."""

    def __init__(
        self,
        *,
        run_id: str,
        owner: str,
        source: str,
        catalog: Catalog,
        invoker: Invoker,
        journal: Journal,
        limits: EngineLimits,
        store: RunStore,
        learned: LearnedView,
        find_result: Callable[[str], Awaitable[bytes]],
    ) -> None:
        self.id = run_id
        self.owner = owner
        self.is_in_background = False
        self._is_cancelled = False
        self._source = source
        self._catalog = catalog
        self._journal = journal
        self._limits = limits
        self._store = store
        self._started_at = time.monotonic()
        self._host_calls = HostCalls(
            catalog=catalog,
            invoker=invoker,
            run_id=run_id,
            journal=journal,
            learned=learned,
            find_result=find_result,
            max_emitted_bytes=limits.run.result_bytes,
        )

    async def execute(self, sandbox: Sandbox) -> Answer:
        """Check the program, run it to its end and write its answer; keep what a later run may ask for.

        Raises ``RunCancelled`` after ``cancel``.
        """
        try:
            facts = await sandbox.analyse(self._source, namespace=NAMESPACE, owner=self.owner)
            findings = check_program(facts, self._catalog)
            if findings:
                return self._refusal(findings)
            outcome = await self._execute(sandbox, self._source)
            if isinstance(outcome.error, ProgramSyntaxError) and facts.refused:
                return self._refusal(refused_syntax(facts))
            if isinstance(outcome.error, ProgramSyntaxError) and facts.erased is not None:
                outcome = await self._execute(sandbox, facts.erased)
        except RunCancelled:
            raise
        except Overloaded as error:
            return self._answer(f"Not run; no tool was called.\n{error}", status=type(error).__name__)
        except HostError as error:
            if isinstance(error, WorkerLost):  # a known case: where it was waited for says nothing of why
                logger.warning("run %s was lost: %s", self.id, error)
            else:
                logger.exception("run %s was lost", self.id)
            text = lost_text(self._host_calls.calls)
            text = "\n".join([text, *await self._keep_for_resume(failure=text)])
            return self._answer(text, status=type(error).__name__)
        return await self._answer_to(outcome, facts)

    def _refusal(self, findings: Sequence[Finding]) -> Answer:
        return self._answer(refusal_text(findings, max_chars=self._limits.answer_chars), status="NotRun")

    def _execute(self, sandbox: Sandbox, source: str) -> Awaitable[Outcome]:
        """Run ``source``: as it was written or, where that is no JavaScript, with its types blanked out."""
        clock = self._new_clock()
        return sandbox.execute(
            source,
            limits=self._limits.run,
            capabilities=capabilities(self._catalog.method_names),
            on_call=self._host_calls.answer,
            clock=clock,
            owner=self.owner,
        )

    async def call(self, tool: str, arguments: JsonObject) -> Answer:
        """Call one tool in place of a program, and write its answer in the same words."""
        value: bytes | None = None
        error: ProgramError | None = None
        clock = self._new_clock()
        with anyio.CancelScope() as scope:
            clock.start(scope, limit_s=self._limits.run.wall_s)
            try:
                value = await self._host_calls.call(tool, arguments)
            except Rejection as rejection:
                error = ProgramError(rejection.message, name=rejection.name, fields=rejection.fields)
        wall_s = clock.finish()
        if clock.is_cancelled:
            raise RunCancelled("the call was cancelled by its clock")
        if scope.cancelled_caught:
            error = ProgramError(f"{tool}: no result within {self._limits.run.wall_s:g} s", name=TOOL_ERROR)
        usage = Usage(cpu_s=0.0, wall_s=wall_s, calls=1, turns=0, memory_bytes=0)
        outcome = Outcome(
            value=value,
            error=error,
            logs=(),
            unhandled=(),
            unawaited=(),
            unawaited_count=0,
            dropped_timers=0,
            usage=usage,
        )
        return await self._answer_to(outcome, ProgramFacts())

    def cancel(self) -> bool:
        """Stop what the run does for its caller, who is gone; return False while it has not begun with that."""
        self._is_cancelled = True
        clock = self._host_calls.clock
        if clock is None:
            return False
        clock.cancel()
        return True

    def _new_clock(self) -> RunClock:
        clock = self._host_calls.clock = RunClock()
        if self._is_cancelled:
            clock.cancel()
        return clock

    @property
    def paused_s(self) -> float:
        """Seconds for which the run waited for a person."""
        clock = self._host_calls.clock
        return clock.paused_s if clock is not None else 0.0

    def still_running(self) -> Answer:
        """Write the answer of a run that goes on in the background."""
        self.is_in_background = True
        done = len(self._host_calls.calls)
        made = f"; {done} {'call' if done == 1 else 'calls'} made so far" if done else ""
        return self._answer(
            f'[still running{made}: codemode.result("{self.id}") waits for its result]',
            status="running",
            is_error=False,
        )

    def given_up(self, status: str) -> RunRecord:
        """Return the record of a run that ended without an answer: its caller is gone, or the host failed."""
        return self._answer("", status=status).run

    async def _answer_to(self, outcome: Outcome, facts: ProgramFacts) -> Answer:
        written = write_answer(
            outcome,
            source=self._source,
            catalog=self._catalog,
            calls=self._host_calls.calls,
            returned=self._host_calls.returned,
            emitted=self._host_calls.emitted,
            notes=[*missing_awaits(facts), *self._shortened(outcome.value), *self._host_calls.empty_searches],
            limits=self._limits,
        )
        is_kept = False
        if outcome.error is None and (written.left_out or self.is_in_background):
            is_kept = await self._store.keep(self.owner, self.id, KeptRun(value=outcome.value or b"null"))
        text = written.text(kept_as=self.id if is_kept else None)
        if outcome.error is not None:
            text = "\n".join([text, *await self._keep_for_resume(failure=text)])
        if outcome.error is None:
            return self._answer(text, media=written.media, status="ok", is_error=False, usage=outcome.usage)
        return self._answer(text, media=written.media, status=error_status(outcome.error), usage=outcome.usage)

    def _shortened(self, value: bytes | None) -> list[str]:
        """Say how to see the rest of the types, where the program returned declarations."""
        if not self._host_calls.has_shortened_types or b"Promise<" not in (value or b""):
            return []
        return ["some types are shortened: codemode.describe(name, {depth: 3}) shows them whole"]

    async def _keep_for_resume(self, *, failure: str) -> list[str]:
        """Keep the completed calls of a run that failed; return the line that says so, if they could be kept."""
        calls = self._journal.kept_calls()
        if not calls and not self.is_in_background:
            return []
        is_kept = await self._store.keep(self.owner, self.id, KeptRun(failure=failure, calls=calls or ()))
        return [resume_text(self.id)] if is_kept and calls else []

    def _answer(
        self,
        text: str,
        *,
        status: str,
        is_error: bool = True,
        media: tuple[JsonObject, ...] = (),
        usage: Usage | None = None,
    ) -> Answer:
        record = RunRecord(
            run_id=self.id,
            source_sha256=hashlib.sha256(self._source.encode("utf-8", "replace")).hexdigest(),
            status=status,
            duration_s=time.monotonic() - self._started_at,
            cpu_s=usage.cpu_s if usage else 0.0,
            memory_bytes=usage.memory_bytes if usage else 0,
            answer_chars=len(text),
            calls=tuple(self._host_calls.calls),
        )
        text_block: JsonObject = {"type": "text", "text": text}
        return Answer(text=text, blocks=(text_block, *media), is_error=is_error, run=record)

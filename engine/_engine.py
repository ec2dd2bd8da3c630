"""Programs over a catalog of tools: the path from a submitted text to the agent's answer."""

from __future__ import annotations

import hashlib
import logging
from functools import lru_cache
from typing import TYPE_CHECKING

import anyio

from engine._answer import Answer, lost_text, write_answer
from engine._failure import error_name
from engine._host_calls import BUILTINS, TOOL_ERROR, HostCalls
from engine._limits import EngineLimits
from engine._records import RunRecord
from engine._results import KeptResults
from engine._source import program_text
from sandbox import Capabilities, HostError, RunClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine._call import Invoker
    from engine._catalog import Catalog
    from engine._records import CallFact
    from sandbox import Sandbox, Usage
    from typegen import JsonObject

logger = logging.getLogger("portico.engine")

_TOOL_INSTEAD = 'there is no network in here: call a tool instead, codemode.search("what you need") finds one'
_NO_MODULES = "there are no modules in here: plain JavaScript and the codemode.* methods are all there is"
_NO_PROCESS = "there is no process, environment or file system in here: call a tool instead"
_HINTS = {
    **dict.fromkeys(("fetch", "XMLHttpRequest", "WebSocket", "axios"), _TOOL_INSTEAD),
    **dict.fromkeys(("require", "module", "exports"), _NO_MODULES),
    **dict.fromkeys(("process", "fs", "Deno", "Bun", "Buffer", "window", "document"), _NO_PROCESS),
}

LOCAL_OWNER = "local"
"""Who runs belong to where nobody signs in."""


class Engine:
    """Runs programs in a sandbox over whatever catalog and invoker it is handed with each. Shared by all callers."""

    def __init__(self, sandbox: Sandbox, *, limits: EngineLimits | None = None) -> None:
        self._sandbox = sandbox
        self._limits = limits if limits is not None else EngineLimits()
        self._results = KeptResults(max_bytes=self._limits.kept_result_bytes, keep_s=self._limits.kept_result_s)

    async def code(self, submitted: str, *, catalog: Catalog, invoker: Invoker, owner: str = LOCAL_OWNER) -> Answer:
        """Run one program, as an agent submitted it, and write its answer.

        Tools exist only as ``catalog`` lists them, and calls leave only through ``invoker``. A failing program is an
        answer with ``is_error``; nothing is raised for it. ``owner`` is who may read the result again.
        """
        source = program_text(submitted)
        run_id = self._results.new_run_id(owner)
        clock = RunClock()
        host_calls = HostCalls(
            catalog=catalog,
            invoker=invoker,
            run_id=run_id,
            clock=clock,
            find_result=lambda earlier: self._results.find(owner, earlier),
        )
        started_at = anyio.current_time()
        try:
            outcome = await self._sandbox.execute(
                source,
                limits=self._limits.run,
                capabilities=_capabilities(catalog.method_names),
                on_call=host_calls.answer,
                clock=clock,
            )
        except HostError as error:
            logger.exception("run %s was lost", run_id)
            text = lost_text(host_calls.calls)
            run = _record(
                run_id, type(error).__name__, source=source, text=text, calls=host_calls.calls, started_at=started_at
            )
            return _answer(text, (), run=run)
        written = write_answer(
            outcome,
            source=source,
            catalog=catalog,
            calls=host_calls.calls,
            emitted=host_calls.emitted,
            run_id=run_id,
            limits=self._limits,
        )
        if written.is_cut and outcome.value is not None:
            self._results.keep(owner, run_id, outcome.value)
        run = _record(
            run_id,
            "ok" if outcome.error is None else error_name(outcome.error),
            source=source,
            text=written.text,
            calls=host_calls.calls,
            started_at=started_at,
            usage=outcome.usage,
        )
        return _answer(written.text, written.media, run=run)


def _answer(text: str, media: tuple[JsonObject, ...], *, run: RunRecord) -> Answer:
    text_block: JsonObject = {"type": "text", "text": text}
    return Answer(text=text, blocks=(text_block, *media), is_error=run.status != "ok", run=run)


def _record(
    run_id: str,
    status: str,
    *,
    source: str,
    text: str,
    calls: Sequence[CallFact],
    started_at: float,
    usage: Usage | None = None,
) -> RunRecord:
    return RunRecord(
        run_id=run_id,
        source_sha256=hashlib.sha256(source.encode("utf-8", "replace")).hexdigest(),
        status=status,
        duration_s=anyio.current_time() - started_at,
        cpu_s=usage.cpu_s if usage else 0.0,
        memory_bytes=usage.memory_bytes if usage else 0,
        answer_chars=len(text),
        calls=tuple(calls),
    )


@lru_cache(maxsize=64)
def _capabilities(method_names: str) -> Capabilities:
    """Return what a program over these tools sees; encoded once for each set of names."""
    return Capabilities(
        namespace="codemode", methods=method_names, builtins=BUILTINS, errors=(TOOL_ERROR,), hints=_HINTS
    )

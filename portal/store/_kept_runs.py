"""Results and completed calls of runs, for ``codemode.result`` and ``resume`` on whatever replica is asked."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import anyio.to_thread
from sqlalchemy import and_, delete, insert, or_, select

from engine import KeptCall, KeptRun
from portal._errors import StoreError
from portal.store._schema import KEPT_CALLS, KEPT_RUNS
from portal.store._text import LONG_CHARS

if TYPE_CHECKING:
    from collections.abc import Callable

    from portal._redaction import Redactor
    from portal.store._database import Database

logger = logging.getLogger("portico.store")

PAUSE_S: Final = 10.0
"""After a run could not be kept, how long no other is tried: each answer would wait for the database's lock."""
QUOTA_BYTES: Final = 64 * 2**20
"""What one owner's kept runs may take together: four of the largest. The oldest go first."""
ROW_BYTES: Final = 256
"""Counted for each run and each call beside its content: a quota must bound ten thousand empty runs as well."""


class KeptRuns:
    """An ``engine.RunStore``: each run belongs to its owner and goes after ``keep_s`` seconds.

    ``keep`` returns True when the run is durably stored. A database that is away keeps nothing and finds nothing, which
    the log says; a program goes on without it, and for ``PAUSE_S`` no other run is tried to be kept. Configured secrets
    are cut out of what is kept; where one is among the arguments of a completed call the run is not kept at all,
    because its calls could not be told from others again.
    """

    def __init__(
        self, database: Database, *, keep_s: float, redactor: Redactor, clock: Callable[[], float], quota_bytes: int
    ) -> None:
        self._database = database
        self._keep_s = keep_s
        self._redactor = redactor
        self._clock = clock
        self._quota_bytes = quota_bytes
        self._failed_at: float | None = None

    async def keep(self, owner: str, run_id: str, run: KeptRun) -> bool:
        """Keep ``run``; the owner's oldest go when it needs their room."""
        size = run.size_bytes + ROW_BYTES * (1 + len(run.calls))
        if size > self._quota_bytes:
            return False
        is_long = run.size_bytes > LONG_CHARS
        cleaned = await anyio.to_thread.run_sync(self._cleaned, run) if is_long else self._cleaned(run)
        if cleaned is None:
            return False
        now = self._clock()
        if self._failed_at is not None and 0 <= now - self._failed_at < PAUSE_S:
            logger.warning("run %s is not kept: another could not be kept a moment ago", run_id)
            return False
        row = {
            "owner": owner,
            "run": run_id,
            "kept_at": now,
            "expires_at": now + self._keep_s,
            "size_bytes": size,
            "value": cleaned.value,
            "failure": cleaned.failure.encode("utf-8", "surrogatepass") if cleaned.failure is not None else None,
        }
        calls = [
            {
                "owner": owner,
                "run": run_id,
                "number": number,
                "identifier": call.identifier,
                "arguments": call.arguments,
                "result": call.result,
            }
            for number, call in enumerate(cleaned.calls)
        ]
        try:
            async with self._database.writing() as connection:
                of_owner = KEPT_RUNS.c.owner == owner
                replaced = or_(KEPT_RUNS.c.run == run_id, KEPT_RUNS.c.expires_at <= now)
                await connection.execute(delete(KEPT_RUNS).where(of_owner, replaced))
                newest_first = select(KEPT_RUNS.c.run, KEPT_RUNS.c.size_bytes).where(of_owner)
                newest_first = newest_first.order_by(KEPT_RUNS.c.kept_at.desc())
                dropped: list[str] = []
                room = self._quota_bytes - size
                for other, other_size in (await connection.execute(newest_first)).all():
                    room -= other_size
                    if room < 0:
                        dropped.append(other)
                if dropped:
                    await connection.execute(delete(KEPT_RUNS).where(of_owner, KEPT_RUNS.c.run.in_(dropped)))
                await connection.execute(insert(KEPT_RUNS), [row])
                if calls:
                    await connection.execute(insert(KEPT_CALLS), calls)
        except StoreError as error:
            logger.warning("run %s could not be kept: %s", run_id, error)
            self._failed_at = self._clock()
            return False
        return True

    async def find(self, owner: str, run_id: str) -> KeptRun | None:
        """Return a run of ``owner`` that has not expired."""
        is_it = and_(KEPT_RUNS.c.owner == owner, KEPT_RUNS.c.run == run_id, KEPT_RUNS.c.expires_at > self._clock())
        its_calls = select(KEPT_CALLS.c.identifier, KEPT_CALLS.c.arguments, KEPT_CALLS.c.result).where(
            KEPT_CALLS.c.owner == owner, KEPT_CALLS.c.run == run_id
        )
        try:
            async with self._database.reading() as connection:
                row = (await connection.execute(select(KEPT_RUNS.c.value, KEPT_RUNS.c.failure).where(is_it))).first()
                if row is None:
                    return None
                calls = (await connection.execute(its_calls.order_by(KEPT_CALLS.c.number))).all()
        except StoreError as error:
            logger.warning("run %s could not be looked for: %s", run_id, error)
            return None
        value, failure = row
        return KeptRun(
            value=value,
            failure=failure.decode("utf-8", "surrogatepass") if failure is not None else None,
            calls=tuple(
                KeptCall(identifier=identifier, arguments=arguments, result=result)
                for identifier, arguments, result in calls
            ),
        )

    async def forget_expired(self) -> None:
        """Delete what has expired. Raises ``StoreError``."""
        async with self._database.writing() as connection:
            await connection.execute(delete(KEPT_RUNS).where(KEPT_RUNS.c.expires_at <= self._clock()))

    def _cleaned(self, run: KeptRun) -> KeptRun | None:
        """Return a run as it may be kept; None when a secret is among the arguments of its calls."""
        if any(self._clean(call.arguments) != call.arguments for call in run.calls):
            return None
        return KeptRun(
            value=self._clean(run.value) if run.value is not None else None,
            failure=self._redactor.clean(run.failure) if run.failure is not None else None,
            calls=tuple(
                KeptCall(identifier=call.identifier, arguments=call.arguments, result=self._clean(call.result))
                for call in run.calls
            ),
        )

    def _clean(self, content: bytes) -> bytes:
        if not self._redactor:
            return content
        return self._redactor.clean(content.decode("utf-8", "surrogatepass")).encode("utf-8", "surrogatepass")

"""The store as one object: opened with a portal, swept while it is open, closed when everything noted is stored."""

from __future__ import annotations

import json
import logging
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import anyio

from portal._errors import StoreError, StoreUnusable
from portal._redaction import Redactor
from portal._secret import Secret
from portal.store._catalogs import Catalogs
from portal.store._database import Database
from portal.store._kept_runs import QUOTA_BYTES, KeptRuns
from portal.store._learned import StoredTypes
from portal.store._migrate import migrate, schema_version
from portal.store._records import Records
from portal.store._schema import HEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from portal._limits_config import RetentionConfig
    from portal._store_url import StoreUrl

logger = logging.getLogger("portico.store")

SWEEP_S: Final = 60.0
"""How long something may stay after its time: reads ask for the time themselves."""
CLOSE_S: Final = 5.0
"""Time to store the last records at an orderly stop, when the database answers slowly or not at all."""
_DAY_S: Final = 86_400.0


class Store:
    """What a portal remembers: ``catalogs``, ``learned`` types, ``records``, and kept ``runs``.

    Entering makes or migrates the store. It raises ``StoreUnusable`` for one that is damaged or newer than this
    version, and with ``may_change=False`` for one that is missing or older; ``StoreUnavailable`` when it cannot be
    reached. ``secrets`` are cut out of everything kept. ``clock`` gives Unix seconds.
    """

    def __init__(
        self,
        location: StoreUrl,
        *,
        retention: RetentionConfig,
        secrets: Iterable[Secret] = (),
        may_change: bool = True,
        quota_bytes: int = QUOTA_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.location = location
        redactor = Redactor(_as_in_json(secrets))
        self._may_change = may_change
        self._retention = retention
        self._clock = clock
        self._database = database = Database(location)
        self.catalogs = Catalogs(database, redactor=redactor, clock=clock)
        self.learned = StoredTypes(database, clock=clock)
        self.records = Records(database)
        self.runs = KeptRuns(
            database,
            keep_s=retention.results_minutes * 60.0,
            redactor=redactor,
            clock=clock,
            quota_bytes=quota_bytes,
        )
        self._stack = AsyncExitStack()
        self._is_written = anyio.Event()

    async def __aenter__(self) -> Self:
        await self._check()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._database.close)
            await self.learned.load()
            if self._may_change:
                await self.records.writer.open()
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            tasks.start_soon(self._write)
            tasks.start_soon(self.learned.run)
            tasks.start_soon(self._sweep_again_and_again)
            stack.push_async_callback(self._finish_writing)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    async def sweep(self) -> None:
        """Delete what is past its time. Raises ``StoreError``."""
        await self.runs.forget_expired()
        await self.records.forget(self._clock() - self._retention.logs_days * _DAY_S)
        await self.catalogs.forget_unused()
        await self.learned.forget_oldest()

    async def _check(self) -> None:
        if self._may_change:
            done = await migrate(self.location)
            if done.before is not None and done.before != done.after:
                copy = f"; it was copied to {done.backup} before" if done.backup is not None else ""
                logger.info("the store was migrated from schema %s to %s%s", done.before, done.after, copy)
            return
        version = await schema_version(self.location)
        if version is None:
            raise StoreUnusable("is not there yet: it is made when a portal starts.", store=str(self.location))
        if version != HEAD:
            message = f"has schema {version} and this version reads {HEAD}: run `portico migrate` first."
            raise StoreUnusable(message, store=str(self.location))

    async def _write(self) -> None:
        try:
            await self.records.writer.run()
        finally:
            self._is_written.set()

    async def _finish_writing(self) -> None:
        self.records.writer.close()
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_S):
            await self._is_written.wait()
            await self.records.writer.run()  # what the task left when it was cancelled together with the portal
            try:
                await self.learned.save()
            except StoreError as error:
                logger.warning("what was learned last is lost: %s", error)
        if self.records.writer.waiting:
            has_journal = self.location.path is not None
            where = (
                "they wait in the journal, and the next start stores them" if has_journal else "their log lines remain"
            )
            logger.error("%d records could not be stored: %s", self.records.writer.waiting, where)

    async def _sweep_again_and_again(self) -> None:
        while True:
            await anyio.sleep(SWEEP_S)
            try:
                await self.sweep()
            except StoreError as error:
                logger.warning("nothing was swept: %s", error)


def _as_in_json(secrets: Iterable[Secret]) -> Iterable[Secret]:
    """Each secret as it is and as it looks inside a JSON string."""
    for secret in secrets:
        yield secret
        yield Secret(json.dumps(secret.reveal(), ensure_ascii=False)[1:-1])

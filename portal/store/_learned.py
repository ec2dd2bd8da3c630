"""Output types learned from results, kept from one start to the next and widened by every replica."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import anyio
import orjson
from sqlalchemy import and_, delete, select

from engine import LearnedKey
from portal._errors import StoreError
from portal.store._schema import LEARNED_TYPES
from typegen import ResultShape

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from portal.store._database import Database

logger = logging.getLogger("portico.store")

MAX_SHAPES: Final = 10_000
"""Held in memory, as in the engine, and in the store; of more, those learned last count."""
GATHER_S: Final = 2.0
"""Time to gather changes in: a new tool's shape widens with each of its first results."""


class StoredTypes:
    """An ``engine.LearnedTypes``: answers from memory, and stores what was put a little later. ``run`` is its task."""

    def __init__(self, database: Database, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        # JSON until it is asked for: reading ten thousand shapes at the start would be felt.
        self._shapes: dict[LearnedKey, ResultShape | bytes] = {}
        self._unsaved: dict[LearnedKey, ResultShape] = {}
        self._has_work = anyio.Event()

    def get(self, key: LearnedKey) -> ResultShape | None:
        """Return what was learned: the same object until another is put."""
        shape = self._shapes.get(key)
        if isinstance(shape, bytes):
            shape = self._shapes[key] = ResultShape.from_schema(orjson.loads(shape))
        return shape

    def put(self, key: LearnedKey, shape: ResultShape) -> None:
        """Keep ``shape``."""
        self._shapes[key] = self._unsaved[key] = shape
        if len(self._shapes) > MAX_SHAPES:
            del self._shapes[next(iter(self._shapes))]
        self._has_work.set()

    async def load(self) -> None:
        """Read what was learned before. Raises ``StoreError``."""
        table = LEARNED_TYPES.c
        query = select(table.scope, table.server_id, table.tool, table.schema_hash, table.shape)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.order_by(table.learned_at.desc()).limit(MAX_SHAPES))).all()
        for scope, server_id, tool, schema_hash, shape in reversed(rows):
            key = LearnedKey(scope, server_id, tool.decode("utf-8", "surrogatepass"), schema_hash)
            self._shapes.setdefault(key, shape)

    async def forget_oldest(self) -> None:
        """Delete what is never read again, being more than ``MAX_SHAPES``. Raises ``StoreError``."""
        learned_at = LEARNED_TYPES.c.learned_at
        last_read = select(learned_at).order_by(learned_at.desc()).offset(MAX_SHAPES - 1).limit(1)
        async with self._database.writing() as connection:
            await connection.execute(delete(LEARNED_TYPES).where(learned_at < last_read.scalar_subquery()))

    async def run(self) -> None:
        """Store what was put, again and again."""
        while True:
            await self._has_work.wait()
            await anyio.sleep(GATHER_S)
            self._has_work = anyio.Event()
            try:
                await self.save()
            except StoreError as error:
                logger.warning("learned types wait: %s", error)
                self._has_work.set()

    async def save(self) -> None:
        """Store what was put since the last time, each as wide as what is stored already. Raises ``StoreError``."""
        saved = dict(self._unsaved)
        if not saved:
            return
        async with self._database.writing() as connection:
            # In one order, so that two replicas never wait for each other's rows crosswise.
            for key in sorted(saved):
                await self._save(connection, key, saved[key])
        for key, shape in saved.items():
            if self._unsaved.get(key) is shape:
                del self._unsaved[key]

    async def _save(self, connection: AsyncConnection, key: LearnedKey, shape: ResultShape) -> None:
        table = LEARNED_TYPES.c
        scope, server_id, tool, schema_hash = key
        columns = {
            "scope": scope,
            "server_id": server_id,
            "tool": tool.encode("utf-8", "surrogatepass"),
            "schema_hash": schema_hash,
        }
        is_it = and_(*(table[name] == value for name, value in columns.items()))
        stored: bytes | None = await connection.scalar(select(table.shape).where(is_it).with_for_update())
        if stored is not None:
            shape = shape.joined(ResultShape.from_schema(orjson.loads(stored)))
        row = {**columns, "shape": orjson.dumps(shape.as_schema()), "learned_at": self._clock()}
        insert = self._database.insert(LEARNED_TYPES).values(row)
        await connection.execute(insert.on_conflict_do_update(index_elements=list(LEARNED_TYPES.primary_key), set_=row))

"""Output types learned from results, kept from one start to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson
from sqlalchemy import select

from portal.store._schema import LEARNED_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portal._json import JsonObject
    from portal.store._database import Database


class LearnedKey(NamedTuple):
    """Of which tool: ``scope`` is empty, or the user where each has an account of their own."""

    scope: str
    server_id: str
    tool: str
    schema_hash: str


class LearnedTypes:
    """Shapes as JSON: names and broad types, never values."""

    def __init__(self, database: Database, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def load(self) -> dict[LearnedKey, JsonObject]:
        """Return everything that was learned. Raises ``StoreError``."""
        columns = LEARNED_TYPES.c
        query = select(columns.scope, columns.server_id, columns.tool, columns.schema_hash, columns.shape)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return {
            LearnedKey(scope, server_id, tool.decode("utf-8", "surrogatepass"), schema_hash): orjson.loads(shape)
            for scope, server_id, tool, schema_hash, shape in rows
        }

    async def save(self, shapes: Mapping[LearnedKey, JsonObject]) -> None:
        """Keep these shapes in the place of those that were learned before. Raises ``StoreError``."""
        now = self._clock()
        async with self._database.writing() as connection:
            for key, shape in shapes.items():
                row = {
                    **key._asdict(),
                    "tool": key.tool.encode("utf-8", "surrogatepass"),
                    "shape": orjson.dumps(shape),
                    "learned_at": now,
                }
                await connection.execute(
                    self._database.insert(LEARNED_TYPES)
                    .values(row)
                    .on_conflict_do_update(index_elements=list(LEARNED_TYPES.primary_key), set_=row)
                )

"""The tools of each upstream as it last listed them, so that a portal offers them before the upstream answers again."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import delete, select

from portal._errors import StoreError
from portal.store._schema import CATALOGS, TOOL_LISTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from portal._redaction import Redactor
    from portal.store._database import Database
    from typegen import JsonValue

logger = logging.getLogger("portico.store")


class Catalogs:
    """Tool lists by the SHA-256 of their content, and which one each server has.

    ``source`` is a hash of where a server is: under the id of a server that was replaced by another nothing is found.
    """

    def __init__(self, database: Database, *, redactor: Redactor, clock: Callable[[], float]) -> None:
        self._database = database
        self._redactor = redactor
        self._clock = clock
        self._saved: dict[str, tuple[str, str]] = {}

    async def load(self) -> dict[tuple[str, str], list[JsonValue]]:
        """Return the definitions by server id and source. Raises ``StoreError``."""
        query = select(CATALOGS.c.server_id, CATALOGS.c.source, CATALOGS.c.digest, TOOL_LISTS.c.tools)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.join(TOOL_LISTS, TOOL_LISTS.c.digest == CATALOGS.c.digest))).all()
        self._saved = {server_id: (source, digest) for server_id, source, digest, _ in rows}
        return {(server_id, source): orjson.loads(tools) for server_id, source, _, tools in rows}

    async def save(self, server_id: str, source: str, definitions: Sequence[JsonValue]) -> None:
        """Keep what a server listed; a list that is kept already costs a hash. A failure is logged, not raised."""
        try:
            tools = self._redactor.clean(orjson.dumps(list(definitions)).decode()).encode()
        except TypeError:  # integers beyond 64 bits, or strings that are not Unicode: listed, and not kept
            logger.warning("%s: its tools cannot be kept as JSON", server_id)
            return
        digest = hashlib.sha256(tools).hexdigest()
        if self._saved.get(server_id) == (source, digest):
            return
        insert = self._database.insert
        catalog = {"server_id": server_id, "source": source, "digest": digest, "synced_at": self._clock()}
        try:
            async with self._database.writing() as connection:
                await connection.execute(insert(TOOL_LISTS).values(digest=digest, tools=tools).on_conflict_do_nothing())
                await connection.execute(
                    insert(CATALOGS)
                    .values(catalog)
                    .on_conflict_do_update(index_elements=[CATALOGS.c.server_id], set_=catalog)
                )
        except StoreError as error:
            logger.warning("%s: its tools could not be kept: %s", server_id, error)
        else:
            self._saved[server_id] = (source, digest)

    async def forget_unused(self) -> None:
        """Delete the lists that no server has any more. Raises ``StoreError``."""
        async with self._database.writing() as connection:
            used = select(CATALOGS.c.digest)
            await connection.execute(delete(TOOL_LISTS).where(TOOL_LISTS.c.digest.not_in(used)))

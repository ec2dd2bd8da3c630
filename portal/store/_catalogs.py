"""What each upstream offered last, so that a portal offers it before the upstream answers again."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Final, cast

import anyio.to_thread
from sqlalchemy import delete, select

from portal._errors import StoreError
from portal.store._schema import CATALOGS, OFFERS
from portal.store._text import LONG_CHARS
from portal.wire import encode, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from portal._redaction import Redactor
    from portal.store._database import Database
    from typegen import JsonObject

logger = logging.getLogger("portico.store")

REMOVED_S: Final = 30 * 86_400.0
"""How long what a server listed stays when it is configured no more: it may come back, or be another portal's."""


class Catalogs:
    """Offers by the SHA-256 of their content, and which ones each server has.

    ``source`` is a hash of where a server is: under the id of a server that was replaced by another nothing is found.
    """

    def __init__(self, database: Database, *, redactor: Redactor, clock: Callable[[], float]) -> None:
        self._database = database
        self._redactor = redactor
        self._clock = clock
        self._saved: dict[str, tuple[str, str]] = {}

    async def load(self) -> dict[tuple[str, str], JsonObject]:
        """Return the offers by server id and source. Raises ``StoreError``."""
        query = select(CATALOGS.c.server_id, CATALOGS.c.source, CATALOGS.c.digest, OFFERS.c.content)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.join(OFFERS, OFFERS.c.digest == CATALOGS.c.digest))).all()
        self._saved = {server_id: (source, digest) for server_id, source, digest, _ in rows}
        return {(server_id, source): cast("JsonObject", read(content)) for server_id, source, _, content in rows}

    async def save(self, server_id: str, source: str, offers: JsonObject) -> None:
        """Keep what a server offers; what is kept already costs a hash. A failure is logged, not raised."""
        try:
            text = encode(offers).decode()
        except ValueError:  # nested too deep: listed, and not kept
            logger.warning("%s: what it lists cannot be kept as JSON", server_id)
            return
        is_long = len(text) > LONG_CHARS
        content, digest = await anyio.to_thread.run_sync(self._clean, text) if is_long else self._clean(text)
        if self._saved.get(server_id) == (source, digest):
            return
        insert = self._database.insert
        catalog = {"server_id": server_id, "source": source, "digest": digest, "synced_at": self._clock()}
        try:
            async with self._database.writing() as connection:
                await connection.execute(insert(OFFERS).values(digest=digest, content=content).on_conflict_do_nothing())
                await connection.execute(
                    insert(CATALOGS)
                    .values(catalog)
                    .on_conflict_do_update(index_elements=[CATALOGS.c.server_id], set_=catalog)
                )
        except StoreError as error:
            logger.warning("%s: what it lists could not be kept: %s", server_id, error)
        else:
            self._saved[server_id] = (source, digest)

    async def forget_removed(self, server_ids: Iterable[str]) -> None:
        """Delete what servers listed long ago that are not among these. Raises ``StoreError``."""
        removed = self._saved.keys() - set(server_ids)
        if not removed:
            return
        is_long_ago = CATALOGS.c.synced_at < self._clock() - REMOVED_S
        async with self._database.writing() as connection:
            await connection.execute(delete(CATALOGS).where(CATALOGS.c.server_id.in_(removed), is_long_ago))

    async def forget_unused(self) -> None:
        """Delete the offers that no server has any more. Raises ``StoreError``."""
        async with self._database.writing() as connection:
            used = select(CATALOGS.c.digest)
            await connection.execute(delete(OFFERS).where(OFFERS.c.digest.not_in(used)))

    def _clean(self, text: str) -> tuple[bytes, str]:
        content = self._redactor.clean(text).encode()
        return content, hashlib.sha256(content).hexdigest()

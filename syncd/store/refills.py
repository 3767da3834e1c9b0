"""How far collections have come that are filled from the store: durable, so that a fill goes on where it was cut off."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from syncd.store.database import Database

Place = tuple[int, int]
"""A chunk by (document, number); what comes before it, and itself, is filled."""
START: Place = (0, -1)


class Refills:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def begin(self, collection_id: int, metadata: str, chroma_id: str | None) -> None:
        """Note that a collection is filled from the start, and its own metadata (JSON) to give back to it at the end.

        `chroma_id` is the collection in Chroma that is filled; None: it is to be deleted and made again.
        """
        await self._place(collection_id, "rebuilding = ?, chroma_id = ?", (metadata, chroma_id), START)

    async def opened(self, collection_id: int, chroma_id: str) -> None:
        """Note that another collection in Chroma is filled, from the start."""
        await self._place(collection_id, "chroma_id = ?", (chroma_id,), START)

    async def reached(self, collection_id: int, place: Place) -> None:
        """Note that everything up to `place` is in Chroma."""
        await self._place(collection_id, "id = id", (), place)

    async def end(self, collection_id: int) -> None:
        """Note that the collection holds everything, but for what waits in the outbox."""
        await self._place(collection_id, "rebuilding = NULL", (), START)

    async def _place(self, collection_id: int, changes: str, values: Sequence[str | None], place: Place) -> None:
        statement = f"UPDATE collections SET {changes}, refilled_document = ?, refilled_number = ? WHERE id = ?"
        await self._db.write(lambda c: c.execute(statement, (*values, *place, collection_id)))

    async def expected(self, collection_id: int) -> tuple[int, int]:
        """Return how many chunks a collection should hold, and about how many ids Chroma has yet to be told."""
        chunks = "SELECT count(*) FROM chunks c JOIN documents d ON d.id = c.document_id WHERE d.collection_id = ?"
        waiting = "SELECT count(*) FROM outbox WHERE collection_id = ?"

        def query(connection: sqlite3.Connection) -> tuple[int, int]:
            return connection.execute(f"SELECT ({chunks}), ({waiting})", (collection_id, collection_id)).fetchone()

        return await self._db.read(query)

    async def watched(self) -> Sequence[int]:
        """Return the collections with documents of a source that there is: one without is nobody's any more."""
        statement = (
            "SELECT c.id FROM collections c WHERE c.rebuilding IS NOT NULL OR EXISTS (SELECT 1 FROM documents d "
            "JOIN sources s ON s.id = d.source_id WHERE d.collection_id = c.id AND d.state = 'indexed') ORDER BY c.id"
        )
        return await self._db.read(lambda c: [ident for (ident,) in c.execute(statement)])

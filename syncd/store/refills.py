"""The progress of collections that are filled from SQLite: durable, so that a refill resumes after a crash."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from syncd.store.database import Database

Place = tuple[int, int]
"""A chunk by (document, number); it and everything before it is filled."""
START: Place = (0, -1)


class Refills:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def begin(self, collection_id: int, metadata: str, chroma_id: str | None) -> None:
        """Record that a refill begins, and the collection's own metadata (JSON), which is restored at the end.

        `chroma_id` is the vector store's id of the collection to fill; None: it will be deleted and recreated.
        """
        await self._place(collection_id, "rebuilding = ?, chroma_id = ?", (metadata, chroma_id), START)

    async def opened(self, collection_id: int, chroma_id: str) -> None:
        """Record that another collection of the vector store is filled, from the start."""
        await self._place(collection_id, "chroma_id = ?", (chroma_id,), START)

    async def reached(self, collection_id: int, place: Place) -> None:
        """Record that everything up to `place` is in the vector store."""
        await self._place(collection_id, "id = id", (), place)

    async def end(self, collection_id: int) -> None:
        """Record that the collection is complete, except for the outbox."""
        await self._place(collection_id, "rebuilding = NULL", (), START)

    async def _place(self, collection_id: int, changes: str, values: Sequence[str | None], place: Place) -> None:
        statement = f"UPDATE collections SET {changes}, refilled_document = ?, refilled_number = ? WHERE id = ?"
        await self._db.write(lambda c: c.execute(statement, (*values, *place, collection_id)))

    async def expected(self, collection_id: int) -> tuple[int, int]:
        """Return how many chunks a collection should hold, and about how many ids of it are in the outbox."""
        chunks = "SELECT count(*) FROM chunks c JOIN documents d ON d.id = c.document_id WHERE d.collection_id = ?"
        waiting = "SELECT count(*) FROM outbox WHERE collection_id = ?"

        def query(connection: sqlite3.Connection) -> tuple[int, int]:
            return connection.execute(f"SELECT ({chunks}), ({waiting})", (collection_id, collection_id)).fetchone()

        return await self._db.read(query)

    async def watched(self) -> Sequence[int]:
        """Return the collections with documents of an existing source; collections without are no longer watched."""
        statement = (
            "SELECT c.id FROM collections c WHERE c.rebuilding IS NOT NULL OR EXISTS (SELECT 1 FROM documents d "
            "JOIN sources s ON s.id = d.source_id WHERE d.collection_id = c.id AND d.state = 'indexed') ORDER BY c.id"
        )
        return await self._db.read(lambda c: [ident for (ident,) in c.execute(statement)])

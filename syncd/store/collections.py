"""The collections that syncd writes, and with which embedding each was created."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from syncd.errors import ConflictError, NotFoundError, StoreDamagedError
from syncd.model import Embedding, Target
from syncd.store.checked_tables import COLLECTION_ROWS, is_as_stored
from syncd.store.codec import embedding_from_json, embedding_to_json
from syncd.store.database import ADVICE, Database
from syncd.store.refills import START, Place

_SELECTED = (
    "SELECT id, database, name, embedding, chroma_id, rebuilding, refilled_document, refilled_number, "
    f"{COLLECTION_ROWS.standing()}"
)
NOWHERE = 0
"""An id that no collection has; nothing is recorded under it."""


@dataclass(frozen=True, slots=True)
class CollectionRecord:
    """A collection that syncd writes. `chroma_id` is its id in the vector store; a different id there means that it was recreated.

    `rebuilding` is the collection's own metadata as JSON while it is being filled from the store, otherwise None;
    `refilled` is how far that has come.
    """

    id: int
    target: Target
    embedding: Embedding
    chroma_id: str | None
    rebuilding: str | None
    refilled: Place = START


class Collections:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def open(self, target: Target, embedding: Embedding) -> CollectionRecord:
        """Return the record of `target`, creating it with `embedding` on first use.

        Raises ConflictError if it has another embedding, since the vectors could not be compared.
        """

        def transaction(connection: sqlite3.Connection) -> CollectionRecord:
            connection.execute(
                "INSERT OR IGNORE INTO collections (database, name, embedding) VALUES (?, ?, ?)",
                (target.database, target.collection, embedding_to_json(embedding)),
            )
            return _find(connection, target)  # pyright: ignore[reportReturnType] - just inserted

        record = await self._db.write(transaction)
        _require_same(record, embedding)
        return record

    async def preview(self, target: Target, embedding: Embedding) -> CollectionRecord:
        """Return the record that `open` would, without creating it: an empty one if syncd never wrote the collection.

        Raises ConflictError if it has another embedding.
        """
        record = await self.find(target)
        if record is None:
            return CollectionRecord(NOWHERE, target, embedding, None, None)
        _require_same(record, embedding)
        return record

    async def find(self, target: Target) -> CollectionRecord | None:
        """Return the record of `target`, or None if syncd never wrote it."""
        return await self._db.read(lambda c: _find(c, target))

    async def by_id(self, collection_id: int) -> CollectionRecord:
        """Return the record with this id. Raises NotFoundError where there is none any more."""
        statement = f"{_SELECTED} FROM collections WHERE id = ?"
        row = await self._db.read(lambda c: c.execute(statement, (collection_id,)).fetchone())
        if row is None:
            raise NotFoundError("this collection was discarded meanwhile; syncd status lists those there are")
        return _from_row(row)

    async def embeddings(self, ids: Collection[int]) -> Mapping[int, Embedding]:
        """Return with which embedding collections were created, by their id; nothing for one that is no more."""
        statement = f"{_SELECTED} FROM collections WHERE id IN ({', '.join('?' * len(ids))})"

        def query(connection: sqlite3.Connection) -> dict[int, Embedding]:
            records = [_from_row(row) for row in connection.execute(statement, list(ids))]
            return {record.id: record.embedding for record in records}

        return await self._db.read(query)

    async def all(self) -> Sequence[CollectionRecord]:
        """Return every collection that syncd writes, by database and name."""

        def query(connection: sqlite3.Connection) -> list[CollectionRecord]:
            rows = connection.execute(f"{_SELECTED} FROM collections ORDER BY database, name")
            return [_from_row(row) for row in rows]

        return await self._db.read(query)

    async def answering(self) -> Sequence[CollectionRecord]:
        """Return the collections that answer under names of their users, by database and name: all but shadows."""
        statement = (
            f"{_SELECTED} FROM collections WHERE id NOT IN (SELECT collection_id FROM shadows) ORDER BY database, name"
        )
        return await self._db.read(lambda c: [_from_row(row) for row in c.execute(statement)])

    async def of_source(self, source_id: str) -> Sequence[CollectionRecord]:
        """Return the collections that hold documents of a source, by database and name."""
        statement = (
            f"{_SELECTED} FROM collections WHERE id IN (SELECT collection_id FROM documents WHERE source_id = ? AND state = 'indexed') "
            "ORDER BY database, name"
        )
        return await self._db.read(lambda c: [_from_row(row) for row in c.execute(statement, (source_id,))])

    async def set_chroma_id(self, collection_id: int, chroma_id: str) -> None:
        """Record the collection's id in the vector store."""
        await self._db.write(
            lambda c: c.execute("UPDATE collections SET chroma_id = ? WHERE id = ?", (chroma_id, collection_id))
        )


def _require_same(record: CollectionRecord, embedding: Embedding) -> None:
    if record.embedding == embedding:
        return
    if replace(record.embedding, dimensions=embedding.dimensions) == embedding:
        held, asked = (one.dimensions or "all" for one in (record.embedding, embedding))
        raise ConflictError(
            f"collection {record.target.collection!r} holds vectors of {held} dimensions and this source is set to {asked}; set "
            "`dimensions` alike, or choose another target collection, for which nothing is embedded again"
        )
    raise ConflictError(
        f"collection {record.target.collection!r} holds {record.embedding.model} vectors and this source is set to other "
        "embeddings; choose another target collection"
    )


def _find(connection: sqlite3.Connection, target: Target) -> CollectionRecord | None:
    row = connection.execute(
        f"{_SELECTED} FROM collections WHERE database = ? AND name = ?", (target.database, target.collection)
    ).fetchone()
    return _from_row(row) if row else None


def _from_row(row: tuple[Any, ...]) -> CollectionRecord:
    ident, database, name, embedding, chroma_id, rebuilding, refilled_document, refilled_number, standing = row
    if not is_as_stored(standing):
        raise StoreDamagedError(f"the state database's row of collection {name!r} is damaged: {ADVICE}")
    target = Target(database, name)
    return CollectionRecord(
        ident, target, embedding_from_json(embedding), chroma_id, rebuilding, (refilled_document, refilled_number)
    )

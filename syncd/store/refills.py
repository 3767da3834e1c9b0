"""The progress of collections that are filled from SQLite: durable, so that a refill resumes after a crash."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from syncd.model import Embedding, Target
from syncd.store.codec import embedding_to_json
from syncd.store.cursors import INVALID
from syncd.store.database import Database
from syncd.store.staging import FORGOTTEN
from syncd.store.webhook_outbox import notify_healed

Place = tuple[int, int]
"""A chunk by (document, number); it and everything before it is filled."""
START: Place = (0, -1)
REFILL_ALL = (
    "UPDATE collections SET rebuilding = coalesce(rebuilding, '{}'), chroma_id = NULL, refilled_document = 0, refilled_number = -1",
    "DELETE FROM outbox",
)
"""Have every collection deleted, made again and filled: what the vector store has of it is not known."""

LITTLE_DELETED = 1000
"""Fewer deleted rows than that are left where they are: some megabytes."""
_MADE_ANEW = "deleted = iif(chroma_id IS ?, deleted, 0), chroma_id = ?"
_BLOAT = (
    "SELECT database, name, id, (SELECT count(*) FROM documents d JOIN chunks k ON k.document_id = d.id "
    "WHERE d.collection_id = c.id) AS chunks, deleted, rebuilding FROM collections c"
)

_IS_SHOWN = "id NOT IN (SELECT collection_id FROM shadows) AND (rebuilding IS NOT NULL OR " + " OR ".join(
    f"EXISTS (SELECT 1 FROM {table} WHERE collection_id = c.id{condition})"
    for table, condition in (("documents", ""), ("prepared", ""), ("cursors", f" AND recipe <> '{INVALID}'"))
) + ")"  # fmt: skip
"""Of one whose last source was removed with its documents nothing is left to show."""


@dataclass(frozen=True, slots=True)
class CollectionState:
    """A collection that syncd writes, of so many chunks. `filled`: the share of its chunks that is there again while it is filled, else None.

    `bloat`: how many times the space of its rows the vector store needs for it, as it never frees that of deleted ones.
    """

    database_name: str
    collection_name: str
    chunks: int
    filled: float | None
    bloat: float


class Refills:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def begin(self, collection_id: int, metadata: str, chroma_id: str | None, damage: str = "") -> None:
        """Record that a refill begins, and the collection's own metadata (JSON), which is restored at the end.

        `chroma_id` is the vector store's id of the collection to fill; None: it will be deleted and recreated. `damage`: what
        happened to it, if anything did; what is known of that already stays.
        """
        changes = f"rebuilding = ?, {_MADE_ANEW}, damage = iif(damage = '', ?, damage)"
        await self._place(collection_id, changes, (metadata, chroma_id, chroma_id, damage), START)

    async def opened(self, collection_id: int, chroma_id: str) -> None:
        """Record that another collection of the vector store is filled, from the start."""
        await self._place(collection_id, _MADE_ANEW, (chroma_id, chroma_id), START)

    async def reached(self, collection_id: int, place: Place) -> None:
        """Record that everything up to `place` is in the vector store."""
        await self._place(collection_id, "id = id", (), place)

    async def end(self, collection_id: int, gone: Sequence[str] = ()) -> None:
        """Record that the collection is complete, except for the outbox; webhooks are told if damage is healed so. `gone`: rows that
        were kept of chunks damaged here, and are not there any more.
        """
        statement = "UPDATE collections SET rebuilding = NULL, damage = '', refilled_document = ?, refilled_number = ? WHERE id = ?"

        def transaction(connection: sqlite3.Connection) -> None:
            damage = connection.execute("SELECT damage FROM collections WHERE id = ?", (collection_id,)).fetchone()
            connection.execute(statement, (*START, collection_id))
            left = "DELETE FROM outbox WHERE collection_id = ? AND chunk_id = ? AND op = ?"
            connection.executemany(left, [(collection_id, chunk_id, FORGOTTEN) for chunk_id in gone])
            if damage and damage[0]:
                notify_healed(connection, collection_id, damage[0])

        await self._db.write(transaction)

    async def reshape(self, target: Target, source_id: str, before: Embedding, after: Embedding) -> bool:
        """Have the collection of this source alone hold vectors of other dimensions; return whether it will.

        Nothing happens if another source has documents in it, or more than the dimensions differ. The collection is made
        again from the whole vectors in SQLite, as a rebuild does it. Twice is safe.
        """
        alone = (
            "SELECT id FROM collections c WHERE database = ?1 AND name = ?2 AND embedding = ?3 AND NOT EXISTS (SELECT 1 FROM "
            "documents WHERE collection_id = c.id AND source_id != ?4 AND state = 'indexed') AND NOT EXISTS (SELECT 1 FROM "
            "prepared WHERE collection_id = c.id AND source_id != ?4)"
        )
        values = (target.database, target.collection, embedding_to_json(before), source_id)

        def transaction(connection: sqlite3.Connection) -> bool:
            row = connection.execute(alone, values).fetchone()
            if row is not None:
                connection.execute(
                    "UPDATE collections SET embedding = ?, rebuilding = coalesce(rebuilding, '{}'), chroma_id = NULL, "
                    "refilled_document = ?, refilled_number = ? WHERE id = ?",
                    (embedding_to_json(after), *START, row[0]),
                )
            return row is not None

        differ_so = before != after and replace(before, dimensions=after.dimensions) == after
        return differ_so and await self._db.write(transaction)

    async def _place(self, collection_id: int, changes: str, values: Sequence[str | None], place: Place) -> None:
        statement = f"UPDATE collections SET {changes}, refilled_document = ?, refilled_number = ? WHERE id = ?"
        await self._db.write(lambda c: c.execute(statement, (*values, *place, collection_id)))

    async def has_deleted(self, collection_id: int) -> bool:
        """Return whether rows were deleted of the collection of the vector store that is known to have the name."""
        statement = "SELECT 1 FROM collections WHERE id = ? AND deleted > 0"
        return await self._db.read(lambda c: c.execute(statement, (collection_id,)).fetchone() is not None)

    async def is_emptied(self, collection_id: int) -> bool:
        """Return whether rows of a collection were deleted in the vector store, and none of ours may be left there: all wait to be written.

        More may be left, as only some are looked at. False of one that is being filled.
        """
        some = (
            "SELECT d.prefix || '-' || c.number AS chunk_id FROM documents d CROSS JOIN chunks c ON c.document_id = d.id "
            "WHERE d.collection_id = ?1 LIMIT 1000"
        )
        waits = "SELECT 1 FROM outbox o WHERE o.collection_id = ?1 AND o.chunk_id = s.chunk_id"
        statement = (
            "SELECT 1 FROM collections WHERE id = ?1 AND deleted > 0 AND rebuilding IS NULL "
            f"AND NOT EXISTS (SELECT 1 FROM ({some}) s WHERE NOT EXISTS ({waits}))"
        )
        return await self._db.read(lambda c: c.execute(statement, (collection_id,)).fetchone() is not None)

    async def expected(self, collection_id: int) -> tuple[int, int]:
        """Return how many chunks a collection should hold, and about how many ids of it are to be written."""
        chunks = "SELECT count(*) FROM chunks c JOIN documents d ON d.id = c.document_id WHERE d.collection_id = ?1"
        forgotten = "SELECT count(*) FROM outbox WHERE collection_id = ?1 AND op = ?2"
        waiting = "SELECT count(*) FROM outbox WHERE collection_id = ?1 AND op <> ?2"
        statement = f"SELECT ({chunks}) + ({forgotten}), ({waiting})"

        def query(connection: sqlite3.Connection) -> tuple[int, int]:
            return connection.execute(statement, (collection_id, FORGOTTEN)).fetchone()

        return await self._db.read(query)

    async def expected_ids(self, collection_id: int, page_size: int) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of the rows that `expected` counts, in pages; each is read when it is asked for."""
        chunks = (
            "SELECT c.document_id, c.number, d.prefix || '-' || c.number FROM documents d CROSS JOIN chunks c ON c.document_id = d.id "
            # By document id from the place on, as `+` keeps the collection's index out: that would read all of it for every page.
            "WHERE d.id >= ?2 AND +d.collection_id = ?1 AND (c.document_id, c.number) > (?2, ?3) ORDER BY d.id, c.number LIMIT ?4"
        )
        forgotten = (
            "SELECT chunk_id FROM outbox WHERE collection_id = ? AND op = ? AND chunk_id > ? ORDER BY chunk_id LIMIT ?"
        )
        place, last = START, ""
        while found := await self._rows(chunks, collection_id, *place, page_size):
            yield [chunk_id for *_, chunk_id in found]
            place = found[-1][:2]
        while found := await self._rows(forgotten, collection_id, FORGOTTEN, last, page_size):
            yield [chunk_id for (chunk_id,) in found]
            (last,) = found[-1]

    async def _rows(self, statement: str, *values: str | int) -> list[tuple[Any, ...]]:
        return await self._db.read(lambda c: c.execute(statement, values).fetchall())

    async def filled(self, collection_id: int) -> float | None:
        """Return the share of a collection's chunks that is in the vector store again while it is being filled; else None."""
        return await self._db.read(lambda c: _filled(c, collection_id))

    async def states(self) -> Sequence[CollectionState]:
        """Return the state of every collection that answers and has documents, or a source that brought it in step, by database and
        name.
        """

        def query(connection: sqlite3.Connection) -> list[CollectionState]:
            rows = connection.execute(f"{_BLOAT} WHERE {_IS_SHOWN} ORDER BY database, name").fetchall()
            return [
                CollectionState(
                    database, name, chunks, _filled(connection, ident), round((chunks + deleted) / max(1, chunks), 1)
                )
                for database, name, ident, chunks, deleted, _ in rows
            ]

        return await self._db.read(query)

    async def bloated(self, factor: float) -> Sequence[Target]:
        """Return the collections that need more than `factor` times the space of their rows, and are not small or being filled."""
        wanted = "rebuilding IS NULL AND deleted >= ? AND deleted > (? - 1) * chunks"
        statement = f"SELECT database, name FROM ({_BLOAT}) WHERE {wanted} ORDER BY database, name"
        return await self._db.read(lambda c: [Target(*row) for row in c.execute(statement, (LITTLE_DELETED, factor))])

    async def watched(self) -> Sequence[int]:
        """Return the collections with documents of an existing source; collections without are no longer watched."""
        statement = (
            "SELECT c.id FROM collections c WHERE c.rebuilding IS NOT NULL OR EXISTS (SELECT 1 FROM documents d "
            "JOIN sources s ON s.id = d.source_id WHERE d.collection_id = c.id AND d.state = 'indexed') ORDER BY c.id"
        )
        return await self._db.read(lambda c: [ident for (ident,) in c.execute(statement)])


def _filled(connection: sqlite3.Connection, collection_id: int) -> float | None:
    state = connection.execute(
        "SELECT chroma_id, refilled_document, refilled_number FROM collections WHERE id = ? AND rebuilding IS NOT NULL",
        (collection_id,),
    ).fetchone()
    if state is None:
        return None
    done, chunks = connection.execute(
        "SELECT count(*) FILTER (WHERE (c.document_id, c.number) <= (?, ?)), count(*) FROM chunks c "
        "JOIN documents d ON d.id = c.document_id WHERE d.collection_id = ?",
        (*state[1:], collection_id),
    ).fetchone()
    return done / chunks if state[0] is not None and chunks else 0.0

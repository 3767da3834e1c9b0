"""The outbox: ids still to be written to the vector store, read together with their rows."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from syncd.store.database import Database
from syncd.store.refills import START, Place
from syncd.store.staging import FORGOTTEN, put_in_outbox
from syncd.store.webhook_outbox import notify_healed
from syncd.store.whole_chunks import CONTENT, SELECT_ROWS, ChunkRow, StoredChunk, chunk_row


@dataclass(frozen=True, slots=True)
class Waiting:
    """One outbox entry; `row` is None for a delete and for a chunk that has vanished meanwhile. One that is damaged is not to
    be told: see `Repairs.repair`. `generation` tells it from one that was noted later.
    """

    chunk_id: str
    op: str
    generation: int
    row: ChunkRow | None


@dataclass(frozen=True, slots=True)
class Portion:
    """Some documents of a collection: those of one source (None: of all), and about this share of them."""

    source_id: str | None = None
    share: float = 1.0
    salt: int = field(default_factory=lambda: random.randrange(_SPREAD))  # noqa: S311 - no secret
    """Which of them: others each time, if it is not given."""

    @property
    def condition(self) -> tuple[str, tuple[str | int, ...]]:
        """Return what is true of their rows `d`, in SQL, and its values."""
        of_source = ("AND d.source_id = ? ", (self.source_id,)) if self.source_id else ("", ())
        if self.share >= 1:
            return of_source
        # Multiplied by a number without a common divisor, ids are spread evenly over the modulus (Knuth, section 6.4).
        chosen = f"AND (d.id + ?) * 2654435761 % {_SPREAD} < ? "
        return of_source[0] + chosen, (*of_source[1], self.salt, round(self.share * _SPREAD))


_SPREAD = 1_000_003
SAMPLED_DOCUMENTS = 10
"""A sample is chosen from so many times as many documents as it has chunks: most of those have chunks, and then many to choose from."""
EVERYTHING_HELD = Portion()


class Outbox:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def waiting(self, collection_id: int, chunk_ids: Sequence[str]) -> Sequence[Waiting]:
        """Return the entries of these ids with their rows; ids without an entry are omitted."""

        def query(connection: sqlite3.Connection) -> list[Waiting]:
            dimensions = dimensions_of(connection, collection_id)
            marks = ", ".join("?" * len(chunk_ids))
            entries = connection.execute(
                f"SELECT o.chunk_id, o.op, o.generation, {CONTENT} FROM outbox o "
                "LEFT JOIN chunks c ON c.document_id = o.document_id AND c.number = o.number "
                "LEFT JOIN postings p ON p.document_id = o.document_id AND p.number = o.number "
                f"LEFT JOIN vectors v ON v.key = c.vector_key WHERE o.collection_id = ? AND o.op <> ? AND o.chunk_id IN ({marks})",
                (collection_id, FORGOTTEN, *chunk_ids),
            )
            return [
                Waiting(
                    chunk_id,
                    op,
                    generation,
                    None if stored[0] is None else chunk_row(dimensions, chunk_id, StoredChunk(*stored)),
                )
                for chunk_id, op, generation, *stored in entries
            ]

        return await self._db.read(query)

    async def left_behind(self) -> Sequence[tuple[int, str]]:
        """Return (collection, chunk id) of the entries left by a crash, each now marked to be replaced entirely."""

        def transaction(connection: sqlite3.Connection) -> list[tuple[int, str]]:
            connection.execute("UPDATE outbox SET op = 'replace' WHERE op = 'add'")
            left = "SELECT collection_id, chunk_id FROM outbox WHERE op <> ?"
            return connection.execute(left, (FORGOTTEN,)).fetchall()

        return await self._db.write(transaction)

    async def want(self, collection_id: int, chunk_ids: Sequence[str], damage: str = "") -> None:
        """Have these ids replaced entirely in the vector store if a chunk has them, else deleted; tell webhooks which `damage` that heals."""

        def transaction(connection: sqlite3.Connection) -> None:
            places, gone = find_chunks(connection, collection_id, chunk_ids), ("delete", None, None)
            entries = {i: ("replace", *places[i]) if i in places else gone for i in chunk_ids}
            put_in_outbox(connection, collection_id, entries)
            if damage:
                notify_healed(connection, collection_id, damage)

        await self._db.write(transaction)

    async def known(self, collection_id: int, chunk_ids: Sequence[str]) -> frozenset[str]:
        """Return those of the ids that belong to a chunk, or did before it was damaged."""
        forgotten = "SELECT 1 FROM outbox WHERE collection_id = ? AND chunk_id = ? AND op = ?"

        def query(connection: sqlite3.Connection) -> frozenset[str]:
            found = find_chunks(connection, collection_id, chunk_ids)
            left = [(collection_id, chunk_id, FORGOTTEN) for chunk_id in chunk_ids if chunk_id not in found]
            return frozenset([*found, *(key[1] for key in left if connection.execute(forgotten, key).fetchone())])

        return await self._db.read(query)

    async def chunk_count(self, collection_id: int, source_id: str | None = None) -> int:
        """Return how many chunks a collection should hold, or hold of one source."""
        statement = (
            "SELECT count(*) FROM chunks c JOIN documents d ON d.id = c.document_id WHERE d.collection_id = ?1 "
            "AND (?2 IS NULL OR d.source_id = ?2)"
        )
        return await self._db.read(lambda c: c.execute(statement, (collection_id, source_id)).fetchone()[0])

    async def clear(self, collection_id: int, entries: Sequence[Waiting], *, is_freed: bool = False) -> None:
        """Delete entries, because the vector store now agrees, but for those that were noted again meanwhile; count what it
        deleted, unless its space is freed.
        """
        statement = (
            "DELETE FROM outbox WHERE collection_id = ? AND chunk_id = ? AND generation = ? "
            "RETURNING op IN ('delete', 'replace')"
        )

        def transaction(connection: sqlite3.Connection) -> None:
            keys = [(collection_id, entry.chunk_id, entry.generation) for entry in entries]
            done = [connection.execute(statement, key).fetchone() for key in keys]
            deleted = 0 if is_freed else sum(row[0] for row in done if row)
            connection.execute("UPDATE collections SET deleted = deleted + ? WHERE id = ?", (deleted, collection_id))

        await self._db.write(transaction)

    async def sample(self, collection_id: int, size: int, source_id: str | None = None) -> Sequence[ChunkRow]:
        """Return up to `size` random chunks, of one source or of all, that the vector store should have, as nothing about them
        is in the outbox. They are chosen from those of some random documents.
        """
        counted = (
            "SELECT count(*) FROM documents WHERE collection_id = ?1 AND state = 'indexed' "
            "AND (?2 IS NULL OR source_id = ?2)"
        )

        def query(connection: sqlite3.Connection) -> list[ChunkRow]:
            dimensions = dimensions_of(connection, collection_id)
            (documents,) = connection.execute(counted, (collection_id, source_id)).fetchone()
            share = SAMPLED_DOCUMENTS * size / max(1, documents)
            condition, values = Portion(source_id, share).condition
            chosen = (
                f"SELECT d.id, c.number FROM documents d JOIN chunks c ON c.document_id = d.id WHERE d.collection_id = ? {condition}"
                "AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.collection_id = d.collection_id "
                "AND o.chunk_id = d.prefix || '-' || c.number) ORDER BY random() LIMIT ?"
            )
            places = connection.execute(chosen, (collection_id, *values, size)).fetchall()
            found = (
                connection.execute(f"{SELECT_ROWS}WHERE d.id = ? AND c.number = ?", place).fetchone()
                for place in places
            )
            return [chunk_row(dimensions, chunk_id, StoredChunk(*stored)) for chunk_id, *stored in found]

        return await self._db.read(query)

    async def page(
        self, collection_id: int, after: Place = START, size: int = 300, portion: Portion = EVERYTHING_HELD
    ) -> tuple[Sequence[ChunkRow], Place]:
        """Return the chunks that come next after a place, by document and number, and the place reached; none at the end."""
        condition, values = portion.condition
        statement = (
            # By document id from the place on, as `+` keeps the collection's index out: that would read all of it for every page.
            SELECT_ROWS + f"WHERE d.id >= ? AND +d.collection_id = ? AND (c.document_id, c.number) > (?, ?) {condition}"
            "ORDER BY d.id, c.number LIMIT ?"
        ).replace("SELECT ", "SELECT c.document_id, c.number, ", 1)

        def query(connection: sqlite3.Connection) -> tuple[list[ChunkRow], Place]:
            dimensions, place = dimensions_of(connection, collection_id), after
            page: list[ChunkRow] = []
            found = connection.execute(statement, (after[0], collection_id, *after, *values, size))
            for document_id, number, chunk_id, *stored in found:
                page.append(chunk_row(dimensions, chunk_id, StoredChunk(*stored)))
                place = document_id, number
            return page, place

        return await self._db.read(query)

    async def rows(
        self, collection_id: int, page_size: int = 300, portion: Portion = EVERYTHING_HELD
    ) -> AsyncIterator[Sequence[ChunkRow]]:
        """Yield the chunks of a portion of a collection in pages, by document and number."""
        page, place = await self.page(collection_id, START, page_size, portion)
        while page:
            yield page
            page, place = await self.page(collection_id, place, page_size, portion)

    async def ids(self, collection_id: int) -> Sequence[str]:
        """Return every id of the collection in the outbox that is to be written."""
        statement = "SELECT chunk_id FROM outbox WHERE collection_id = ? AND op <> ?"
        values = (collection_id, FORGOTTEN)
        return await self._db.read(lambda c: [chunk_id for (chunk_id,) in c.execute(statement, values)])

    async def forgotten(self, collection_id: int) -> Sequence[str]:
        """Return the ids of chunks that were damaged and deleted here, and whose rows are to stay in the vector store."""
        statement = "SELECT chunk_id FROM outbox WHERE collection_id = ? AND op = ?"
        return await self._db.read(lambda c: [i for (i,) in c.execute(statement, (collection_id, FORGOTTEN))])

    async def dimensions(self, collection_id: int) -> int | None:
        """Return the dimensions of a collection's vectors as the vector store has them, or None if it has none."""
        statement = (
            SELECT_ROWS.replace("SELECT ", "SELECT length(v.vector) / 4, ", 1)
            + "WHERE d.collection_id = ? AND v.vector IS NOT NULL LIMIT 1"
        )

        def query(connection: sqlite3.Connection) -> int | None:
            row = connection.execute(statement, (collection_id,)).fetchone()
            return min(row[0], dimensions_of(connection, collection_id) or row[0]) if row else None

        return await self._db.read(query)


def dimensions_of(connection: sqlite3.Connection, collection_id: int) -> int | None:
    """Return to how many dimensions a collection's vectors are shortened; None: they are whole."""
    statement = "SELECT json_extract(embedding, '$.dimensions') FROM collections WHERE id = ?"
    row = connection.execute(statement, (collection_id,)).fetchone()
    return row[0] if row else None


def find_chunks(
    connection: sqlite3.Connection, collection_id: int, chunk_ids: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """Return id -> (document, number) of the ids that a chunk has."""
    statement = (
        "SELECT c.document_id, c.number FROM documents d JOIN chunks c ON c.document_id = d.id "
        "WHERE d.collection_id = ? AND d.prefix = ? AND d.state = 'indexed' AND c.number = ?"
    )
    found: dict[str, tuple[int, int]] = {}
    for chunk_id in chunk_ids:
        prefix, _, number = chunk_id.rpartition("-")
        if row := connection.execute(statement, (collection_id, prefix, number)).fetchone():
            found[chunk_id] = row
    return found

"""Sparse vectors of chunks, kept in sync with them: written with a chunk (staging), deleted with it (by a trigger).

Readers keep inverted lists (`word_file.py`) and read what has changed since their last read.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncd.store.database import Database
from syncd.store.posting_changes import PostingChanges, Seen, read_changes
from syncd.store.vectors import LOOKUP_SIZE

DOCUMENTS_AT_ONCE = 500
_LAST_CHUNK = 1 << 62


@dataclass(frozen=True, slots=True)
class Posting:
    """A stored sparse vector and the fingerprint of the model that made it."""

    model: str
    vector: bytes


@dataclass(frozen=True, slots=True)
class Unposted:
    """A chunk without a posting of the wanted model; a prepared document's id is negative, as in its postings."""

    document_id: int
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class UnpostedPage:
    """Some of the chunks without a posting, and beyond which document and chunk there may be more; None: there are no more."""

    chunks: Sequence[Unposted]
    after: tuple[int, int] | None


_UNPOSTED = (
    "SELECT c.document_id, c.number, c.context || c.text FROM chunks c CROSS JOIN documents d ON d.id = c.document_id "
    "WHERE NOT EXISTS (SELECT 1 FROM postings p WHERE p.document_id = c.document_id AND p.number = c.number AND p.model = ?) "
    "AND d.collection_id = ? AND (c.document_id, c.number) > (?, ?) AND c.document_id <= ? ORDER BY c.document_id, c.number LIMIT ?"
)
_UNPOSTED_PREPARED = (
    "SELECT -c.prepared_id, c.number, c.context || c.text FROM prepared_chunks c CROSS JOIN prepared d "
    "ON d.id = c.prepared_id WHERE c.posting_model IS NOT ? AND d.collection_id = ? AND (c.prepared_id, c.number) > (?, ?) "
    "AND c.prepared_id <= ? ORDER BY c.prepared_id, c.number LIMIT ?"
)
# A reader knows postings by ids that only grow: a new vector is a new row.
_IS_CURRENT = (
    "EXISTS (SELECT 1 FROM chunks WHERE document_id = :document AND number = :number AND context || text = :text)"
)
_FILL = (
    f"DELETE FROM postings WHERE document_id = :document AND number = :number AND model <> :model AND {_IS_CURRENT}",
    "INSERT OR IGNORE INTO postings (collection_id, document_id, number, model, vector, checksum) "
    f"SELECT :collection, :document, :number, :model, :vector, :checksum WHERE {_IS_CURRENT}",
)
_IS_PREPARED = "c.prepared_id = :document AND c.number = :number AND c.context || c.text = :text"
_FILL_PREPARED = (
    f"UPDATE prepared_chunks AS c SET posting_model = :model, posting = :vector, posting_checksum = :checksum WHERE {_IS_PREPARED}",
    "DELETE FROM postings WHERE document_id = -:document AND number = :number AND model <> :model "
    f"AND EXISTS (SELECT 1 FROM prepared_chunks c WHERE {_IS_PREPARED})",
    "INSERT OR IGNORE INTO postings (collection_id, document_id, number, model, vector, checksum) SELECT :collection, -:document, :number, :model, :vector, :checksum "
    f"FROM prepared_chunks c JOIN prepared d ON d.id = c.prepared_id WHERE d.findable AND {_IS_PREPARED}",
)


class Postings:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def begin(self) -> tuple[Seen, Sequence[int]]:
        """Clear the log of deleted postings; call it before anything reads `changes`. Return the last position, and all collections."""

        def transaction(connection: sqlite3.Connection) -> tuple[Seen, list[int]]:
            connection.execute("DELETE FROM postings_gone")
            last = Seen(_last(connection, "postings"), _last(connection, "postings_gone"))
            return last, [number for (number,) in connection.execute("SELECT id FROM collections")]

        return await self._db.write(transaction)

    async def there(self, collection_id: int, through: int) -> tuple[NDArray[np.int64], Seen]:
        """Return the ids, ascending, of a collection's postings up to one, and the position of who knows just these.

        Reads an index: 0.2 s for a million.
        """

        def query(connection: sqlite3.Connection) -> tuple[NDArray[np.int64], Seen]:
            selected = "SELECT id FROM postings WHERE collection_id = ? AND id <= ? ORDER BY id"
            # Before the postings: what goes in between is removed twice, which is harmless.
            seen = Seen(through, _last(connection, "postings_gone"))
            rows = connection.execute(selected, (collection_id, through))
            return np.fromiter((number for (number,) in rows), np.int64), seen

        return await self._db.read(query)

    async def forget_gone(self, collection_id: int, through: int | None) -> None:
        """Cut the log of a collection's deleted postings, up to what its reader has read; None: all, as nobody reads it. Twice is safe."""
        of_collection = "FROM postings_gone WHERE collection_id = ? AND seq <= coalesce(?, seq)"
        values = (collection_id, through)
        if await self._db.read(lambda c: c.execute(f"SELECT 1 {of_collection} LIMIT 1", values).fetchone()):
            await self._db.write(lambda c: c.execute(f"DELETE {of_collection}", values))

    async def are_beyond(self, collection_id: int, posting: int, count: int) -> bool:
        """Return whether a collection has more than `count` postings after one."""
        selected = "SELECT 1 FROM postings WHERE collection_id = ? AND id > ? ORDER BY id LIMIT 1 OFFSET ?"
        return bool(await self._db.read(lambda c: c.execute(selected, (collection_id, posting, count)).fetchone()))

    async def known(self, vector_keys: Sequence[bytes], model: str) -> Mapping[bytes, bytes]:
        """Return vectors that `model` computed for the same texts, in any collection, by dense cache key."""
        statement = (
            "SELECT c.vector_key, p.vector FROM chunks c JOIN postings p ON p.document_id = c.document_id "
            "AND p.number = c.number WHERE p.model = ? AND c.vector_key IN ({})"
        )

        def query(connection: sqlite3.Connection) -> dict[bytes, bytes]:
            found: dict[bytes, bytes] = {}
            for start in range(0, len(vector_keys), LOOKUP_SIZE):
                some = vector_keys[start : start + LOOKUP_SIZE]
                marks = ", ".join("?" * len(some))
                found.update(connection.execute(statement.format(marks), (model, *some)).fetchall())
            return found

        return await self._db.read(query)

    async def changes(self, collection_id: int, models: Sequence[str], seen: Seen) -> PostingChanges:
        """Return a page of postings of some models added and deleted in a collection after `seen`, from one snapshot."""

        def query(connection: sqlite3.Connection) -> PostingChanges:
            connection.execute("BEGIN")
            try:
                return read_changes(connection, collection_id, models, seen)
            finally:
                connection.execute("COMMIT")

        return await self._db.read(query)

    async def unposted(
        self, collection_id: int, model: str, after: tuple[int, int], limit: int, *, prepared: bool = False
    ) -> UnpostedPage:
        """Return chunks of a collection's documents, or of its `prepared` ones, that have no posting of `model`.

        At most `limit`, beyond `after` (the id of the document or the prepared one, and the chunk's number), of the next
        `DOCUMENTS_AT_ONCE` documents of any collection: who reads meanwhile does not wait until a million chunks were looked at.
        """
        table, statement = ("prepared", _UNPOSTED_PREPARED) if prepared else ("documents", _UNPOSTED)
        some = f"SELECT max(id) FROM (SELECT id FROM {table} WHERE id > ? ORDER BY id LIMIT {DOCUMENTS_AT_ONCE})"

        def query(connection: sqlite3.Connection) -> UnpostedPage:
            (last,) = connection.execute(some, after[:1]).fetchone()
            values = (model, collection_id, *after, last or after[0], limit)
            chunks = [Unposted(*row) for row in connection.execute(statement, values)]
            if len(chunks) == limit:
                return UnpostedPage(chunks, (abs(chunks[-1].document_id), chunks[-1].number))
            return UnpostedPage(chunks, last and (last, _LAST_CHUNK))

        return await self._db.read(query)

    async def fill(
        self, collection_id: int, model: str, rows: Sequence[tuple[Unposted, bytes]], *, flush: bool
    ) -> Sequence[str]:
        """Replace or add postings of chunks that still have the text they were made from. Twice is safe.

        `flush`: also put the chunks into the outbox, to be written to the vector store, and return their ids.
        """
        values = [
            {
                "model": model,
                "vector": vector,
                "document": abs(u.document_id),
                "number": u.number,
                "collection": collection_id,
                "text": u.text,
                "checksum": zlib.crc32(vector),
            }
            for u, vector in rows
        ]
        prepared = [some for some, (u, _) in zip(values, rows, strict=True) if u.document_id < 0]
        written = [some for some, (u, _) in zip(values, rows, strict=True) if u.document_id > 0]

        def transaction(connection: sqlite3.Connection) -> list[str]:
            for statements, some in ((_FILL_PREPARED, prepared), (_FILL, written)):
                for statement in statements:
                    connection.executemany(statement, some)
            told = [u for u, _ in rows if flush and u.document_id > 0]
            return [chunk_id for u in told for chunk_id in tell_of(connection, collection_id, u)]

        return await self._db.write(transaction)


def _last(connection: sqlite3.Connection, table: str) -> int:
    """Return the last number that a table gave, or 0; none is given twice."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return row[0] if row else 0


def tell_of(connection: sqlite3.Connection, collection_id: int, chunk: Unposted) -> list[str]:
    """Put a chunk into the outbox within the caller's transaction, whole if it waits there already; return its id, if any."""
    found = connection.execute(
        "SELECT d.prefix || '-' || c.number FROM chunks c JOIN documents d ON d.id = c.document_id "
        "WHERE c.document_id = ? AND c.number = ?",
        (chunk.document_id, chunk.number),
    ).fetchall()
    connection.executemany(
        "INSERT INTO outbox (collection_id, chunk_id, op, document_id, number) VALUES (?, ?, 'update', ?, ?) "
        "ON CONFLICT (collection_id, chunk_id) DO UPDATE SET op = iif(op = 'add', 'replace', op), generation = generation + 1",
        [(collection_id, chunk_id, chunk.document_id, chunk.number) for (chunk_id,) in found],
    )
    return [chunk_id for (chunk_id,) in found]

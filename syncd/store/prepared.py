"""Documents between parsing and the vector store: prepared, then embedded; each step durable, so that a crash repeats only one.

put (chunks, words, which vectors are missing)  →  take, embedded (vectors)  →  staged as a `Promotion`, which ends the row
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from syncd.errors import ConflictError
from syncd.store.changes import Promotion, Replacement
from syncd.store.codec import dumps
from syncd.store.database import Database
from syncd.store.vectors import absent, insert_vectors

SELECT = (
    "SELECT id, collection_id, source_id, key, version, fingerprint, seen, chunks, urgency, wanted, embedded, tokens "
    "FROM prepared "
)


class Urgency(IntEnum):
    """Whose vectors are computed first."""

    BACKFILL = 0
    """The first run over a source."""
    CHANGE = 1
    """A run that goes on from a cursor."""
    OBJECT = 2
    """One object, asked for or told of by an event."""


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """One prepared version. `wanted` chunks still have no vector; `embedded` of them had none when it was put."""

    id: int
    collection_id: int
    source_id: str
    key: str
    version: str
    fingerprint: str
    seen: int
    chunks: int
    urgency: int
    wanted: int
    embedded: int
    tokens: int

    @property
    def owner(self) -> tuple[int, str, str]:
        """Collection, source and key: where the document is recorded."""
        return self.collection_id, self.source_id, self.key

    @property
    def promotion(self) -> Promotion:
        """Return the change that hands it on to the vector store."""
        return Promotion(*self.owner, self.version, self.fingerprint, self.id, self.chunks, urgent=self.urgency > 0)


@dataclass(frozen=True, slots=True)
class WantedText:
    """A text whose vector is missing. `key` is where the cache is to hold it."""

    key: bytes
    text: str
    collection_id: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: documents prepared and not yet written; those of them that have all vectors; the texts that have none, in
    bytes; and the tokens that their vectors have cost so far, of how many bytes.
    """

    documents: int = 0
    embedded: int = 0
    wanted_bytes: int = 0
    tokens: int = 0
    embedded_bytes: int = 0


class Prepared:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def put(self, change: Replacement, model: str, urgency: Urgency) -> PreparedDocument:
        """Keep a document's chunks until their vectors are there, in place of an earlier prepared version. Twice is safe.

        `model` is the fingerprint of the model they are wanted of. A document of which no version is in the vector store
        is found by words from here on. Raises ConflictError when another document has its chunk ids.
        """
        document = await self._db.write(lambda c: put(c, change, model, urgency))
        if isinstance(document, ConflictError):
            raise document
        return document

    async def get(self, collection_id: int, source_id: str, key: str) -> PreparedDocument | None:
        """Return the prepared version of a document, or None."""
        statement = f"{SELECT} WHERE collection_id = ? AND source_id = ? AND key = ?"
        return await self._db.read(lambda c: first(c.execute(statement, (collection_id, source_id, key))))

    async def discard(self, collection_id: int, source_id: str, key: str) -> None:
        """Forget a prepared version: its source has taken it back. Twice is safe."""
        await self._db.write(lambda c: discard(c, collection_id, source_id, key))

    async def discard_ids(self, ids: Sequence[int]) -> None:
        """Forget prepared versions: nobody wants them any more. Twice is safe."""
        await self._db.write(lambda c: c.executemany("DELETE FROM prepared WHERE id = ?", [(i,) for i in ids]))

    async def discard_orphans(self) -> None:
        """Forget what was prepared for sources that are no more. Twice is safe."""
        await self._db.write(
            lambda c: c.execute("DELETE FROM prepared WHERE source_id NOT IN (SELECT id FROM sources)")
        )

    async def hurry(self, prepared_id: int, urgency: Urgency) -> None:
        """Let somebody's urgency be that of a document that waits already; never lowers it."""
        statement = "UPDATE prepared SET urgency = ?1 WHERE id = ?2 AND urgency < ?1"
        await self._db.write(lambda c: c.execute(statement, (urgency, prepared_id)))

    async def queues(self, model: str, *, is_urgent: bool) -> Sequence[str]:
        """Return the sources whose texts are due at `model`, in order: of backfills, or those of the highest urgency above."""
        statement = (
            "SELECT DISTINCT source_id FROM prepared WHERE model = ?1 AND wanted > 0 AND (urgency > 0) = ?2 AND urgency = "
            "(SELECT max(urgency) FROM prepared WHERE model = ?1 AND wanted > 0 AND (urgency > 0) = ?2) ORDER BY source_id"
        )
        return await self._db.read(lambda c: [row[0] for row in c.execute(statement, (model, is_urgent))])

    async def take(
        self, model: str, source_id: str, limit: int, besides: Collection[bytes], *, is_urgent: bool
    ) -> Sequence[WantedText]:
        """Return a source's texts whose vectors are due: the most urgent, then the oldest; none `besides` those."""
        statement = (
            "SELECT c.vector_key, c.context || c.text, p.collection_id FROM prepared p JOIN prepared_chunks c "
            "ON c.prepared_id = p.id AND c.wanted WHERE p.model = ? AND p.wanted > 0 AND p.source_id = ? "
            "AND (p.urgency > 0) = ? ORDER BY p.urgency DESC, p.id, c.number"
        )

        def query(connection: sqlite3.Connection) -> list[WantedText]:
            found: dict[bytes, WantedText] = {}
            rows = connection.execute(statement, (model, source_id, is_urgent))
            for row in rows:
                if row[0] not in besides:
                    found[row[0]] = WantedText(*row)
                if len(found) == limit:
                    break
            rows.close()
            return list(found.values())

        return await self._db.read(query)

    async def embedded(
        self, vectors: Mapping[bytes, NDArray[np.float32]], tokens: Mapping[bytes, int]
    ) -> Sequence[PreparedDocument]:
        """Keep vectors, and return the documents that miss none from here on. Twice is safe."""
        return await self._db.write(lambda c: embedded(c, vectors, tokens))

    async def ready(self, limit: int, besides: Collection[int]) -> Sequence[PreparedDocument]:
        """Return documents that miss no vector, urgent ones first; none `besides` those."""
        statement = f"{SELECT} WHERE wanted = 0 ORDER BY urgency DESC, id LIMIT ?"

        def query(connection: sqlite3.Connection) -> list[PreparedDocument]:
            rows = connection.execute(statement, (limit + len(besides),)).fetchall()
            return [PreparedDocument(*row) for row in rows if row[0] not in besides][:limit]

        return await self._db.read(query)

    async def wanting(self, key: bytes) -> Sequence[PreparedDocument]:
        """Return the documents that want the vector of `key`."""
        statement = f"{SELECT} WHERE id IN (SELECT prepared_id FROM prepared_chunks WHERE vector_key = ? AND wanted)"
        return await self._db.read(lambda c: [PreparedDocument(*row) for row in c.execute(statement, (key,))])

    async def backlog(self, source_id: str | None = None, collection_id: int | None = None) -> Backlog:
        """Return what waits, of a source and in a collection, where they are named."""
        statement = (
            "SELECT count(*), count(*) FILTER (WHERE wanted = 0), coalesce(sum(wanted_bytes), 0), coalesce(sum(tokens), 0), "
            "coalesce(sum(token_bytes), 0) "
            "FROM prepared WHERE (?1 IS NULL OR source_id = ?1) AND (?2 IS NULL OR collection_id = ?2)"
        )
        values = (source_id, collection_id)
        return await self._db.read(lambda c: Backlog(*c.execute(statement, values).fetchone()))

    async def coverage(self, collection_id: int) -> float:
        """Return the share of a collection's chunks that have vectors. Counts them only while some have none."""
        wanted = "SELECT coalesce(sum(wanted), 0), coalesce(sum(chunks), 0) FROM prepared WHERE collection_id = ? AND findable"
        written = "SELECT count(*) FROM chunks c JOIN documents d ON d.id = c.document_id WHERE d.collection_id = ?"

        def query(connection: sqlite3.Connection) -> float:
            missing, on_its_way = connection.execute(wanted, (collection_id,)).fetchone()
            if not missing:
                return 1.0
            return 1.0 - missing / (on_its_way + connection.execute(written, (collection_id,)).fetchone()[0])

        return await self._db.read(query)

    async def size_bytes(self) -> int:
        """Return about what all of it takes on disk."""
        statement = "SELECT coalesce(sum(size_bytes), 0) FROM prepared"
        return await self._db.read(lambda c: c.execute(statement).fetchone()[0])


def first(rows: sqlite3.Cursor) -> PreparedDocument | None:
    """Return the first row as a document, or None."""
    row = rows.fetchone()
    rows.close()
    return PreparedDocument(*row) if row else None


def discard(connection: sqlite3.Connection, collection_id: int, source_id: str, key: str) -> None:
    """Forget a document's prepared version within the caller's transaction; its chunks and postings go with it."""
    statement = "DELETE FROM prepared WHERE collection_id = ? AND source_id = ? AND key = ?"
    connection.execute(statement, (collection_id, source_id, key))


def put(
    connection: sqlite3.Connection, change: Replacement, model: str, urgency: Urgency
) -> PreparedDocument | ConflictError:
    """Put a document in within the caller's transaction."""
    if error := conflict(connection, change):
        return error
    discard(connection, change.collection_id, change.source_id, change.key)
    known = connection.execute(
        "SELECT 1 FROM documents WHERE collection_id = ? AND source_id = ? AND key = ? AND state = 'indexed'",
        (change.collection_id, change.source_id, change.key),
    ).fetchone()
    prepared_id = insert(connection, change, model, urgency, findable=known is None)
    missing = absent(connection, [chunk.vector_key for chunk in change.chunks])
    insert_chunks(connection, prepared_id, change, missing, findable=known is None)
    connection.execute(
        "UPDATE prepared SET (chunks, wanted, wanted_bytes, size_bytes) = (SELECT count(*), coalesce(sum(wanted), 0), "
        "coalesce(sum(iif(wanted, length(CAST(context AS BLOB)) + length(CAST(text AS BLOB)), 0)), 0), coalesce(sum(length(CAST(text AS BLOB)) + "
        "length(CAST(metadata AS BLOB)) + length(CAST(context AS BLOB)) + coalesce(length(posting), 0)), 0) FROM prepared_chunks "
        "WHERE prepared_id = ?1), embedded = ?2 WHERE id = ?1",
        (prepared_id, len(missing)),
    )
    document = first(connection.execute(f"{SELECT} WHERE id = ?", (prepared_id,)))
    assert document is not None
    return document


def conflict(connection: sqlite3.Connection, change: Replacement) -> ConflictError | None:
    """Return why the document cannot have its chunk ids: another one has them."""
    owner = connection.execute(
        "SELECT source_id, key FROM documents WHERE collection_id = ? AND prefix = ? AND state = 'indexed'",
        (change.collection_id, change.prefix),
    ).fetchone()
    if owner is None or owner == (change.source_id, change.key):
        return None
    return ConflictError(
        f"its chunk ids {change.prefix}-… belong to {owner[1]!r} in this collection; give one of the two a custom id"
    )


def insert(connection: sqlite3.Connection, change: Replacement, model: str, urgency: Urgency, *, findable: bool) -> int:
    """Insert a document's row, whose sums are still to come; return its id."""
    row = connection.execute(
        "INSERT INTO prepared (collection_id, source_id, key, prefix, version, fingerprint, content_hash, seen, changed_at, "
        "prepared_at, model, urgency, findable, chunks, size_bytes, wanted, wanted_bytes, embedded) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0) RETURNING id",
        (
            change.collection_id,
            change.source_id,
            change.key,
            change.prefix,
            change.version,
            change.fingerprint,
            change.content_hash,
            change.seen,
            change.changed_at,
            time.time(),
            model,
            urgency,
            findable,
        ),
    ).fetchone()
    return row[0]


def insert_chunks(
    connection: sqlite3.Connection, prepared_id: int, change: Replacement, missing: set[bytes], *, findable: bool
) -> None:
    """Insert a document's chunks and, where it is to be found already, their postings."""
    connection.executemany(
        "INSERT INTO prepared_chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                prepared_id,
                number,
                chunk.text,
                chunk.context,
                chunk.vector_key,
                dumps(dict(chunk.metadata)),
                chunk.posting and chunk.posting.model,
                chunk.posting and chunk.posting.vector,
                chunk.vector_key in missing,
            )
            for number, chunk in enumerate(change.chunks)
        ),
    )
    if findable:
        connection.execute(
            "INSERT INTO postings (collection_id, document_id, number, model, vector) SELECT ?, -prepared_id, number, "
            "posting_model, posting FROM prepared_chunks WHERE prepared_id = ? AND posting IS NOT NULL",
            (change.collection_id, prepared_id),
        )


def embedded(
    connection: sqlite3.Connection, vectors: Mapping[bytes, NDArray[np.float32]], tokens: Mapping[bytes, int]
) -> list[PreparedDocument]:
    """Keep vectors within the caller's transaction; return the documents that miss none any more."""
    insert_vectors(connection, vectors)
    changed: set[int] = set()
    for key in vectors:
        rows = connection.execute(
            "UPDATE prepared_chunks SET wanted = 0 WHERE vector_key = ? AND wanted "
            "RETURNING prepared_id, length(CAST(context AS BLOB)) + length(CAST(text AS BLOB))",
            (key,),
        ).fetchall()
        for place, (prepared_id, size_bytes) in enumerate(rows):
            changed.add(prepared_id)
            connection.execute(
                "UPDATE prepared SET wanted = wanted - 1, wanted_bytes = wanted_bytes - ?1, tokens = tokens + ?2, "
                "token_bytes = token_bytes + iif(?2, ?1, 0) WHERE id = ?3",
                (size_bytes, 0 if place else tokens.get(key, 0), prepared_id),
            )
    complete: list[PreparedDocument] = []
    for prepared_id in sorted(changed):
        document = first(connection.execute(f"{SELECT} WHERE id = ? AND wanted = 0", (prepared_id,)))
        complete += [document] if document else []
    return complete

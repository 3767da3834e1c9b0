"""Documents between parsing and the vector store: prepared, then embedded; each step durable, so that a crash repeats only one.

put (chunks, words, which vectors are missing)  →  take, embedded (vectors)  →  staged as a `Promotion`, which ends the row
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncd.errors import ConflictError
from syncd.store.changes import PreparedDocument, Replacement, Urgency
from syncd.store.checksums import is_sound
from syncd.store.database import Database
from syncd.store.prepared_damage import drop_damaged, prepared_rows
from syncd.store.prepared_rows import SELECT, discard, embedded, first, keep_token_costs, put
from syncd.store.source_names import IS_PAUSED


@dataclass(frozen=True, slots=True)
class WantedText:
    """A text whose vector is missing. `key` is where the cache is to hold it."""

    key: bytes
    text: str
    collection_id: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: documents prepared and not yet written; those of them that have all vectors; the tokens of the texts that
    have none, where they are counted, and the bytes of those that are not; and the tokens that their vectors have cost so far,
    of how many bytes.
    """

    documents: int = 0
    embedded: int = 0
    wanted_tokens: int = 0
    uncounted_bytes: int = 0
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
        """Forget what was prepared for sources that are no more, and what it is no longer known of for whom. Twice is safe."""

        def transaction(connection: sqlite3.Connection) -> None:
            if damaged := [row for row in prepared_rows(connection) if not row.is_sound]:
                drop_damaged(connection, damaged)
            connection.execute("DELETE FROM prepared WHERE source_id NOT IN (SELECT id FROM sources)")

        await self._db.write(transaction)

    async def hurry(self, prepared_id: int, urgency: Urgency) -> None:
        """Let somebody's urgency be that of a document that waits already; never lowers it."""
        statement = "UPDATE prepared SET urgency = ?1 WHERE id = ?2 AND urgency < ?1"
        await self._db.write(lambda c: c.execute(statement, (urgency, prepared_id)))

    async def queues(self, model: str, *, is_urgent: bool) -> Sequence[str]:
        """Return the sources whose texts are due at `model`, in order: of backfills, or those of the highest urgency above.

        None that are paused.
        """
        statement = (
            f"WITH due AS (SELECT source_id, urgency FROM prepared WHERE model = ? AND wanted > 0 AND (urgency > 0) = ? AND NOT {IS_PAUSED}) "
            "SELECT DISTINCT source_id FROM due WHERE urgency = (SELECT max(urgency) FROM due) ORDER BY source_id"
        )
        return await self._db.read(lambda c: [row[0] for row in c.execute(statement, (model, is_urgent))])

    async def take(
        self, model: str, source_id: str, limit: int, besides: Collection[bytes], *, is_urgent: bool
    ) -> Sequence[WantedText]:
        """Return a source's texts whose vectors are due: the most urgent, then the oldest; none `besides` those.

        A document with a damaged one is dropped, and asked of its source again.
        """
        statement = (
            "SELECT c.vector_key, c.context, c.text, p.collection_id, c.metadata, c.checksum, c.lineage_checksum, p.id "
            "FROM prepared p JOIN prepared_chunks c "
            "ON c.prepared_id = p.id AND c.wanted WHERE p.model = ? AND p.wanted > 0 AND p.source_id = ? "
            "AND (p.urgency > 0) = ? ORDER BY p.urgency DESC, p.id, c.number"
        )

        damaged: set[int] = set()

        def query(connection: sqlite3.Connection) -> list[WantedText]:
            found: dict[bytes, WantedText] = {}
            rows = connection.execute(statement, (model, source_id, is_urgent))
            for key, context, text, collection_id, metadata, checksum, lineage, prepared_id in rows:
                if not is_sound(text, context, key, metadata, checksum, lineage):
                    damaged.add(prepared_id)
                elif key not in besides:
                    found[key] = WantedText(key, context + text, collection_id)
                if len(found) == limit:
                    break
            rows.close()
            return list(found.values())

        texts = await self._db.read(query)
        if damaged:
            of_them = f"id IN ({', '.join('?' * len(damaged))})"
            await self._db.write(lambda c: drop_damaged(c, prepared_rows(c, of_them, list(damaged))))
        return texts

    async def uncounted(self, model: str, limit: int) -> Sequence[WantedText]:
        """Return texts whose vectors are wanted at `model` and whose tokens are not counted, the oldest first."""
        statement = (
            "SELECT c.vector_key, c.context || c.text, p.collection_id FROM prepared p JOIN prepared_chunks c "
            "ON c.prepared_id = p.id AND c.wanted AND c.tokens IS NULL WHERE p.model = ? AND p.counted_bytes < p.wanted_bytes "
            "ORDER BY p.id, c.number LIMIT ?"
        )
        return await self._db.read(lambda c: [WantedText(*row) for row in c.execute(statement, (model, limit))])

    async def counted(self, tokens: Mapping[bytes, int]) -> None:
        """Keep what the vectors that are wanted still will cost, in tokens. Twice is safe."""
        await self._db.write(lambda c: keep_token_costs(c, tokens))

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
            "SELECT count(*), count(*) FILTER (WHERE wanted = 0), coalesce(sum(wanted_tokens), 0), "
            "coalesce(sum(wanted_bytes - counted_bytes), 0), coalesce(sum(tokens), 0), coalesce(sum(token_bytes), 0) "
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

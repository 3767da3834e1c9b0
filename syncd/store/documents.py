"""Documents and their chunks: the source of truth, of which the vector store is a projection.

Changing a document is one transaction: its row, its chunks and, in `outbox`, the ids whose state in the vector store may
now differ (the intent). The vector store is written afterwards, then the outbox rows are deleted. After a crash in between,
the outbox says what to write again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from syncd.model import DocumentState, DocumentWarning
from syncd.store.changes import DocumentChange, NewChunk, Removal, Replacement, Staged
from syncd.store.checksums import DAMAGED, is_sound
from syncd.store.codec import warnings_from_json
from syncd.store.database import Database
from syncd.store.staging import stage

PAGE_SIZE = 500
ANEW = "anew"
"""The fingerprint of a document that is to be fetched and prepared again, whatever there is of it."""


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """The record of one document in one collection."""

    id: int
    version: str
    fingerprint: str
    state: DocumentState
    reason: str
    content_hash: str
    chunk_count: int

    @property
    def is_wanted_anew(self) -> bool:
        """Whether it is to be fetched and prepared again, even if another collection has the same version of it."""
        return self.fingerprint == ANEW


@dataclass(frozen=True, slots=True)
class CarriedOver:
    """The content of a document in another collection, or from an earlier run."""

    chunks: Sequence[NewChunk]
    content_hash: str
    warnings: Sequence[DocumentWarning] = ()


class Documents:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def get(self, collection_id: int, source_id: str, key: str) -> DocumentRecord | None:
        """Return the record of one document, or None."""
        statement = (
            "SELECT id, version, fingerprint, state, reason, content_hash, "
            "(SELECT count(*) FROM chunks WHERE document_id = documents.id) "
            "FROM documents WHERE collection_id = ? AND source_id = ? AND key = ?"
        )

        def query(connection: sqlite3.Connection) -> DocumentRecord | None:
            row = connection.execute(statement, (collection_id, source_id, key)).fetchone()
            if row is None:
                return None
            ident, version, made_by, state, *rest = row
            return DocumentRecord(ident, version, made_by, DocumentState(state), *rest)

        return await self._db.read(query)

    async def carried_over(self, source_id: str, key: str, version: str, fingerprint: str) -> CarriedOver | None:
        """Return the content of the same version of this document in any collection, or None if it must be prepared."""

        def query(connection: sqlite3.Connection) -> CarriedOver | None:
            row = connection.execute(
                "SELECT id, content_hash, warnings FROM documents WHERE source_id = ? AND key = ? AND version = ? AND fingerprint = ? "
                "AND state = 'indexed' LIMIT 1",
                (source_id, key, version, fingerprint),
            ).fetchone()
            chunks = chunks_of(connection, row[0]) if row else None
            return CarriedOver(chunks, row[1], warnings_from_json(row[2])) if chunks is not None else None

        return await self._db.read(query)

    async def stage(self, changes: Sequence[DocumentChange]) -> Sequence[Staged]:
        """Apply `changes` and put the ids to write to the vector store into the outbox, all in one transaction."""
        return await self._db.write(lambda c: [stage(c, change) for change in changes])

    async def preview(self, change: Replacement | Removal) -> Staged:
        """Return what `stage` would, without changing anything. The collection need not exist."""

        def transaction(connection: sqlite3.Connection) -> Staged:
            connection.execute("SAVEPOINT foresee")
            connection.execute("PRAGMA defer_foreign_keys = ON")
            staged = stage(connection, change)
            connection.execute("ROLLBACK TO foresee")
            return staged

        staged = await self._db.write(transaction)
        if staged.error is not None:
            raise staged.error
        return staged

    async def record_failure(self, removal: Removal) -> None:
        """Record why this version is skipped or failed; chunks of an earlier version, if any, are not touched."""
        r = removal

        def transaction(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO documents (collection_id, source_id, key, prefix, version, fingerprint, state, reason, seen, "
                "recorded_at) VALUES (?1, ?2, ?3, '', ?4, ?5, ?6, ?7, ?8, ?9) "
                "ON CONFLICT (collection_id, source_id, key) DO UPDATE SET seen = ?8, reason = ?7, "
                "state = iif(state = 'indexed', state, ?6), version = iif(state = 'indexed', version, ?4), "
                "fingerprint = iif(state = 'indexed', fingerprint, ?5)",
                (r.collection_id, r.source_id, r.key, r.version, r.fingerprint, r.state, r.reason, r.seen, time.time()),
            )

        await self._db.write(transaction)

    async def update_version(self, collection_id: int, source_id: str, key: str, version: str, seen: int) -> None:
        """Record a new version whose content is the indexed one."""
        await self._db.write(
            lambda c: c.execute(
                "UPDATE documents SET version = ?, seen = ? WHERE collection_id = ? AND source_id = ? AND key = ?",
                (version, seen, collection_id, source_id, key),
            )
        )

    async def owner(self, collection_id: int, source_id: str, prefix: str) -> str | None:
        """Return the key of the source's indexed document whose chunk ids begin with `prefix`, or None."""
        statement = (
            "SELECT key FROM documents WHERE collection_id = ? AND prefix = ? AND state = 'indexed' AND source_id = ?"
        )
        row = await self._db.read(lambda c: c.execute(statement, (collection_id, prefix, source_id)).fetchone())
        return row[0] if row else None

    async def keys(self, collection_id: int, source_id: str, after: str | None = None) -> AsyncIterator[str]:
        """Yield the keys a source has in a collection, indexed or prepared, in key order, a page at a time."""
        statement = (
            "SELECT key FROM documents WHERE collection_id = ?1 AND source_id = ?2 AND key > ?3 AND state = 'indexed' UNION "
            "SELECT key FROM prepared WHERE collection_id = ?1 AND source_id = ?2 AND key > ?3 ORDER BY key LIMIT ?4"
        )
        last = after or ""
        while True:
            bound = last
            page = await self._db.read(
                lambda c, bound=bound: [
                    k for (k,) in c.execute(statement, (collection_id, source_id, bound, PAGE_SIZE))
                ]
            )
            for key in page:
                yield key
            if len(page) < PAGE_SIZE:
                return
            last = page[-1]

    async def lost(self, collection_id: int, source_id: str, keys: Sequence[str]) -> Mapping[str, str]:
        """Return which of these keys have chunks whose content the source has under none of its other keys, with its hash."""
        statement = (
            "WITH gone AS (SELECT value FROM json_each(?3)), mine AS (SELECT key, content_hash FROM documents d WHERE "
            "collection_id = ?1 AND source_id = ?2 AND state = 'indexed' AND EXISTS (SELECT 1 FROM chunks WHERE document_id = d.id)) "
            "SELECT key, content_hash FROM mine WHERE key IN gone AND content_hash NOT IN "
            "(SELECT content_hash FROM mine WHERE key NOT IN gone AND content_hash <> '')"
        )
        values = (collection_id, source_id, json.dumps(list(keys)))
        return await self._db.read(lambda c: dict(c.execute(statement, values).fetchall()))

    async def count(self, collection_id: int, source_id: str) -> int:
        """Return how many documents of a source have chunks in a collection."""
        statement = (
            "SELECT count(*) FROM documents d WHERE collection_id = ? AND source_id = ? AND state = 'indexed' "
            "AND EXISTS (SELECT 1 FROM chunks WHERE document_id = d.id)"
        )
        return await self._db.read(lambda c: c.execute(statement, (collection_id, source_id)).fetchone()[0])


def chunks_of(connection: sqlite3.Connection, document_id: int) -> list[NewChunk] | None:
    """Return a document's chunks in the order of the text; None if one is damaged, or its vector is known to be, or lost."""
    rows = connection.execute(
        "SELECT c.text, c.context, c.vector_key, c.metadata, c.checksum, c.lineage_checksum, v.key IS NOT NULL "
        f"AND v.checksum IS NOT {DAMAGED} FROM chunks c LEFT JOIN vectors v ON v.key = c.vector_key WHERE c.document_id = ?",
        (document_id,),
    ).fetchall()
    if not all(has_vector and is_sound(*row) for *row, has_vector in rows):
        return None
    chunks = [NewChunk(text, context, key, json.loads(metadata)) for text, context, key, metadata, *_ in rows]
    return sorted(chunks, key=lambda chunk: chunk.metadata.get("chunk_index", 0))

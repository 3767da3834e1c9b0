"""Reads of chunks for search: the content of hits, and the documents that its filters select."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from syncd.store.checksums import is_sound
from syncd.store.database import Database

Stage = Literal["prepared", "embedded", "written"]
"""How far a document has come: it has its words, its vectors, its place in the vector store."""

INDEXED = (
    "SELECT d.prefix || '-' || c.number, c.text, c.metadata, d.id, 'written', d.recorded_at, d.changed_at, c.context, c.vector_key, c.checksum, c.lineage_checksum FROM documents d "
    "JOIN chunks c ON c.document_id = d.id WHERE d.collection_id = ? AND d.prefix = ? AND d.state = 'indexed' AND c.number = ?"
)
PREPARED = (
    "SELECT p.prefix || '-' || c.number, c.text, json_set(c.metadata, '$.chunk_count', p.chunks), -p.id, "
    "iif(p.wanted, 'prepared', 'embedded'), NULL, p.changed_at, c.context, c.vector_key, c.checksum, NULL FROM prepared p JOIN prepared_chunks c ON c.prepared_id = p.id "
    "WHERE p.collection_id = ? AND p.prefix = ? AND p.findable AND c.number = ?"
)
OWNER = (
    "SELECT id FROM documents WHERE collection_id = ?1 AND prefix = ?2 AND state = 'indexed' UNION ALL "
    "SELECT -id FROM prepared WHERE collection_id = ?1 AND prefix = ?2 AND findable"
)


@dataclass(frozen=True, slots=True)
class FoundChunk:
    """A chunk with its lineage, how far its document has come, and when that was indexed and changed (seconds since 1970).

    The `document_id` of one that is prepared only is negative.
    """

    id: str
    text: str
    metadata: Mapping[str, Any]
    document_id: int
    stage: Stage
    recorded_at: float | None
    changed_at: float | None


class Chunks:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def ids_of_postings(self, posting_ids: Sequence[int]) -> Mapping[int, str]:
        """Return the chunk ids of postings; those that went meanwhile are left out."""
        statement = (
            "SELECT p.id, coalesce(d.prefix, q.prefix) || '-' || p.number FROM json_each(?) j CROSS JOIN postings p ON p.id = j.value "
            "LEFT JOIN documents d ON d.id = p.document_id LEFT JOIN prepared q ON q.id = -p.document_id"
        )

        def query(connection: sqlite3.Connection) -> dict[int, str]:
            found = connection.execute(statement, (json.dumps([*map(int, posting_ids)]),))
            return {posting_id: chunk_id for posting_id, chunk_id in found if chunk_id}

        return await self._db.read(query)

    async def documents_of(self, collection_id: int, chunk_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the document of each chunk id; ids that syncd did not write are left out."""

        def query(connection: sqlite3.Connection) -> dict[str, int]:
            known: dict[str, int | None] = {}
            for prefix in {chunk_id.rpartition("-")[0] for chunk_id in chunk_ids}:
                row = connection.execute(OWNER, (collection_id, prefix)).fetchone()
                known[prefix] = row[0] if row else None
            owners = ((chunk_id, known[chunk_id.rpartition("-")[0]]) for chunk_id in chunk_ids)
            return {chunk_id: owner for chunk_id, owner in owners if owner is not None}

        return await self._db.read(query)

    async def get(self, collection_id: int, chunk_ids: Sequence[str]) -> Mapping[str, FoundChunk]:
        """Return chunks by id; those that syncd did not write, has deleted, or finds damaged are left out."""

        def query(connection: sqlite3.Connection) -> dict[str, FoundChunk]:
            found: dict[str, FoundChunk] = {}
            for chunk_id in chunk_ids:
                prefix, _, number = chunk_id.rpartition("-")
                place = (collection_id, prefix, number)
                row = connection.execute(INDEXED, place).fetchone() or connection.execute(PREPARED, place).fetchone()
                if row and is_sound(row[1], row[7], row[8], row[2], *row[9:]):
                    found[chunk_id] = FoundChunk(row[0], row[1], json.loads(row[2]), *row[3:7])
            return found

        return await self._db.read(query)

    async def vectors(self, collection_id: int, chunk_ids: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
        """Return chunks' whole vectors by id; ids that syncd did not write, or has deleted, are left out."""
        statement = (
            "SELECT v.vector FROM documents d JOIN chunks c ON c.document_id = d.id JOIN vectors v ON v.key = c.vector_key "
            "WHERE d.collection_id = ? AND d.prefix = ? AND d.state = 'indexed' AND c.number = ?"
        )

        def query(connection: sqlite3.Connection) -> dict[str, NDArray[np.float32]]:
            found: dict[str, NDArray[np.float32]] = {}
            for chunk_id in chunk_ids:
                prefix, _, number = chunk_id.rpartition("-")
                if row := connection.execute(statement, (collection_id, prefix, number)).fetchone():
                    found[chunk_id] = np.frombuffer(row[0], dtype="<f4")
            return found

        return await self._db.read(query)

    async def matching(
        self,
        collection_id: int,
        source_ids: Sequence[str] = (),
        patterns: Sequence[str] = (),
        changed_after: float | None = None,
    ) -> DocumentKeys:
        """Return the documents that a search finds, by id: of these sources, with a key that matches one of these GLOB patterns,
        changed at this moment or later (seconds since 1970). What is not given, or empty, selects all.
        """
        conditions, values = ["collection_id = ?"], [collection_id]
        if source_ids:
            conditions.append(f"source_id IN ({', '.join('?' * len(source_ids))})")
        if patterns:
            conditions.append(f"({' OR '.join(['key GLOB ?'] * len(patterns))})")
        if changed_after is not None:
            conditions.append("changed_at >= ?")
        given = 2 * (*values, *source_ids, *patterns, *([] if changed_after is None else [changed_after]))
        wanted = " AND ".join(conditions)
        statement = (
            f"SELECT id, key FROM documents WHERE {wanted} AND state = 'indexed' UNION ALL "
            f"SELECT -id, key FROM prepared WHERE {wanted} AND findable ORDER BY 1"
        )
        rows = await self._db.read(lambda c: c.execute(statement, given).fetchall())
        return DocumentKeys(np.array([row[0] for row in rows], np.int64), [row[1] for row in rows])


@dataclass(frozen=True, slots=True)
class DocumentKeys:
    """Documents by id, ascending, and their keys."""

    ids: NDArray[np.int64]
    keys: Sequence[str]

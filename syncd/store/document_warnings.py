"""Which documents have warnings, prepared, indexed or left out."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from syncd.model import DocumentWarning, Target
from syncd.store.codec import dumps, warnings_from_json
from syncd.store.database import Database


@dataclass(frozen=True, slots=True)
class WarnedDocument:
    """A document of which something was guessed or left out. `stage`: written to the vector store, prepared for it, or skipped."""

    source_id: str
    target: Target
    key: str
    version: str
    stage: str
    at: datetime
    warnings: Sequence[DocumentWarning]


@dataclass(frozen=True, slots=True)
class WarnedQuery:
    """Which of them; None: whatever it is. `databases` is the caller's scope."""

    source_id: str | None = None
    database: str | None = None
    collection: str | None = None
    code: str | None = None
    databases: frozenset[str] | None = None


_WANTED = (
    "d.warnings <> '[]' AND (:source_id IS NULL OR d.source_id = :source_id) AND (:database IS NULL OR c.database = :database) "
    "AND (:collection IS NULL OR c.name = :collection) AND (:code IS NULL OR EXISTS (SELECT 1 FROM json_each(d.warnings) w "
    "WHERE json_extract(w.value, '$.code') = :code)) AND (:databases IS NULL OR c.database IN (SELECT value FROM json_each(:databases)))"
)
_STATEMENT = (
    "SELECT d.source_id, c.database, c.name, d.key, d.version, 'prepared', d.prepared_at, d.warnings FROM prepared d "
    f"JOIN collections c ON c.id = d.collection_id WHERE {_WANTED} UNION ALL "
    "SELECT d.source_id, c.database, c.name, d.key, d.version, iif(d.state = 'indexed', 'written', d.state), d.recorded_at, "
    f"d.warnings FROM documents d JOIN collections c ON c.id = d.collection_id WHERE {_WANTED} AND d.state IN ('indexed', 'skipped') "
    "ORDER BY 2, 3, 4, 1, 6 LIMIT :limit OFFSET :offset"
)


class DocumentWarnings:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def list(self, wanted: WarnedQuery, limit: int = 100, offset: int = 0) -> Sequence[WarnedDocument]:
        """Return the documents with warnings by database, collection and key; one that waits in a new version is there twice."""
        values = {
            "source_id": wanted.source_id,
            "database": wanted.database,
            "collection": wanted.collection,
            "code": wanted.code,
            "databases": None if wanted.databases is None else dumps(sorted(wanted.databases)),
            "limit": limit,
            "offset": offset,
        }

        def query(connection: sqlite3.Connection) -> list[WarnedDocument]:
            rows = connection.execute(_STATEMENT, values)
            return [
                WarnedDocument(
                    source_id,
                    Target(database, collection),
                    key,
                    version,
                    stage,
                    datetime.fromtimestamp(at, UTC),
                    warnings_from_json(warnings),
                )
                for source_id, database, collection, key, version, stage, at, warnings in rows
            ]

        return await self._db.read(query)

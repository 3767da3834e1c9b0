"""What a collection has of which documents, for people: written, waiting for vectors, left out or failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.store.database import Database

_DOCUMENTS = (
    "SELECT source_id, key, version, iif(state = 'indexed', 'written', state) AS stage, reason, changed_at, recorded_at AS at, "
    "id, NULL AS chunks FROM documents WHERE collection_id = :collection_id"
)
_PREPARED = (
    "SELECT source_id, key, version, 'prepared', '', changed_at, prepared_at, NULL, chunks FROM prepared "
    "WHERE collection_id = :collection_id"
)
_PAGE = (
    f"SELECT * FROM ({_DOCUMENTS} UNION ALL {_PREPARED}) WHERE (:source_id IS NULL OR source_id = :source_id) "
    "AND (:stage IS NULL OR stage = :stage) ORDER BY key, source_id, stage LIMIT :limit OFFSET :offset"
)
# Chunks are counted of the page alone.
_STATEMENT = (
    "SELECT source_id, key, version, stage, reason, coalesce(chunks, (SELECT count(*) FROM chunks c WHERE c.document_id = page.id)), "
    f"changed_at, at FROM ({_PAGE}) page ORDER BY key, source_id, stage"
)


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document of a collection. `stage`: written to the vector store, prepared for it, skipped or failed.

    `changed_at` is when its source says that it changed, `at` when it came to its stage (seconds since 1970).
    """

    source_id: str
    key: str
    version: str
    stage: str
    reason: str
    chunks: int
    changed_at: float | None
    at: float


class DocumentList:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def page(
        self, collection_id: int, source_id: str | None, stage: str | None, limit: int, offset: int
    ) -> Sequence[ListedDocument]:
        """Return documents by key, of one source or in one stage if they are given; one that waits in a new version is there twice."""
        values = {
            "collection_id": collection_id,
            "source_id": source_id,
            "stage": stage,
            "limit": limit,
            "offset": offset,
        }
        rows = await self._db.read(lambda c: c.execute(_STATEMENT, values).fetchall())
        return [ListedDocument(*row) for row in rows]

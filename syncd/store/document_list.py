"""What a collection has of which documents, for people: written, waiting for vectors, left out or failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.store.database import Database

# Which rows make a page is read of indexes alone, in their order. The same document's row that waits comes before the one that is written.
_OF_DOCUMENTS = "SELECT key, source_id, 1 AS turn, id FROM documents WHERE collection_id = :collection_id"
# SQLite does not know by itself that few documents are not indexed.
_OF_LEFT_OUT = "SELECT key, source_id, 1 AS turn, id FROM documents INDEXED BY {} WHERE collection_id = :collection_id AND state <> 'indexed'"
_OF_PREPARED = "SELECT key, source_id, 0 AS turn, id FROM prepared WHERE collection_id = :collection_id"
_OF_SOURCE = " AND source_id = :source_id"
_FROM = " AND key >= :first AND key < :end"
_IN_STATE = " AND state = :state"
_PAGE = "{} ORDER BY key, source_id, turn LIMIT :limit OFFSET :offset"
_LAST = "\U0010ffff"
"""Behind all other characters."""
_STATEMENT = """
WITH page AS MATERIALIZED ({})
SELECT page.source_id, page.key, iif(turn, d.version, p.version), iif(turn, iif(d.state = 'indexed', 'written', d.state), 'prepared'),
    coalesce(d.reason, ''), iif(turn, (SELECT count(*) FROM chunks c WHERE c.document_id = d.id), p.chunks),
    iif(turn, d.changed_at, p.changed_at), iif(turn, d.recorded_at, p.prepared_at)
FROM page LEFT JOIN documents d ON turn AND d.id = page.id LEFT JOIN prepared p ON NOT turn AND p.id = page.id
ORDER BY page.key, page.source_id, turn
"""


@dataclass(frozen=True, slots=True)
class ListedPart:
    """Which of a collection's documents to list: of one source, in one stage or with keys that begin with `prefix`, if these are given.

    `offset` of those with the key `from_key` or a later one are left out. Who goes on from the last key seen, leaving out what was seen
    of that, pays the same for every page; a large offset from the beginning is stepped over.
    """

    source_id: str | None = None
    stage: str | None = None
    prefix: str = ""
    from_key: str = ""
    limit: int = 100
    offset: int = 0


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

    async def page(self, collection_id: int, part: ListedPart) -> Sequence[ListedDocument]:
        """Return documents by key; one that waits in a new version is there twice."""
        stage = part.stage
        left_out = _OF_LEFT_OUT.format("documents_left_out" if part.source_id is None else "documents_not_indexed")
        documents = _OF_DOCUMENTS if stage in (None, "written") else left_out
        tables = [documents + (_IN_STATE if stage else "")] if stage != "prepared" else []
        tables += [_OF_PREPARED] if stage in (None, "prepared") else []
        narrowed = _FROM + (_OF_SOURCE if part.source_id is not None else "")
        values = {
            "collection_id": collection_id,
            "source_id": part.source_id,
            "state": "indexed" if stage == "written" else stage,
            "first": max(part.from_key, part.prefix),
            "end": part.prefix + _LAST,
            "limit": part.limit,
            "offset": part.offset,
        }
        statement = _STATEMENT.format(_PAGE.format(" UNION ALL ".join(table + narrowed for table in tables)))
        rows = await self._db.read(lambda c: c.execute(statement, values).fetchall())
        return [ListedDocument(*row) for row in rows]

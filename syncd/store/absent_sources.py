"""Sources that were removed and left documents, and what is to become of these."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncd.model import Target
from syncd.store.checked_tables import ABSENT_SOURCE_ROWS, require_as_stored
from syncd.store.checksums import lineage_checksum
from syncd.store.database import Database
from syncd.store.staging import put_in_outbox

KEEP = "keep"
PURGE = "purge"
HANDED_OVER_AT_ONCE = 100
"""Documents handed over in one transaction."""


@dataclass(frozen=True, slots=True)
class AbsentSource:
    """A source that is gone. `fate` of its documents: KEEP, PURGE, or the id of the source that gets them."""

    id: str
    name: str | None
    database: str
    fate: str


@dataclass(frozen=True, slots=True)
class Orphan:
    """A document of an absent source."""

    collection_id: int
    source_id: str
    key: str


@dataclass(frozen=True, slots=True)
class Orphans:
    """How many documents of one absent source a collection holds."""

    source_id: str
    name: str | None
    documents: int


class AbsentSources:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def get(self, source_id: str) -> AbsentSource | None:
        """Return the absent source of this id, or None."""
        found = await self._db.read(lambda c: _selected(c, "id = ?", source_id))
        return found[0] if found else None

    async def doomed(self) -> Sequence[AbsentSource]:
        """Return the absent sources whose documents are not to stay theirs."""
        return await self._db.read(lambda c: _selected(c, "fate <> ? ORDER BY removed_at", KEEP))

    async def decide(self, source_id: str, fate: str) -> None:
        """Change what is to become of an absent source's documents. Twice is safe."""
        await self._db.write(lambda c: c.execute("UPDATE absent_sources SET fate = ? WHERE id = ?", (fate, source_id)))

    async def documents(self, source_id: str, limit: int = HANDED_OVER_AT_ONCE) -> Sequence[Orphan]:
        """Return some of the documents that an absent source left."""
        statement = "SELECT collection_id, source_id, key FROM documents WHERE source_id = ? ORDER BY id LIMIT ?"
        return await self._db.read(lambda c: [Orphan(*row) for row in c.execute(statement, (source_id, limit))])

    async def orphans(self, target: Target) -> Sequence[Orphans]:
        """Return which sources that are gone left how many indexed documents in a collection."""
        statement = (
            "SELECT d.source_id, a.name, count(*) FROM documents d JOIN collections c ON c.id = d.collection_id "
            "LEFT JOIN absent_sources a ON a.id = d.source_id WHERE c.database = ? AND c.name = ? AND d.state = 'indexed' "
            "AND d.source_id NOT IN (SELECT id FROM sources) GROUP BY d.source_id ORDER BY 1"
        )
        place = (target.database, target.collection)
        return await self._db.read(lambda c: [Orphans(*row) for row in c.execute(statement, place)])

    async def hand_over(self, documents: Sequence[Orphan], heir: str) -> Mapping[int, Sequence[str]]:
        """Give documents to another source, except of keys that it has itself.

        Return, by collection, the chunk ids whose metadata the vector store is to be told.
        """

        def transaction(connection: sqlite3.Connection) -> dict[int, list[str]]:
            told: dict[int, list[str]] = {}
            for orphan in documents:
                told.setdefault(orphan.collection_id, []).extend(give(connection, orphan, heir))
            return told

        return await self._db.write(transaction)

    async def forget(self, source_id: str) -> None:
        """Forget an absent source that has no documents any more. Twice is safe."""
        await self._db.write(lambda c: c.execute("DELETE FROM absent_sources WHERE id = ?", (source_id,)))


def remember(connection: sqlite3.Connection, source_id: str, fate: str) -> None:
    """Note a source that is about to be deleted, if it has documents or may get some, within the caller's transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO absent_sources (id, name, type, database, settings, id_root, removed_at, fate) "
        "SELECT id, coalesce(name, given_name), type, database, settings, id_root, ?2, ?3 FROM sources s "
        "WHERE id = ?1 AND (EXISTS (SELECT 1 FROM documents WHERE source_id = s.id) OR "
        "EXISTS (SELECT 1 FROM invocations WHERE source_id = s.id AND state = 'processing'))",
        (source_id, time.time(), fate),
    )


def left_behind(connection: sqlite3.Connection, type: str, database: str) -> Iterable[tuple[str, str, str]]:
    """Return (id, root of chunk ids, settings) of the absent sources whose documents are kept, the latest first."""
    statement = (
        f"SELECT id, id_root, settings, {ABSENT_SOURCE_ROWS.standing()} FROM absent_sources "
        "WHERE type = ? AND database = ? AND fate = ? ORDER BY removed_at DESC"
    )
    return [_as_stored(row) for row in connection.execute(statement, (type, database, KEEP))]


def _selected(connection: sqlite3.Connection, condition: str, value: str) -> list[AbsentSource]:
    statement = (
        f"SELECT id, name, database, fate, {ABSENT_SOURCE_ROWS.standing()} FROM absent_sources WHERE {condition}"
    )
    return [AbsentSource(*_as_stored(row)) for row in connection.execute(statement, (value,))]


def _as_stored(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a row without its standing, which is its last value. Raises DamagedRowError."""
    require_as_stored(row[-1])
    return row[:-1]


def give(connection: sqlite3.Connection, orphan: Orphan, heir: str) -> list[str]:
    """Give one document to another source within the caller's transaction; return its chunk ids, none if that has the key."""
    document = (orphan.collection_id, orphan.source_id, orphan.key)
    connection.execute(
        "DELETE FROM documents WHERE collection_id = ? AND source_id = ? AND key = ? AND state <> 'indexed'",
        (orphan.collection_id, heir, orphan.key),
    )
    given = connection.execute(
        "UPDATE OR IGNORE documents SET source_id = ? WHERE collection_id = ? AND source_id = ? AND key = ? RETURNING id, prefix",
        (heir, *document),
    ).fetchall()
    ids: dict[str, tuple[str, int | None, int | None]] = {}
    for document_id, prefix in given:
        rows = connection.execute(
            "SELECT number, vector_key, metadata FROM chunks WHERE document_id = ?", (document_id,)
        ).fetchall()
        for number, key, metadata in rows:
            changed = json.dumps({**json.loads(metadata), "source_id": heir}, ensure_ascii=False, sort_keys=True)
            connection.execute(
                "UPDATE chunks SET metadata = ?, lineage_checksum = ? WHERE document_id = ? AND number = ?",
                (changed, lineage_checksum(key, changed), document_id, number),
            )
            ids[f"{prefix}-{number}"] = ("update", document_id, number)
    put_in_outbox(connection, orphan.collection_id, ids)
    return list(ids)

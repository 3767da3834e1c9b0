"""Reads of documents' texts, and of what collections hold. The text of a document is that of its chunks, which tile it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from syncd.store.database import Database

MAX_CHUNKS = 2000
"""The most chunks of one document that are read at once."""
SCANNED = 2000
"""Chunks that a scan reads at once: some megabytes, while other reads wait."""

_PAGE = "coalesce(json_extract(metadata, '$.syncd_page'), json_extract(metadata, '$.page'))"
"""The page that a chunk begins on; a document's own metadata may have the plain name."""
_LAST_PAGE = "coalesce(json_extract(metadata, '$.syncd_last_page'), json_extract(metadata, '$.last_page'))"
_TABLES = {True: ("chunks", "document_id"), False: ("prepared_chunks", "prepared_id")}


@dataclass(frozen=True, slots=True)
class StoredText:
    """A document that a search finds: its `id` as in FoundChunk, and when it was indexed and changed (seconds since 1970)."""

    id: int
    key: str
    source_id: str
    recorded_at: float | None
    changed_at: float | None


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A piece of a document's text with its lineage."""

    text: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NumberedChunk:
    """The same with the chunk's id."""

    id: str
    text: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Holding:
    """What a collection holds of one source, and when the newest of it was indexed (seconds since 1970)."""

    source_id: str
    documents: int
    recorded_at: float


class ChunkPlace(NamedTuple):
    """A chunk of one of several documents: the `document` is its index among them."""

    document: int
    number: int


class ScannedChunk(NamedTuple):
    """A chunk's place and its text as UTF-8. A tuple, since a hundred thousand of them are made for one search."""

    document: int
    number: int
    text: bytes


@dataclass(frozen=True, slots=True)
class ScannedPage:
    """Chunks, and after which one to go on; its document is beyond the last one at the end."""

    chunks: Sequence[ScannedChunk]
    following: ChunkPlace


class DocumentTexts:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def find(self, collection_id: int, key: str) -> Sequence[StoredText]:
        """Return the documents of this key, one for each source that has one, oldest source first."""
        statement = (
            "SELECT d.id, d.key, d.source_id, d.recorded_at, d.changed_at, s.seq FROM documents d LEFT JOIN sources s ON "
            "s.id = d.source_id WHERE d.collection_id = ?1 AND d.key = ?2 AND d.state = 'indexed' UNION ALL "
            "SELECT -p.id, p.key, p.source_id, NULL, p.changed_at, s.seq FROM prepared p LEFT JOIN sources s ON "
            "s.id = p.source_id WHERE p.collection_id = ?1 AND p.key = ?2 AND p.findable ORDER BY 6"
        )
        rows = await self._db.read(lambda c: c.execute(statement, (collection_id, key)).fetchall())
        return [StoredText(*row[:5]) for row in rows]

    async def keys_like(self, collection_id: int, part: str, limit: int) -> Sequence[str]:
        """Return indexed keys that contain `part`, whatever its case, shortest first."""
        statement = (
            "SELECT DISTINCT key FROM documents WHERE collection_id = ? AND state = 'indexed' AND instr(lower(key), lower(?)) "
            "ORDER BY length(key), key LIMIT ?"
        )
        rows = await self._db.read(lambda c: c.execute(statement, (collection_id, part, limit)).fetchall())
        return [key for (key,) in rows]

    async def chunks(self, document_id: int, from_line: int = 0, to_line: int | None = None) -> Sequence[TextChunk]:
        """Return a document's chunks with a line from `from_line` to `to_line`, in the order of the text, at most MAX_CHUNKS."""
        table, column = _TABLES[document_id > 0]
        statement = (
            f"SELECT text, metadata FROM {table} WHERE {column} = ? AND json_extract(metadata, '$.end_line') >= ? "
            "AND json_extract(metadata, '$.start_line') <= coalesce(?, 9e18) ORDER BY json_extract(metadata, '$.chunk_index') LIMIT ?"
        )

        def query(connection: sqlite3.Connection) -> list[TextChunk]:
            rows = connection.execute(statement, (abs(document_id), from_line, to_line, MAX_CHUNKS))
            return [TextChunk(text, json.loads(metadata)) for text, metadata in rows]

        return await self._db.read(query)

    async def numbers(
        self,
        document_id: int,
        lines: tuple[int, int | None] = (1, None),
        pages: tuple[int, int | None] | None = None,
        from_byte: int = 0,
    ) -> Sequence[int]:
        """Return the numbers of a document's chunks with a line from `lines` and, if given, a page from `pages` (from the first to the
        last, both included, None: to the end) and a byte from `from_byte` on, in the order of the text.
        """
        table, column = _TABLES[document_id > 0]
        values = [abs(document_id), lines[0], lines[1], from_byte]
        statement = (
            f"SELECT number FROM {table} WHERE {column} = ? AND json_extract(metadata, '$.end_line') >= ? "
            "AND json_extract(metadata, '$.start_line') <= coalesce(?, 9e18) AND json_extract(metadata, '$.end_byte') > ?"
        )
        if pages is not None:
            statement += (
                f" AND typeof({_PAGE}) = 'integer' AND {_PAGE} <= coalesce(?, 9e18) "
                f"AND iif(typeof({_LAST_PAGE}) = 'integer', {_LAST_PAGE}, {_PAGE}) >= ?"
            )
            values += [pages[1], pages[0]]
        statement += " ORDER BY json_extract(metadata, '$.chunk_index')"
        rows = await self._db.read(lambda c: c.execute(statement, values).fetchall())
        return [number for (number,) in rows]

    async def numbered(self, document_id: int, numbers: Sequence[int]) -> Sequence[TextChunk]:
        """Return a document's chunks of these numbers, in their order; those that went meanwhile are left out."""
        table, column = _TABLES[document_id > 0]
        statement = f"SELECT text, metadata FROM {table} WHERE {column} = ? AND number = ?"

        def query(connection: sqlite3.Connection) -> list[TextChunk]:
            rows = (connection.execute(statement, (abs(document_id), number)).fetchone() for number in numbers)
            return [TextChunk(row[0], json.loads(row[1])) for row in rows if row]

        return await self._db.read(query)

    async def page(self, document_id: int, offset: int, limit: int) -> Sequence[NumberedChunk]:
        """Return so many chunks of a document from `offset` on, in the order of the text; none of a document that went meanwhile."""
        of_documents = "SELECT prefix FROM documents WHERE id = ? AND state = 'indexed'"
        of_prepared = "SELECT prefix FROM prepared WHERE id = ? AND findable"
        table, column = _TABLES[document_id > 0]
        statement = (
            f"SELECT number, text, metadata FROM {table} WHERE {column} = ? "
            "ORDER BY json_extract(metadata, '$.chunk_index') LIMIT ? OFFSET ?"
        )

        def query(connection: sqlite3.Connection) -> list[NumberedChunk]:
            owner = connection.execute(of_documents if document_id > 0 else of_prepared, (abs(document_id),)).fetchone()
            if owner is None:
                return []
            rows = connection.execute(statement, (abs(document_id), limit, offset))
            return [
                NumberedChunk(f"{owner[0]}-{number}", text, json.loads(metadata)) for number, text, metadata in rows
            ]

        return await self._db.read(query)

    async def scan(self, document_ids: Sequence[int], after: ChunkPlace) -> ScannedPage:
        """Return the texts of the next chunks of documents, SCANNED of them, beyond `after`."""
        statement = "SELECT number, CAST(text AS BLOB) FROM {} WHERE {} = ? AND number > ? ORDER BY number LIMIT ?"

        def query(connection: sqlite3.Connection) -> ScannedPage:
            found: list[ScannedChunk] = []
            number = after.number
            for index in range(after.document, len(document_ids)):
                wanted = statement.format(*_TABLES[document_ids[index] > 0])
                values = (abs(document_ids[index]), number, SCANNED - len(found))
                found += [ScannedChunk(index, *row) for row in connection.execute(wanted, values)]
                if len(found) >= SCANNED:
                    return ScannedPage(found, ChunkPlace(index, found[-1].number))
                number = -1
            return ScannedPage(found, ChunkPlace(len(document_ids), -1))

        return await self._db.read(query)

    async def ids_at(self, document_ids: Sequence[int], places: Sequence[ChunkPlace]) -> Mapping[ChunkPlace, str]:
        """Return the ids of chunks of these documents; those of documents that went meanwhile are left out."""
        statement = "SELECT prefix FROM {} WHERE id = ? AND {}"
        tables = {True: ("documents", "state = 'indexed'"), False: ("prepared", "findable")}

        def query(connection: sqlite3.Connection) -> dict[int, str]:
            found: dict[int, str] = {}
            for index in {place.document for place in places}:
                document_id = document_ids[index]
                if row := connection.execute(
                    statement.format(*tables[document_id > 0]), (abs(document_id),)
                ).fetchone():
                    found[index] = row[0]
            return found

        prefixes = await self._db.read(query)
        return {place: f"{prefixes[place.document]}-{place.number}" for place in places if place.document in prefixes}

    async def chunk_at(self, collection_id: int, key: str, line: int) -> str | None:
        """Return the id of the first chunk with this line of a document of this key; None where there is none."""
        statement = (
            "SELECT d.prefix || '-' || c.number, d.id, json_extract(c.metadata, '$.chunk_index') FROM documents d JOIN chunks c ON c.document_id = d.id "
            "WHERE d.collection_id = ?1 AND d.key = ?2 AND d.state = 'indexed' AND {0} UNION ALL "
            "SELECT d.prefix || '-' || c.number, d.id, json_extract(c.metadata, '$.chunk_index') FROM prepared d JOIN prepared_chunks c ON c.prepared_id = d.id "
            "WHERE d.collection_id = ?1 AND d.key = ?2 AND d.findable AND {0} ORDER BY 2, 3 LIMIT 1"
        ).format("?3 BETWEEN json_extract(c.metadata, '$.start_line') AND json_extract(c.metadata, '$.end_line')")
        row = await self._db.read(lambda c: c.execute(statement, (collection_id, key, line)).fetchone())
        return row[0] if row else None

    async def holdings(self, collection_id: int) -> Sequence[Holding]:
        """Return what a collection holds of each source, most documents first."""
        statement = (
            "SELECT source_id, count(*), max(recorded_at) FROM documents WHERE collection_id = ? AND state = 'indexed' "
            "GROUP BY source_id ORDER BY 2 DESC"
        )
        rows = await self._db.read(lambda c: c.execute(statement, (collection_id,)).fetchall())
        return [Holding(*row) for row in rows]

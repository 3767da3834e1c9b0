"""What a document becomes, as one transaction: its row, its chunks, and the intent to tell the vector store what differs."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping

from typing_extensions import override

from syncd.errors import ConflictError
from syncd.store.changes import DocumentChange, NewChunk, Promotion, Removal, Replacement, Staged
from syncd.store.checksums import document_checksum
from syncd.store.chunk_ids import with_own_ids
from syncd.store.chunk_rows import rewrite_chunks, stored_chunks, write_postings
from syncd.store.codec import warnings_from_json, warnings_to_json
from syncd.store.numbering import changed_vectors, number_chunks
from syncd.store.postings import Posting
from syncd.store.prepared_damage import drop_damaged, is_intact, prepared_rows
from syncd.store.prepared_rows import discard
from syncd.store.vectors import mark_used

FORGOTTEN = "forgotten"
"""The intent about a chunk that was damaged here and deleted: the vector store keeps its row until the document is replaced or deleted."""


def stage(connection: sqlite3.Connection, change: DocumentChange) -> Staged:
    """Apply one change within the caller's transaction; refused changes come back with `error`.

    Whatever the document becomes, a version of it that was prepared before is done with.
    """
    match change:
        case Promotion():
            return stage_promotion(connection, change)
        case Removal():
            discard(connection, change.collection_id, change.source_id, change.key)
            return stage_removal(connection, change)
        case Replacement():
            discard(connection, change.collection_id, change.source_id, change.key)
            return stage_replacement(connection, change)


class PreparedChunks(Collection[NewChunk]):
    """The chunks of a prepared document, read one by one, each time they are iterated: it may be larger than memory."""

    def __init__(self, connection: sqlite3.Connection, prepared_id: int, count: int) -> None:
        self._connection = connection
        self._prepared_id = prepared_id
        self._count = count

    @override
    def __len__(self) -> int:
        return self._count

    @override
    def __contains__(self, chunk: object) -> bool:
        return any(one == chunk for one in self)

    @override
    def __iter__(self) -> Iterator[NewChunk]:
        rows = self._connection.execute(
            "SELECT text, context, vector_key, metadata, posting_model, posting FROM prepared_chunks "
            "WHERE prepared_id = ? ORDER BY number",
            (self._prepared_id,),
        )
        for text, context, key, metadata, model, posting in rows:
            yield NewChunk(text, context, key, json.loads(metadata), Posting(model, posting) if model else None)


def stage_promotion(connection: sqlite3.Connection, change: Promotion) -> Staged:
    """Put a prepared document in place of what is stored of it; nothing where that version has been replaced meanwhile.

    A damaged one is dropped, and its source asked for it again.
    """
    for found in prepared_rows(connection, "id = ?", (change.prepared_id,)):
        if not is_intact(connection, found):
            drop_damaged(connection, [found])
    row = connection.execute(
        "SELECT collection_id, source_id, key, prefix, version, fingerprint, content_hash, seen, changed_at, chunks, "
        "warnings FROM prepared WHERE id = ?",
        (change.prepared_id,),
    ).fetchone()
    if row is None:
        return Staged(change.collection_id, overtaken=True)
    chunks = PreparedChunks(connection, change.prepared_id, row[9])
    replacement = Replacement(*row[:8], chunks=chunks, changed_at=row[8], warnings=warnings_from_json(row[10]))
    staged = stage_replacement(connection, replacement)
    if staged.error is None:
        connection.execute("DELETE FROM prepared WHERE id = ?", (change.prepared_id,))
    return staged


def stage_replacement(connection: sqlite3.Connection, asked: Replacement) -> Staged:
    """Replace a document's chunks by those that are asked for."""
    change = with_own_ids(connection, asked)
    if isinstance(change, ConflictError):
        return Staged(asked.collection_id, error=change)
    gone = [*remove_predecessor(connection, change), *remove_other_prefix(connection, change)]
    document_id = upsert_document(connection, change)
    stored = stored_chunks(connection, document_id)
    numbering = number_chunks(stored, change.chunks)
    mark_used(connection, changed_vectors(stored, change.chunks, numbering))
    rewrite_chunks(connection, document_id, change.chunks, numbering)
    write_postings(connection, change.collection_id, document_id, change.chunks, numbering)
    ids = {f"{change.prefix}-{number}": (op, document_id, number) for number, op in numbering.ops.items()}
    put_in_outbox(connection, change.collection_id, ids)
    gone += delete_forgotten(connection, change.collection_id, document_id, change.prefix)
    ops = list(numbering.ops.values())
    gone = [chunk_id for chunk_id in gone if chunk_id not in ids]
    return Staged(
        change.collection_id,
        written=ops.count("add") + ops.count("replace"),
        updated=ops.count("update"),
        deleted=ops.count("delete") + len(gone),
        chunk_ids=[*gone, *ids],
    )


def stage_removal(connection: sqlite3.Connection, change: Removal) -> Staged:
    """Drop a document's chunks, and its row too unless the removal says why this version stays out."""
    row = connection.execute(
        "SELECT id, prefix FROM documents WHERE collection_id = ? AND source_id = ? AND key = ?",
        (change.collection_id, change.source_id, change.key),
    ).fetchone()
    gone = delete_chunks(connection, change.collection_id, row[0], row[1]) if row else []
    if change.state:
        connection.execute(
            "INSERT INTO documents (collection_id, source_id, key, prefix, version, fingerprint, state, reason, seen, "
            "recorded_at, warnings) VALUES (?1, ?2, ?3, '', ?4, ?5, ?6, ?7, ?8, ?9, ?10) "
            "ON CONFLICT (collection_id, source_id, key) "
            "DO UPDATE SET prefix = '', version = ?4, fingerprint = ?5, state = ?6, reason = ?7, seen = ?8, recorded_at = ?9, "
            "warnings = ?10",
            (
                change.collection_id,
                change.source_id,
                change.key,
                change.version,
                change.fingerprint,
                change.state,
                change.reason,
                change.seen,
                time.time(),
                warnings_to_json(change.warnings),
            ),
        )
    elif row:
        connection.execute("DELETE FROM documents WHERE id = ?", (row[0],))
    return Staged(change.collection_id, deleted=len(gone), chunk_ids=gone)


def remove_predecessor(connection: sqlite3.Connection, change: Replacement) -> list[str]:
    """Delete the document of an absent source that has the chunk ids of this one; return them. Its vectors stay in the cache."""
    row = connection.execute(
        "SELECT id FROM documents WHERE collection_id = ? AND prefix = ? AND state = 'indexed' AND NOT (source_id = ? AND key = ?)",
        (change.collection_id, change.prefix, change.source_id, change.key),
    ).fetchone()
    if row is None:
        return []
    gone = delete_chunks(connection, change.collection_id, row[0], change.prefix)
    connection.execute("DELETE FROM documents WHERE id = ?", row)
    return gone


def remove_other_prefix(connection: sqlite3.Connection, change: Replacement) -> list[str]:
    """Delete the document's chunks if they stand under another prefix (its custom id changed); return their ids."""
    row = connection.execute(
        "SELECT id, prefix FROM documents WHERE collection_id = ? AND source_id = ? AND key = ?",
        (change.collection_id, change.source_id, change.key),
    ).fetchone()
    if row is None or row[1] == change.prefix:
        return []
    return delete_chunks(connection, change.collection_id, row[0], row[1])


def delete_chunks(connection: sqlite3.Connection, collection_id: int, document_id: int, prefix: str) -> list[str]:
    """Delete all chunks of a document and put the deletes into the outbox; return their ids."""
    rows = connection.execute("SELECT number, vector_key FROM chunks WHERE document_id = ?", (document_id,)).fetchall()
    mark_used(connection, (key for _, key in rows))
    connection.execute("DELETE FROM chunks WHERE document_id = ?", (document_id,))
    ids = [f"{prefix}-{number}" for number, _ in rows]
    put_in_outbox(connection, collection_id, dict.fromkeys(ids, ("delete", None, None)))
    return [*ids, *delete_forgotten(connection, collection_id, document_id, prefix)]


def delete_forgotten(connection: sqlite3.Connection, collection_id: int, document_id: int, prefix: str) -> list[str]:
    """Have the vector store delete what is left of a document's chunks that were damaged here; return their ids."""
    of_document = "collection_id = ? AND chunk_id > ? || '-' AND chunk_id < ? || '.' AND document_id = ? AND op = ?"
    rows = connection.execute(
        f"UPDATE outbox SET op = 'delete', generation = generation + 1 WHERE {of_document} RETURNING chunk_id",
        (collection_id, prefix, prefix, document_id, FORGOTTEN),
    )
    return [chunk_id for (chunk_id,) in rows.fetchall()]


def upsert_document(connection: sqlite3.Connection, change: Replacement) -> int:
    """Write the document's row and return its id."""
    connection.execute(
        "INSERT INTO documents (collection_id, source_id, key, prefix, version, fingerprint, state, content_hash, seen, "
        "changed_at, recorded_at, warnings, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'indexed', ?7, ?8, ?9, ?10, ?11, ?12) "
        "ON CONFLICT (collection_id, source_id, key) DO UPDATE SET prefix = ?4, version = ?5, fingerprint = ?6, state = 'indexed', "
        "reason = '', content_hash = ?7, seen = ?8, changed_at = ?9, recorded_at = ?10, warnings = ?11, checksum = ?12",
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
            warnings_to_json(change.warnings),
            document_checksum(
                change.collection_id,
                change.source_id,
                change.key,
                change.prefix,
                change.version,
                change.fingerprint,
                "indexed",
                change.content_hash,
            ),
        ),
    )
    (document_id,) = connection.execute(
        "SELECT id FROM documents WHERE collection_id = ? AND source_id = ? AND key = ?",
        (change.collection_id, change.source_id, change.key),
    ).fetchone()
    return document_id


def put_in_outbox(
    connection: sqlite3.Connection, collection_id: int, ids: Mapping[str, tuple[str, int | None, int | None]]
) -> None:
    """Journal the intent. An id that is still waiting from before may be in any state in Chroma: it is replaced whole."""
    connection.executemany(
        "INSERT INTO outbox (collection_id, chunk_id, op, document_id, number) VALUES (?1, ?2, ?3, ?4, ?5) "
        f"ON CONFLICT (collection_id, chunk_id) DO UPDATE SET op = iif(?3 IN ('delete', '{FORGOTTEN}'), ?3, 'replace'), "
        "document_id = ?4, number = ?5, generation = generation + 1",
        [(collection_id, chunk_id, *intent) for chunk_id, intent in ids.items()],
    )

"""The rows of prepared documents, read and written within the caller's transaction."""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from syncd.errors import ConflictError
from syncd.store.changes import PreparedDocument, Replacement, Urgency
from syncd.store.checksums import document_checksum, lineage_checksum, text_checksum
from syncd.store.chunk_ids import with_own_ids
from syncd.store.codec import dumps, warnings_to_json
from syncd.store.vectors import absent, insert_vectors

SELECT = (
    "SELECT id, collection_id, source_id, key, version, fingerprint, seen, chunks, urgency, wanted, embedded, tokens, "
    "json_array_length(warnings), prepared_at "
    "FROM prepared "
)
SIZE_BYTES = "length(CAST(context AS BLOB)) + length(CAST(text AS BLOB))"


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
    connection: sqlite3.Connection, asked: Replacement, model: str, urgency: Urgency
) -> PreparedDocument | ConflictError:
    """Put a document in within the caller's transaction."""
    change = with_own_ids(connection, asked)
    if isinstance(change, ConflictError):
        return change
    discard(connection, change.collection_id, change.source_id, change.key)
    known = connection.execute(
        "SELECT 1 FROM documents WHERE collection_id = ? AND source_id = ? AND key = ? AND state = 'indexed'",
        (change.collection_id, change.source_id, change.key),
    ).fetchone()
    prepared_id = insert_prepared(connection, change, model, urgency, findable=known is None)
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


def insert_prepared(
    connection: sqlite3.Connection, change: Replacement, model: str, urgency: Urgency, *, findable: bool
) -> int:
    """Insert a document's row, whose sums are still to come; return its id."""
    warnings = warnings_to_json(change.warnings)
    what = (change.source_id, change.key, change.prefix, change.version, change.fingerprint, change.content_hash)
    row = connection.execute(
        "INSERT INTO prepared (collection_id, source_id, key, prefix, version, fingerprint, content_hash, seen, changed_at, "
        "prepared_at, model, urgency, findable, warnings, chunks, size_bytes, wanted, wanted_bytes, embedded, "
        "checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, ?) RETURNING id",
        (
            change.collection_id,
            *what,
            change.seen,
            change.changed_at,
            time.time(),
            model,
            urgency,
            findable,
            warnings,
            document_checksum(change.collection_id, *what, model, warnings),
        ),
    ).fetchone()
    return row[0]


def insert_chunks(
    connection: sqlite3.Connection, prepared_id: int, change: Replacement, missing: set[bytes], *, findable: bool
) -> None:
    """Insert a document's chunks and, where it is to be found already, their postings."""
    connection.executemany(
        "INSERT INTO prepared_chunks (prepared_id, number, text, context, vector_key, metadata, posting_model, posting, wanted, "
        "checksum, lineage_checksum, posting_checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                prepared_id,
                number,
                chunk.text,
                chunk.context,
                chunk.vector_key,
                metadata,
                chunk.posting and chunk.posting.model,
                chunk.posting and chunk.posting.vector,
                chunk.vector_key in missing,
                text_checksum(chunk.context, chunk.text),
                lineage_checksum(chunk.vector_key, metadata),
                chunk.posting and zlib.crc32(chunk.posting.vector),
            )
            for number, chunk in enumerate(change.chunks)
            for metadata in (dumps(dict(chunk.metadata)),)
        ),
    )
    if findable:
        connection.execute(
            "INSERT INTO postings (collection_id, document_id, number, model, vector, checksum) SELECT ?, -prepared_id, number, "
            "posting_model, posting, posting_checksum FROM prepared_chunks WHERE prepared_id = ? AND posting IS NOT NULL",
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
            f"RETURNING prepared_id, {SIZE_BYTES}, tokens",
            (key,),
        ).fetchall()
        for place, (prepared_id, size_bytes, counted) in enumerate(rows):
            changed.add(prepared_id)
            connection.execute(
                "UPDATE prepared SET wanted = wanted - 1, wanted_bytes = wanted_bytes - ?1, tokens = tokens + ?2, "
                "token_bytes = token_bytes + iif(?2, ?1, 0), wanted_tokens = wanted_tokens - coalesce(?3, 0), "
                "counted_bytes = counted_bytes - iif(?3 IS NULL, 0, ?1) WHERE id = ?4",
                (size_bytes, 0 if place else tokens.get(key, 0), counted, prepared_id),
            )
    complete: list[PreparedDocument] = []
    for prepared_id in sorted(changed):
        document = first(connection.execute(f"{SELECT} WHERE id = ? AND wanted = 0", (prepared_id,)))
        complete += [document] if document else []
    return complete


def keep_token_costs(connection: sqlite3.Connection, tokens: Mapping[bytes, int]) -> None:
    """Keep what wanted vectors will cost within the caller's transaction. A text that several chunks have counts once."""
    for key, count in tokens.items():
        (is_counted,) = connection.execute(
            "SELECT EXISTS (SELECT 1 FROM prepared_chunks WHERE vector_key = ? AND wanted AND tokens > 0)", (key,)
        ).fetchone()
        rows = connection.execute(
            f"SELECT prepared_id, number, {SIZE_BYTES} FROM prepared_chunks WHERE vector_key = ? AND wanted AND tokens IS NULL",
            (key,),
        ).fetchall()
        for place, (prepared_id, number, size_bytes) in enumerate(rows):
            cost = 0 if place or is_counted else count
            connection.execute(
                "UPDATE prepared_chunks SET tokens = ? WHERE prepared_id = ? AND number = ?",
                (cost, prepared_id, number),
            )
            connection.execute(
                "UPDATE prepared SET wanted_tokens = wanted_tokens + ?, counted_bytes = counted_bytes + ? WHERE id = ?",
                (cost, size_bytes, prepared_id),
            )

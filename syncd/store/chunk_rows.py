"""The rows of a document's chunks and of their postings, within the caller's transaction."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Collection

from syncd.store.changes import NewChunk
from syncd.store.checksums import is_sound, lineage_checksum, text_checksum
from syncd.store.codec import dumps
from syncd.store.numbering import ChunkNumbering, staged_metadata

_UNLIKE_ANY = NewChunk("", "", b"", {})
"""Stands for a damaged chunk, which no new one is like."""


def stored_chunks(connection: sqlite3.Connection, document_id: int) -> dict[int, NewChunk]:
    """Return a document's chunks by number."""
    rows = connection.execute(
        "SELECT number, text, context, vector_key, metadata, checksum, lineage_checksum FROM chunks WHERE document_id = ? ORDER BY number",
        (document_id,),
    )
    return {
        number: NewChunk(text, context, key, json.loads(metadata))
        if is_sound(text, context, key, metadata, *sums)
        else _UNLIKE_ANY
        for number, text, context, key, metadata, *sums in rows
    }


def rewrite_chunks(
    connection: sqlite3.Connection, document_id: int, chunks: Collection[NewChunk], numbering: ChunkNumbering
) -> None:
    """Make the stored chunks of a document equal to `chunks` under `numbering`."""
    changed = {number for number, op in numbering.ops.items() if op != "update"}
    connection.executemany(
        "DELETE FROM chunks WHERE document_id = ? AND number = ?", [(document_id, n) for n in changed]
    )
    connection.executemany(
        "INSERT INTO chunks (document_id, number, vector_key, text, context, checksum, metadata, lineage_checksum) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (document_id, number, chunk.vector_key, chunk.text, *_columns(chunk, len(chunks)))
            for number, chunk in zip(numbering.numbers, chunks, strict=True)
            if number in changed
        ),
    )
    connection.executemany(
        "UPDATE chunks SET context = ?, checksum = ?, metadata = ?, lineage_checksum = ? WHERE document_id = ? AND number = ?",
        (
            (*_columns(chunk, len(chunks)), document_id, number)
            for number, chunk in zip(numbering.numbers, chunks, strict=True)
            if numbering.ops.get(number) == "update"
        ),
    )


def _columns(chunk: NewChunk, count: int) -> tuple[str, int, str, int]:
    """Return the context and the metadata of one of `count` chunks, each with the checksum that covers it."""
    metadata = dumps(staged_metadata(chunk, count))
    checksum = text_checksum(chunk.context, chunk.text)
    return chunk.context, checksum, metadata, lineage_checksum(chunk.vector_key, metadata)


def write_postings(
    connection: sqlite3.Connection,
    collection_id: int,
    document_id: int,
    chunks: Collection[NewChunk],
    numbering: ChunkNumbering,
) -> None:
    """Add the postings of the chunks just written; those of the chunks they replace went with them (a trigger)."""
    connection.executemany(
        "INSERT INTO postings (collection_id, document_id, number, model, vector, checksum) VALUES (?, ?, ?, ?, ?, ?)",
        (
            (
                collection_id,
                document_id,
                number,
                chunk.posting.model,
                chunk.posting.vector,
                zlib.crc32(chunk.posting.vector),
            )
            for number, chunk in zip(numbering.numbers, chunks, strict=True)
            if chunk.posting is not None and numbering.ops.get(number) in ("add", "replace")
        ),
    )

"""What a document becomes, as one transaction: which chunks are new, changed, shifted or gone, and the intent to say so.

Chunk numbers are sticky: a chunk whose text did not change keeps its number, and so its id, wherever it moves. Rewriting a
vector costs Chroma many times its first write, so only what differs is written.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from syncd.errors import ConflictError
from syncd.model import DocumentState
from syncd.store.codec import dumps
from syncd.store.postings import Posting
from syncd.store.vectors import mark_used


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A chunk ready to be stored; its vector is in the cache under `vector_key`.

    Its document's number of chunks is added to the metadata when it is staged.
    """

    text: str
    context: str
    vector_key: bytes
    metadata: Mapping[str, Any]
    posting: Posting | None = None
    """Its sparse vector, where the collection keeps any."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """A document's new content in one collection. `seen` is the number of the run that brought it."""

    collection_id: int
    source_id: str
    key: str
    prefix: str
    version: str
    fingerprint: str
    content_hash: str
    seen: int
    chunks: Sequence[NewChunk]
    changed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """A document that is gone from its source, or that may not stay (`state`, `reason`) in this version."""

    collection_id: int
    source_id: str
    key: str
    version: str = ""
    fingerprint: str = ""
    state: DocumentState | None = None
    reason: str = ""
    seen: int = 0


@dataclass(frozen=True, slots=True)
class Staged:
    """What a change means for Chroma, by chunk ids. `error`: the change was refused and nothing happened."""

    collection_id: int
    written: int = 0
    updated: int = 0
    deleted: int = 0
    chunk_ids: Sequence[str] = field(default_factory=tuple)
    error: ConflictError | None = None


@dataclass(slots=True)
class Numbering:
    """Which new chunk takes which number, and what Chroma must be told about each number."""

    numbers: list[int]
    ops: dict[int, str]


def stage(connection: sqlite3.Connection, change: Replacement | Removal) -> Staged:
    """Apply one change within the caller's transaction; refused changes come back with `error`."""
    if isinstance(change, Removal):
        return stage_removal(connection, change)
    return stage_replacement(connection, change)


def stage_replacement(connection: sqlite3.Connection, change: Replacement) -> Staged:
    """Replace a document's chunks by `change.chunks`."""
    owner = connection.execute(
        "SELECT source_id, key FROM documents WHERE collection_id = ? AND prefix = ? AND state = 'indexed'",
        (change.collection_id, change.prefix),
    ).fetchone()
    if owner and owner != (change.source_id, change.key):
        error = ConflictError(
            f"its chunk ids {change.prefix}-… belong to {owner[1]!r} in this collection; give one of the two a custom id"
        )
        return Staged(change.collection_id, error=error)
    gone = remove_other_prefix(connection, change)
    document_id = upsert_document(connection, change)
    stored = stored_chunks(connection, document_id)
    numbering = number_chunks(stored, change.chunks)
    mark_used(connection, changed_vectors(stored, change.chunks, numbering))
    rewrite_chunks(connection, document_id, change.chunks, numbering)
    write_postings(connection, change.collection_id, document_id, change.chunks, numbering)
    ids = {f"{change.prefix}-{number}": (op, document_id, number) for number, op in numbering.ops.items()}
    put_in_outbox(connection, change.collection_id, ids)
    ops = list(numbering.ops.values())
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
            "recorded_at) VALUES (?1, ?2, ?3, '', ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (collection_id, source_id, key) "
            "DO UPDATE SET prefix = '', version = ?4, fingerprint = ?5, state = ?6, reason = ?7, seen = ?8, recorded_at = ?9",
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
            ),
        )
    elif row:
        connection.execute("DELETE FROM documents WHERE id = ?", (row[0],))
    return Staged(change.collection_id, deleted=len(gone), chunk_ids=gone)


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
    return ids


def upsert_document(connection: sqlite3.Connection, change: Replacement) -> int:
    """Write the document's row and return its id."""
    connection.execute(
        "INSERT INTO documents (collection_id, source_id, key, prefix, version, fingerprint, state, content_hash, seen, "
        "changed_at, recorded_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'indexed', ?7, ?8, ?9, ?10) "
        "ON CONFLICT (collection_id, source_id, key) DO UPDATE SET prefix = ?4, version = ?5, fingerprint = ?6, "
        "state = 'indexed', reason = '', content_hash = ?7, seen = ?8, changed_at = ?9, recorded_at = ?10",
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
        ),
    )
    (document_id,) = connection.execute(
        "SELECT id FROM documents WHERE collection_id = ? AND source_id = ? AND key = ?",
        (change.collection_id, change.source_id, change.key),
    ).fetchone()
    return document_id


def stored_chunks(connection: sqlite3.Connection, document_id: int) -> dict[int, NewChunk]:
    """Return a document's chunks by number."""
    rows = connection.execute(
        "SELECT number, text, context, vector_key, metadata FROM chunks WHERE document_id = ? ORDER BY number",
        (document_id,),
    )
    return {number: NewChunk(text, context, key, json.loads(metadata)) for number, text, context, key, metadata in rows}


def number_chunks(old: Mapping[int, NewChunk], new: Sequence[NewChunk]) -> Numbering:
    """Give every new chunk a number: its old one where text and vector are the same, otherwise the lowest free one."""
    waiting: defaultdict[tuple[str, bytes], list[int]] = defaultdict(list)
    for number in sorted(old, reverse=True):
        waiting[(old[number].text, old[number].vector_key)].append(number)
    kept = [
        waiting[(chunk.text, chunk.vector_key)].pop() if waiting[(chunk.text, chunk.vector_key)] else None
        for chunk in new
    ]
    taken = {number for number in kept if number is not None}
    free = (number for number in range(len(old) + len(new) + max(old, default=0) + 1) if number not in taken)
    numbers = [number if number is not None else next(free) for number in kept]
    ops: dict[int, str] = {}
    for number, chunk, stays in zip(numbers, new, kept, strict=True):
        if stays is None:
            ops[number] = "replace" if number in old else "add"
        elif dict(old[number].metadata) != (metadata := staged_metadata(chunk, len(new))):
            # Chroma merges metadata: a key that is no longer there would stay.
            ops[number] = "update" if old[number].metadata.keys() <= metadata.keys() else "replace"
    used = set(numbers)
    ops.update({number: "delete" for number in old if number not in used})
    return Numbering(numbers, ops)


def changed_vectors(old: Mapping[int, NewChunk], new: Sequence[NewChunk], numbering: Numbering) -> Iterator[bytes]:
    """Yield the keys of the vectors that chunks begin or cease to use; those of chunks that stay are held by them."""
    changed = {number for number, op in numbering.ops.items() if op != "update"}
    yield from (old[number].vector_key for number in changed & old.keys())
    yield from (chunk.vector_key for number, chunk in zip(numbering.numbers, new, strict=True) if number in changed)


def staged_metadata(chunk: NewChunk, count: int) -> dict[str, Any]:
    """Return a chunk's metadata with the number of its document's chunks, which is known when all of them are there."""
    return {**chunk.metadata, "chunk_count": count}


def rewrite_chunks(
    connection: sqlite3.Connection, document_id: int, chunks: Sequence[NewChunk], numbering: Numbering
) -> None:
    """Make the stored chunks of a document equal to `chunks` under `numbering`."""
    changed = {number for number, op in numbering.ops.items() if op != "update"}
    connection.executemany(
        "DELETE FROM chunks WHERE document_id = ? AND number = ?", [(document_id, n) for n in changed]
    )
    connection.executemany(
        "INSERT INTO chunks (document_id, number, text, context, vector_key, metadata) VALUES (?, ?, ?, ?, ?, ?)",
        (
            (
                document_id,
                number,
                chunk.text,
                chunk.context,
                chunk.vector_key,
                dumps(staged_metadata(chunk, len(chunks))),
            )
            for number, chunk in zip(numbering.numbers, chunks, strict=True)
            if number in changed
        ),
    )
    connection.executemany(
        "UPDATE chunks SET context = ?, metadata = ? WHERE document_id = ? AND number = ?",
        (
            (chunk.context, dumps(staged_metadata(chunk, len(chunks))), document_id, number)
            for number, chunk in zip(numbering.numbers, chunks, strict=True)
            if numbering.ops.get(number) == "update"
        ),
    )


def write_postings(
    connection: sqlite3.Connection,
    collection_id: int,
    document_id: int,
    chunks: Sequence[NewChunk],
    numbering: Numbering,
) -> None:
    """Add the postings of the chunks just written; those of the chunks they replace went with them (a trigger)."""
    connection.executemany(
        "INSERT INTO postings (collection_id, document_id, number, model, vector) VALUES (?, ?, ?, ?, ?)",
        (
            (collection_id, document_id, number, chunk.posting.model, chunk.posting.vector)
            for number, chunk in zip(numbering.numbers, chunks, strict=True)
            if chunk.posting is not None and numbering.ops.get(number) in ("add", "replace")
        ),
    )


def put_in_outbox(
    connection: sqlite3.Connection, collection_id: int, ids: Mapping[str, tuple[str, int | None, int | None]]
) -> None:
    """Journal the intent. An id that is still waiting from before may be in any state in Chroma: it is replaced whole."""
    connection.executemany(
        "INSERT INTO outbox VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (collection_id, chunk_id) DO UPDATE "
        "SET op = iif(?3 = 'delete', 'delete', 'replace'), document_id = ?4, number = ?5",
        [(collection_id, chunk_id, *intent) for chunk_id, intent in ids.items()],
    )

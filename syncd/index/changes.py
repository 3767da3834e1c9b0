"""The index's messages, and how stored chunks become rows of the vector store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from syncd.model import CollectionShape, Metadata, QueryFunction, Row, Rows, Scalar, SparseIndex, Target
from syncd.store.changes import DocumentChange, Promotion, Replacement
from syncd.store.collections import CollectionRecord
from syncd.store.whole_chunks import ChunkRow

WRITE_SIZE = 300
"""Rows per write: Chroma Cloud's limit, and within the 100-300 that a local server handles fastest."""
RETRY_CAP_S = 5.0
"""Longest pause between attempts: work goes on, and health says so, within ten seconds of the end of a fault."""
Difference = Literal["texts", "vectors", "metadata"]
VECTOR_TOLERANCE = 1e-5
"""Tolerance for Chroma's own normalisation of vectors, which changes their last bits."""


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Delete a collection and fill it again from the store."""

    target: Target


@dataclass(frozen=True, slots=True)
class Flush:
    """Write to the vector store what the outbox has about these ids."""

    collection_id: int
    chunk_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class CheckCollection:
    """Check that the vector store still has the whole collection, and refill it from SQLite if not."""

    collection_id: int


@dataclass(frozen=True, slots=True)
class MendCollection:
    """Rebuild a collection that a reader found damaged, unless it is being filled already."""

    collection_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class ChangePlaces:
    """Let a shadow take the place of the collection that answers, under its name, or go on with that."""

    collection_id: int


@dataclass(frozen=True, slots=True)
class CheckPlaces:
    """Fail as ChangePlaces would for what would be lost by it, of a shadow or of one yet to be built beside this collection, and change
    nothing.
    """

    collection_id: int


@dataclass(frozen=True, slots=True)
class DropCollection:
    """Delete a discarded shadow, of which the store has no document any more."""

    collection_id: int


@dataclass(frozen=True, slots=True)
class OutboxLeft:
    """Write to the vector store what the outbox has about ids that no caller waits for."""

    collection_id: int


Errand = Rebuild | CheckCollection | MendCollection | ChangePlaces | CheckPlaces | DropCollection
"""What concerns a collection as a whole."""
Change = DocumentChange | Errand | Flush | OutboxLeft


def weight(change: Change) -> int:
    """Return how many rows a change may write, so that a batch fills one write."""
    match change:
        case Replacement():
            return max(1, len(change.chunks))
        case Promotion():
            return max(1, change.chunks)
        case _:
            return 1


def shape_of(record: CollectionRecord, queries: QueryFunction | None) -> CollectionShape:
    """Return the shape of a new collection; only a sparse model that the source names has a key in it."""
    embedding = record.embedding
    sparse = SparseIndex(embedding.sparse_key, embedding.sparse_model) if embedding.sparse_model else None
    return CollectionShape(queries, sparse)


def rows(record: CollectionRecord, chunks: Sequence[ChunkRow]) -> Rows:
    """Return a collection's chunks as rows of the vector store."""
    return Rows(
        ids=[row.id for row in chunks],
        documents=[row.text for row in chunks],
        metadatas=[row.metadata for row in chunks],
        vectors=[row.vector for row in chunks],
        sparse=[row.sparse for row in chunks],
        sparse_key=record.embedding.sparse_key if record.embedding.sparse_model else "",
    )


def difference(wanted: ChunkRow, metadata: Metadata, found: Row) -> Difference | None:
    """Return in what the stored row differs from the wanted one, first of all, or None; `metadata` is the wanted metadata as stored."""
    if found.document != wanted.text:
        return "texts"
    if differs_in_vector(wanted, found):
        return "vectors"
    return None if holds(found.metadata, metadata) else "metadata"


def differs_in_vector(wanted: ChunkRow, found: Row) -> bool:
    """Return whether the stored row has another vector than the wanted one, or none."""
    return found.vector is None or not np.allclose(found.vector, wanted.vector, rtol=0, atol=VECTOR_TOLERANCE)


def holds(found: Metadata, wanted: Metadata) -> bool:
    """Return whether every wanted key has its value; lists may come back as any kind of sequence."""
    return all(key in found and plain(found[key]) == plain(value) for key, value in wanted.items())


def plain(value: Scalar | Sequence[Scalar]) -> Scalar | Sequence[Scalar]:
    """Return a metadata value in a form that can be compared."""
    return value if isinstance(value, Scalar) else list(value)

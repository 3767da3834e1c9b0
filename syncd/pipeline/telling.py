"""What the index is asked for, and what of a stored chunk Chroma is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.chroma.rows import Rows
from syncd.chroma.shape import Queries, Shape, SparseIndex
from syncd.model import Target
from syncd.store.documents import CollectionRecord
from syncd.store.outbox import ChunkRow
from syncd.store.staging import Removal, Replacement


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Delete a collection and fill it again from the store."""

    target: Target


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell Chroma about ids that somebody else put into the outbox."""

    collection_id: int
    chunk_ids: Sequence[str]


Change = Replacement | Removal | Rebuild | Tell


def weight(change: Change) -> int:
    """Return how many rows a change may write, so that a batch fills one write."""
    return max(1, len(change.chunks)) if isinstance(change, Replacement) else 1


def shape_of(record: CollectionRecord, queries: Queries | None) -> Shape:
    """Return what a collection is made with. Only a sparse model that its source names has a key in it."""
    embedding = record.embedding
    sparse = SparseIndex(embedding.sparse_key, embedding.sparse_model) if embedding.sparse_model else None
    return Shape(queries, sparse)


def rows(record: CollectionRecord, chunks: Sequence[ChunkRow]) -> Rows:
    """Return a collection's chunks as the client's columns."""
    return Rows(
        ids=[row.id for row in chunks],
        documents=[row.text for row in chunks],
        metadatas=[row.metadata for row in chunks],
        vectors=[row.vector for row in chunks],
        sparse=[row.sparse for row in chunks],
        sparse_key=record.embedding.sparse_key if record.embedding.sparse_model else "",
    )

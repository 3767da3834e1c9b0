"""Adds sparse vectors to chunks before they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from syncd.model import Embedding
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.store import Store
from syncd.store.changes import NewChunk
from syncd.store.postings import Posting
from syncd.store.sparse_codec import packed


class SparseEncoding:
    """Encodes texts whose sparse vector is not stored yet. Safe to use from many tasks at once."""

    def __init__(self, store: Store, models: SparseModels) -> None:
        self._store = store
        self._models = models

    async def with_sparse_vectors(self, embedding: Embedding, chunks: Sequence[NewChunk]) -> Sequence[NewChunk]:
        """Return the chunks with their sparse vectors, or unchanged if the collection has none.

        Raises PermanentError if the model is unavailable, RetryableError if it is temporarily so.
        """
        encoder = await self._models.of(embedding)
        if encoder is None:
            return chunks
        known = await self._store.postings.known([chunk.vector_key for chunk in chunks], encoder.fingerprint)
        texts = {c.vector_key: c.context + c.text for c in chunks if c.vector_key not in known}
        vectors = await encoder.encode(list(texts.values()), "document")
        packs = {**known, **dict(zip(texts, map(packed, vectors), strict=True))}
        return [replace(c, posting=Posting(encoder.fingerprint, packs[c.vector_key])) for c in chunks]

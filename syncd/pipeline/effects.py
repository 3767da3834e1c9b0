"""What making a document true does to the world, and the same as a dry run that leaves the world as it is.

A run is given one or the other when it starts, and nobody asks again which.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from syncd.model import Embedder, Embedding, EmbeddingTask
from syncd.store import Store
from syncd.store.staging import NewChunk, Removal, Replacement, Staged

BYTES_PER_TOKEN = 3.4
"""Of source code, in wordpiece and byte-pair vocabularies alike; prose has about 4."""

EMBED_SIZE = 64
"""Texts per request to the embedder, which gathers requests of several documents into full batches."""

Apply = Callable[[Replacement | Removal], Awaitable[Staged]]
"""Makes a change true in the store and in the vector store: see Index.apply."""

EncodeSparse = Callable[[Embedding, Sequence[NewChunk]], Awaitable[Sequence[NewChunk]]]


class Effects(Protocol):
    """Everything an ingester does besides looking. Each may be repeated; each may raise RetryableError."""

    def reason(self, was_indexed: bool) -> str:
        """Return what is said of a document that is indexed now, and was in an earlier version or not."""
        ...

    async def apply(self, change: Replacement | Removal) -> Staged:
        """Replace or remove a document, in the store and in Chroma; waits for both. Raises ConflictError when another document has its ids."""
        ...

    async def record_failure(self, removal: Removal) -> None:
        """Record why a version is not indexed; chunks of an earlier one stay."""
        ...

    async def update_version(self, collection_id: int, source_id: str, key: str, version: str, seen: int) -> None:
        """Record a new version whose content is the indexed one."""
        ...

    async def fill(self, embedder: Embedder, task: EmbeddingTask | None, texts: Mapping[bytes, str]) -> int:
        """Put the vectors of `texts`, by key, into the cache and return the tokens embedded. Raises PermanentError."""
        ...

    async def with_sparse_vectors(self, embedding: Embedding, chunks: Sequence[NewChunk]) -> Sequence[NewChunk]:
        """Return the chunks with their sparse vectors, where the collection keeps any."""
        ...


class RealEffects:
    """The effects themselves. `with_sparse_vectors` gives chunks their sparse vectors."""

    def __init__(self, store: Store, apply: Apply, with_sparse_vectors: EncodeSparse) -> None:
        self._store = store
        self._apply = apply
        self.record_failure = store.documents.record_failure
        self.update_version = store.documents.update_version
        self._with_sparse_vectors = with_sparse_vectors

    def reason(self, was_indexed: bool) -> str:
        """Return nothing: it is indexed, and that is all."""
        return ""

    async def apply(self, change: Replacement | Removal) -> Staged:
        """Replace or remove a document; waits until the vector store has it."""
        return await self._apply(change)

    async def fill(self, embedder: Embedder, task: EmbeddingTask | None, texts: Mapping[bytes, str]) -> int:
        """Embed `texts` and cache the vectors; waits for room in the embedder."""
        keys, tokens = list(texts), 0
        for start in range(0, len(keys), EMBED_SIZE):
            some = keys[start : start + EMBED_SIZE]
            embedded = await embedder.embed([texts[key] for key in some], "document", task)
            await self._store.vectors.put(dict(zip(some, embedded.vectors, strict=True)))
            tokens += embedded.tokens
        return tokens

    async def with_sparse_vectors(self, embedding: Embedding, chunks: Sequence[NewChunk]) -> Sequence[NewChunk]:
        """Encode what has not been encoded yet; waits for the sparse model."""
        return await self._with_sparse_vectors(embedding, chunks)


class DryRunEffects:
    """Answers as `RealEffects` would and does nothing; tokens are an estimate from bytes."""

    def __init__(self, store: Store) -> None:
        self.apply = store.documents.preview

    def reason(self, was_indexed: bool) -> str:
        """Return whether a run would meet it for the first time."""
        return "changed" if was_indexed else "new"

    async def record_failure(self, removal: Removal) -> None:
        """Leave it as it is."""

    async def update_version(self, collection_id: int, source_id: str, key: str, version: str, seen: int) -> None:
        """Leave it as it is."""

    async def fill(self, embedder: Embedder, task: EmbeddingTask | None, texts: Mapping[bytes, str]) -> int:
        """Return about how many tokens these are."""
        return round(sum(len(text.encode("utf-8", "surrogatepass")) for text in texts.values()) / BYTES_PER_TOKEN)

    async def with_sparse_vectors(self, embedding: Embedding, chunks: Sequence[NewChunk]) -> Sequence[NewChunk]:
        """Return the chunks as they are: what Chroma is told of them does not depend on it."""
        return chunks

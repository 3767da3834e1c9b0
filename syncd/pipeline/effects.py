"""What making a document true does to the world, and the same as a rehearsal that leaves the world as it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from syncd.index.writer import Index
from syncd.model import Embedder, Embedding, EmbeddingTask
from syncd.store import Store
from syncd.store.staging import NewChunk, Removal, Replacement, Staged

BYTES_PER_TOKEN = 3.4
"""Of source code, in wordpiece and byte-pair vocabularies alike; prose has about 4."""

EMBED_SIZE = 64
"""Texts per request to the embedder, which gathers requests of several documents into full batches."""

Posted = Callable[[Embedding, Sequence[NewChunk]], Awaitable[Sequence[NewChunk]]]


class Effects(Protocol):
    """Everything an ingester does besides looking. Each may be repeated."""

    async def apply(self, change: Replacement | Removal) -> Staged:
        """Replace or remove a document, in the store and in Chroma."""
        ...

    async def set_aside(self, removal: Removal) -> None:
        """Record why a version is not indexed; chunks of an earlier one stay."""
        ...

    async def touch(self, collection_id: int, source_id: str, key: str, version: str, seen: int) -> None:
        """Record a new version whose content is the indexed one."""
        ...

    async def fill(self, embedder: Embedder, task: EmbeddingTask | None, texts: Mapping[bytes, str]) -> int:
        """Put the vectors of `texts`, by key, into the cache; return the tokens embedded."""
        ...

    async def posted(self, embedding: Embedding, chunks: Sequence[NewChunk]) -> Sequence[NewChunk]:
        """Return the chunks with their sparse vectors, where the collection keeps any."""
        ...


class Doing:
    """The effects themselves. `posted` gives chunks their sparse vectors."""

    def __init__(self, store: Store, index: Index, posted: Posted) -> None:
        self._store = store
        self.apply = index.apply
        self.set_aside = store.documents.set_aside
        self.touch = store.documents.touch
        self._posted = posted

    async def fill(self, embedder: Embedder, task: EmbeddingTask | None, texts: Mapping[bytes, str]) -> int:
        """Embed `texts` and cache the vectors; waits for room in the embedder."""
        keys, tokens = list(texts), 0
        for start in range(0, len(keys), EMBED_SIZE):
            some = keys[start : start + EMBED_SIZE]
            embedded = await embedder.embed([texts[key] for key in some], "document", task)
            await self._store.vectors.put(dict(zip(some, embedded.vectors, strict=True)))
            tokens += embedded.tokens
        return tokens

    async def posted(self, embedding: Embedding, chunks: Sequence[NewChunk]) -> Sequence[NewChunk]:
        """Encode what has not been encoded yet; waits for the sparse model."""
        return await self._posted(embedding, chunks)


class Rehearsing:
    """Answers as `Doing` would and does nothing; tokens are an estimate from bytes."""

    def __init__(self, store: Store) -> None:
        self.apply = store.documents.foresee

    async def set_aside(self, removal: Removal) -> None:
        """Leave it as it is."""

    async def touch(self, collection_id: int, source_id: str, key: str, version: str, seen: int) -> None:
        """Leave it as it is."""

    async def fill(self, embedder: Embedder, task: EmbeddingTask | None, texts: Mapping[bytes, str]) -> int:
        """Return about how many tokens these are."""
        return round(sum(len(text.encode("utf-8", "surrogatepass")) for text in texts.values()) / BYTES_PER_TOKEN)

    async def posted(self, embedding: Embedding, chunks: Sequence[NewChunk]) -> Sequence[NewChunk]:
        """Return the chunks as they are: what Chroma is told of them does not depend on it."""
        return chunks

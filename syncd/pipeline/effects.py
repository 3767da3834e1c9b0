"""What making a document true does to the world, and the same as a dry run that leaves the world as it is.

A run is given one or the other when it starts, and nobody asks again which.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from syncd.model import Embedder, Embedding
from syncd.pipeline.disk import DiskRoom
from syncd.pipeline.embedding_stage import Apply, EmbeddingStage
from syncd.pipeline.result import Result
from syncd.pipeline.tracing import UNTRACED, Tracer
from syncd.runtime.mailbox import Reply, settled_reply
from syncd.store import Store
from syncd.store.changes import NewChunk, PreparedDocument, Removal, Replacement, Staged, Urgency

BYTES_PER_TOKEN = 3.4
"""Of source code, in wordpiece and byte-pair vocabularies alike; prose has about 4."""

EncodeSparse = Callable[[Embedding, Sequence[NewChunk]], Awaitable[Sequence[NewChunk]]]


@dataclass(frozen=True, slots=True)
class WantedVectors:
    """Whose vectors a document needs, for whom. `missing_bytes` is the text that has none yet; `result` what is known so far."""

    embedder: Embedder
    run_number: int
    urgency: Urgency
    missing_bytes: int
    result: Result


class Effects(Protocol):
    """Everything an ingester does besides looking. Each may be repeated; each may raise RetryableError."""

    @property
    def tracer(self) -> Tracer:
        """What is told where the time of documents goes."""
        ...

    def reason(self, was_indexed: bool) -> str:
        """Return what is said of a document that is indexed now, and was in an earlier version or not."""
        ...

    async def has_room(self, urgency: Urgency) -> bool:
        """Return whether there is room on disk for what one more document is prepared to."""
        ...

    async def deliver(self, change: Replacement, wanted: WantedVectors) -> Reply[Result]:
        """Bring a prepared document on its way, durable when this returns; the reply comes when the vector store has it.

        Raises ConflictError when another document has its ids.
        """
        ...

    async def join(self, document: PreparedDocument, wanted: WantedVectors) -> Reply[Result]:
        """Wait for a document that is on its way already, with its urgency or this one, whichever is higher."""
        ...

    async def remove(self, removal: Removal) -> Staged:
        """Remove a document, in the store and in the vector store; waits for both."""
        ...

    async def discard(self, collection_id: int, source_id: str, key: str) -> None:
        """Forget what is on its way of a document: the source holds again what is indexed."""
        ...

    async def record_failure(self, removal: Removal) -> None:
        """Record why a version is not indexed; chunks of an earlier one stay."""
        ...

    async def update_version(self, collection_id: int, source_id: str, key: str, version: str, seen: int) -> None:
        """Record a new version whose content is the indexed one."""
        ...

    async def with_sparse_vectors(self, embedding: Embedding, chunks: Sequence[NewChunk]) -> Sequence[NewChunk]:
        """Return the chunks with their sparse vectors, where the collection keeps any."""
        ...


class RealEffects:
    """The effects themselves. `with_sparse_vectors` gives chunks their sparse vectors; `room` bounds what waits on disk."""

    def __init__(
        self,
        store: Store,
        apply: Apply,
        stage: EmbeddingStage,
        with_sparse_vectors: EncodeSparse,
        room: DiskRoom,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self.tracer = tracer
        self._store = store
        self._apply = apply
        self._stage = stage
        self._with_sparse_vectors = with_sparse_vectors
        self.has_room = room.is_there
        self.record_failure = store.documents.record_failure
        self.update_version = store.documents.update_version

    def reason(self, was_indexed: bool) -> str:
        """Return nothing: it is indexed, and that is all."""
        return ""

    async def deliver(self, change: Replacement, wanted: WantedVectors) -> Reply[Result]:
        """Hand the document to the index, by way of the embedding stage where vectors are missing.

        Cut off before it is durable, nothing has happened; after, the stage goes on with it after the next start.
        """
        if not wanted.missing_bytes:
            owner = (change.collection_id, change.source_id, change.key)
            with self.tracer.of(owner, change.version, change.fingerprint).stage("write") as notes:
                staged = await self._apply(change)
                notes |= {"written": staged.written, "deleted": staged.deleted}
            self._stage.overtaken((change.collection_id, change.source_id, change.key))
            return settled_reply(replace(wanted.result, written=staged.written, deleted=staged.deleted))
        return await self._stage.bring(change, wanted.embedder, wanted.urgency, (wanted.run_number, wanted.result))

    async def join(self, document: PreparedDocument, wanted: WantedVectors) -> Reply[Result]:
        """Wait for a document that is prepared already."""
        await self._store.prepared.hurry(document.id, wanted.urgency)
        return await self._stage.join(document, wanted.embedder, (wanted.run_number, wanted.result))

    async def remove(self, removal: Removal) -> Staged:
        """Remove a document; waits until the vector store has done so."""
        staged = await self._apply(removal)
        self._stage.overtaken((removal.collection_id, removal.source_id, removal.key))
        return staged

    async def discard(self, collection_id: int, source_id: str, key: str) -> None:
        """Forget what is prepared of a document."""
        await self._store.prepared.discard(collection_id, source_id, key)
        self._stage.overtaken((collection_id, source_id, key))

    async def with_sparse_vectors(self, embedding: Embedding, chunks: Sequence[NewChunk]) -> Sequence[NewChunk]:
        """Encode what has not been encoded yet; waits for the sparse model."""
        return await self._with_sparse_vectors(embedding, chunks)


class DryRunEffects:
    """Answers as `RealEffects` would and does nothing; tokens are an estimate from bytes."""

    tracer = UNTRACED

    def __init__(self, store: Store) -> None:
        self._preview = store.documents.preview

    def reason(self, was_indexed: bool) -> str:
        """Return whether a run would meet it for the first time."""
        return "changed" if was_indexed else "new"

    async def has_room(self, urgency: Urgency) -> bool:
        """Return that there is: nothing is kept."""
        return True

    async def deliver(self, change: Replacement, wanted: WantedVectors) -> Reply[Result]:
        """Return what would be written and deleted, and about how many tokens embedded."""
        staged = await self._preview(change)
        tokens = round(wanted.missing_bytes / BYTES_PER_TOKEN)
        return settled_reply(replace(wanted.result, written=staged.written, deleted=staged.deleted, tokens=tokens))

    async def remove(self, removal: Removal) -> Staged:
        """Return what would be deleted."""
        return await self._preview(removal)

    async def join(self, document: PreparedDocument, wanted: WantedVectors) -> Reply[Result]:
        """Return that it would be indexed: another run is about to."""
        return settled_reply(
            replace(wanted.result, chunks=document.chunks, written=document.chunks, warnings=document.warnings)
        )

    async def discard(self, collection_id: int, source_id: str, key: str) -> None:
        """Leave it as it is."""

    async def record_failure(self, removal: Removal) -> None:
        """Leave it as it is."""

    async def update_version(self, collection_id: int, source_id: str, key: str, version: str, seen: int) -> None:
        """Leave it as it is."""

    async def with_sparse_vectors(self, embedding: Embedding, chunks: Sequence[NewChunk]) -> Sequence[NewChunk]:
        """Return the chunks as they are: what the vector store is told of them does not depend on it."""
        return chunks

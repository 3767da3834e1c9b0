"""The whole way of one document, from what a source yielded to what Chroma holds."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import BinaryIO

import anyio

from syncd.errors import PermanentError, Skipped
from syncd.model import (
    Chunk,
    Chunking,
    DocumentState,
    Embedder,
    Preparer,
    SourceRecord,
)
from syncd.pipeline.effects import BYTES_PER_TOKEN, Apply, DryRunEffects, Effects, EncodeSparse, RealEffects
from syncd.pipeline.in_hand import SET_ASIDE, InHand
from syncd.pipeline.job import Job, Result, config_hash_of, is_current, is_same_content, pipeline_fingerprint, unchanged
from syncd.pipeline.lineage import chunk_metadata, digest, display_path
from syncd.pipeline.spooled_chunks import SpooledChunks
from syncd.runtime.byte_budget import ByteBudget
from syncd.store import Store
from syncd.store.documents import DocumentRecord
from syncd.store.marks import mark_of
from syncd.store.staging import NewChunk, Removal, Replacement
from syncd.store.vectors import vector_key


@dataclass(slots=True)
class Tally:
    """What embedding one document cost."""

    embedded: int = 0
    reused: int = 0
    tokens: int = 0


class Ingester:
    """The pure steps and the effectful ones, put together. `ingest` may run many times at once, once per document key.

    `with_sparse_vectors` gives chunks their sparse vectors; `model_file` says which file a model, by name, is set to be computed with.
    """

    def __init__(
        self,
        store: Store,
        apply: Apply,
        preparer: Callable[[SourceRecord], Preparer],
        embedder: Callable[[str], Awaitable[Embedder]],
        with_sparse_vectors: EncodeSparse,
        model_file: Callable[[str], str] = str,
        max_text_in_flight_bytes: int = 64 << 20,
    ) -> None:
        self.in_hand = InHand(store.marks)
        self._store = store
        self._effects: Mapping[bool, Effects] = {
            False: RealEffects(store, apply, with_sparse_vectors),
            True: DryRunEffects(store),
        }
        """By whether it is a dry run."""
        self._preparer = preparer
        self._embedder = embedder
        self._model_file = model_file
        self._budget = ByteBudget(max_text_in_flight_bytes)

    def config_hash(self, source: SourceRecord) -> str:
        """Return what decides how the source's documents are made, besides themselves. Starts no model."""
        return config_hash_of(
            source, self._preparer(source).fingerprint("any.pdf", None), self._model_file(source.embedding.model)
        )

    async def ingest(self, job: Job) -> Result:
        """Make one document true: prepared, embedded, indexed and recorded when this returns. Twice is safe.

        Waits for room in the embedder and the index. PermanentError becomes a recorded result; RetryableError is raised.
        """
        document, collection = job.document, job.collection
        if document.body is None:
            return await self._delete(job)
        embedder = await self._embedder(job.source.embedding.model)
        fingerprint = self._fingerprint(job, embedder)
        known = await self._store.documents.get(collection.id, job.source.id, document.key)
        if known and is_current(known, document.version, fingerprint):
            return unchanged(job, known)
        mark = mark_of(job.source.id, document.key, document.version)
        if await self.in_hand.is_set_aside(mark):
            return await self._fail(job, fingerprint, SET_ASIDE)
        result = await self._bring(job, fingerprint, known, embedder)
        await self.in_hand.survived(mark)
        if job.dry_run and result.state is DocumentState.INDEXED:
            return replace(result, reason="changed" if known and known.state is DocumentState.INDEXED else "new")
        return result

    async def _bring(self, job: Job, fingerprint: str, known: DocumentRecord | None, embedder: Embedder) -> Result:
        """Carry the document over from where it is indexed already, or make it, or say why not."""
        document = job.document
        carried_over = await self._store.documents.carried_over(
            job.source.id, document.key, document.version, fingerprint
        )
        try:
            if carried_over is not None:
                chunks = await self._effects[job.dry_run].with_sparse_vectors(job.source.embedding, carried_over.chunks)
                return await self._replace(
                    job, fingerprint, carried_over.content_hash, chunks, Tally(reused=len(chunks))
                )
            return await self._make(job, fingerprint, known, embedder)
        except Skipped as reason:
            return await self._skip(job, fingerprint, str(reason))
        except PermanentError as error:
            return await self._fail(job, fingerprint, str(error))

    async def give_up(self, job: Job, reason: str) -> Result:
        """Record that the document could not be had, however often it was tried; what is indexed of it stays. Twice is safe.

        Neither a preparer nor a model is asked: whatever ails them, this works. One that could not be deleted is left as it is.
        """
        if job.document.body is None:
            return Result(job.document.key, DocumentState.FAILED, reason)
        return await self._fail(job, "", reason)

    def _fingerprint(self, job: Job, embedder: Embedder) -> str:
        document = job.document
        parsing = self._preparer(job.source).fingerprint(document.name or document.key, document.media_type)
        return pipeline_fingerprint(job, embedder, parsing)

    async def _make(self, job: Job, fingerprint: str, known: DocumentRecord | None, embedder: Embedder) -> Result:
        """Fetch, prepare, embed and index the document's content."""
        assert job.document.body is not None
        async with job.document.body.open() as file:
            content_hash, size_bytes = await anyio.to_thread.run_sync(digest, file)
            async with self._budget.taken(size_bytes):
                if known and is_same_content(job, known, fingerprint, content_hash):
                    return await self._update_version(job, known)
                spooled, tally = await self._draft(job, file, embedder, content_hash)
                if not spooled and size_bytes:
                    raise Skipped("it holds no text")
                return await self._replace(job, fingerprint, content_hash, spooled, tally)

    async def _draft(
        self, job: Job, file: BinaryIO, embedder: Embedder, content_hash: str
    ) -> tuple[SpooledChunks, Tally]:
        """Prepare and embed batch by batch, so that a document costs the same memory whatever its length."""
        spooled, tally = SpooledChunks(), Tally()
        mark = mark_of(job.source.id, job.document.key, job.document.version)
        async with (
            aclosing(self._prepare(job, file, embedder)) as work,
            aclosing(self.in_hand.steps(mark, work)) as steps,
        ):
            async for chunks in steps:
                new = await self._embed(job, chunks, len(spooled), embedder, content_hash, tally)
                with_sparse_vectors = await self._effects[job.dry_run].with_sparse_vectors(job.source.embedding, new)
                await anyio.to_thread.run_sync(spooled.extend, with_sparse_vectors)
        return spooled, tally

    def _prepare(self, job: Job, file: BinaryIO, embedder: Embedder) -> AsyncGenerator[Sequence[Chunk]]:
        document, source = job.document, job.source
        path, chunking = display_path(document), fitted(source.chunking, embedder)
        name = document.name or document.key
        return self._preparer(source).prepare(file, name, document.media_type, path, chunking)

    async def _embed(
        self, job: Job, chunks: Sequence[Chunk], first: int, embedder: Embedder, content_hash: str, tally: Tally
    ) -> list[NewChunk]:
        """Make sure the cache holds every chunk's vector, and return the chunks that refer to them, from number `first`."""
        task = job.source.embedding.task
        prompt = task.document_prompt if task else None
        keys = [vector_key(embedder.fingerprint, prompt, chunk.embedded_text) for chunk in chunks]
        missing = await self._store.vectors.missing(keys)
        texts = {key: chunk.embedded_text for key, chunk in zip(keys, chunks, strict=True) if key in missing}
        tally.embedded += len(texts)
        tally.reused += len(keys) - len(texts)
        tally.tokens += await self._effects[job.dry_run].fill(embedder, task, texts)
        version = content_hash if job.document.weak_version else job.document.version
        return [
            NewChunk(chunk.text, chunk.context, key, chunk_metadata(job.document, job.source, version, chunk, i, 0))
            for i, (key, chunk) in enumerate(zip(keys, chunks, strict=True), first)
        ]

    async def _replace(
        self, job: Job, fingerprint: str, content_hash: str, chunks: Sequence[NewChunk], tally: Tally
    ) -> Result:
        document = job.document
        staged = await self._effects[job.dry_run].apply(
            Replacement(
                collection_id=job.collection.id,
                source_id=job.source.id,
                key=document.key,
                prefix=document.chunk_prefix,
                version=document.version,
                fingerprint=fingerprint,
                content_hash=content_hash,
                seen=job.run_number,
                chunks=chunks,
                changed_at=document.changed_at.timestamp() if document.changed_at else None,
            )
        )
        return Result(
            document.key,
            DocumentState.INDEXED,
            version=document.version,
            chunks=len(chunks),
            written=staged.written,
            deleted=staged.deleted,
            embedded=tally.embedded,
            reused=tally.reused,
            tokens=tally.tokens,
        )

    async def _update_version(self, job: Job, known: DocumentRecord) -> Result:
        """Note a new version whose content is the indexed one."""
        document = job.document
        await self._effects[job.dry_run].update_version(
            job.collection.id, job.source.id, document.key, document.version, job.run_number
        )
        return Result(document.key, DocumentState.UNCHANGED, version=document.version, chunks=known.chunk_count)

    async def _delete(self, job: Job) -> Result:
        if job.is_gone is not None and not await job.is_gone():
            return Result(job.document.key, DocumentState.UNCHANGED)
        removal = Removal(job.collection.id, job.source.id, job.document.key)
        staged = await self._effects[job.dry_run].apply(removal)
        return Result(job.document.key, DocumentState.DELETED, deleted=staged.deleted)

    async def _skip(self, job: Job, fingerprint: str, reason: str) -> Result:
        """Leave the document out, its earlier chunks too: what they said is no longer what the source holds."""
        document = job.document
        owner = job.collection.id, job.source.id, document.key
        removal = Removal(*owner, document.version, fingerprint, DocumentState.SKIPPED, reason, job.run_number)
        staged = await self._effects[job.dry_run].apply(removal)
        return Result(document.key, DocumentState.SKIPPED, reason, document.version, deleted=staged.deleted)

    async def _fail(self, job: Job, fingerprint: str, reason: str) -> Result:
        """Record why this version could not be indexed; an earlier good version stays searchable until it can."""
        document = job.document
        owner = job.collection.id, job.source.id, document.key
        refused = Removal(*owner, document.version, fingerprint, DocumentState.FAILED, reason, job.run_number)
        await self._effects[job.dry_run].record_failure(refused)
        return Result(document.key, DocumentState.FAILED, reason, document.version)


def fitted(chunking: Chunking, embedder: Embedder) -> Chunking:
    """Return the chunking with its target within the model's window, so that chunks are not averaged out of windows."""
    window_bytes = int(embedder.max_tokens * BYTES_PER_TOKEN)
    return replace(chunking, target_size_bytes=min(chunking.target_size_bytes, window_bytes))

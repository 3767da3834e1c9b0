"""The whole way of one document, from what a source yielded to what Chroma holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import anyio

from syncd.errors import PermanentError, Skipped
from syncd.model import DocumentState, Embedder, SourceRecord
from syncd.pipeline.effects import DryRunEffects, Effects
from syncd.pipeline.in_hand import SET_ASIDE, InHand
from syncd.pipeline.job import DocumentJob, Result, is_current, is_same_content, unchanged
from syncd.pipeline.lineage import digest
from syncd.pipeline.preparation import Draft, Preparation, Tally
from syncd.runtime.byte_budget import ByteBudget
from syncd.store import Store
from syncd.store.documents import DocumentRecord
from syncd.store.staging import NewChunk, Removal, Replacement


class Ingester:
    """Makes documents true, one at a time per key, any number of keys at once."""

    def __init__(self, store: Store, effects: Effects, preparation: Preparation) -> None:
        """`effects` are those of runs that are meant; dry runs have their own."""
        self.in_hand = InHand(store.marks)
        self._store = store
        self._effects = effects
        self._dry_run_effects = DryRunEffects(store)
        self._preparation = preparation
        self._budget = ByteBudget(preparation.max_text_in_flight_bytes)

    def effects(self, is_dry_run: bool) -> Effects:
        """Return what a run's documents are made true with."""
        return self._dry_run_effects if is_dry_run else self._effects

    def config_hash(self, source: SourceRecord) -> str:
        """Return what decides how the source's documents are made, besides themselves. Starts no model."""
        return self._preparation.config_hash(source)

    async def ingest(self, job: DocumentJob) -> Result:
        """Make one document true: prepared, embedded, indexed and recorded when this returns. Twice is safe.

        Waits for room in the embedder and the index. PermanentError becomes a recorded result; RetryableError is raised.
        """
        if job.document.body is None:
            return await self._delete(job)
        embedder = await self._preparation.embedder(job.run.source.embedding.model)
        fingerprint = self._preparation.fingerprint(job, embedder)
        known = await self._store.documents.get(*job.owner)
        if known and is_current(known, job.document.version, fingerprint):
            return unchanged(job, known)
        if await self.in_hand.is_set_aside(job.mark):
            return await self._fail(job, fingerprint, SET_ASIDE)
        result = await self._bring(job, fingerprint, known, embedder)
        await self.in_hand.survived(job.mark)
        if result.state is DocumentState.INDEXED:
            was_indexed = known is not None and known.state is DocumentState.INDEXED
            return replace(result, reason=job.run.effects.reason(was_indexed))
        return result

    async def give_up(self, job: DocumentJob, reason: str) -> Result:
        """Record that the document could not be had, however often it was tried; what is indexed of it stays. Twice is safe.

        Neither a preparer nor a model is asked: whatever ails them, this works. One that could not be deleted is left as it is.
        """
        if job.document.body is None:
            return Result(job.document.key, DocumentState.FAILED, reason)
        return await self._fail(job, "", reason)

    async def _bring(
        self, job: DocumentJob, fingerprint: str, known: DocumentRecord | None, embedder: Embedder
    ) -> Result:
        """Carry the document over from where it is indexed already, or make it, or say why not."""
        document, run = job.document, job.run
        carried_over = await self._store.documents.carried_over(
            run.source.id, document.key, document.version, fingerprint
        )
        try:
            if carried_over is None:
                return await self._make(job, fingerprint, known, embedder)
            chunks = await run.effects.with_sparse_vectors(run.source.embedding, carried_over.chunks)
            return await self._replace(job, fingerprint, carried_over.content_hash, chunks, Tally(reused=len(chunks)))
        except Skipped as reason:
            return await self._skip(job, fingerprint, str(reason))
        except PermanentError as error:
            return await self._fail(job, fingerprint, str(error))

    async def _make(
        self, job: DocumentJob, fingerprint: str, known: DocumentRecord | None, embedder: Embedder
    ) -> Result:
        """Fetch, prepare, embed and index the document's content."""
        assert job.document.body is not None
        async with job.document.body.open() as file:
            content_hash, size_bytes = await anyio.to_thread.run_sync(digest, file)
            async with self._budget.taken(size_bytes):
                if known and is_same_content(job, known, fingerprint, content_hash):
                    return await self._update_version(job, known)
                draft = Draft(self._preparation, job, embedder, self._store.vectors, content_hash)
                await draft.make(file, self.in_hand)
                if not draft.chunks and size_bytes:
                    raise Skipped("it holds no text")
                return await self._replace(job, fingerprint, content_hash, draft.chunks, draft.tally)

    async def _replace(
        self, job: DocumentJob, fingerprint: str, content_hash: str, chunks: Sequence[NewChunk], tally: Tally
    ) -> Result:
        document = job.document
        staged = await job.run.effects.apply(
            Replacement(
                *job.owner,
                prefix=document.chunk_prefix,
                version=document.version,
                fingerprint=fingerprint,
                content_hash=content_hash,
                seen=job.run.number,
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

    async def _update_version(self, job: DocumentJob, known: DocumentRecord) -> Result:
        """Note a new version whose content is the indexed one."""
        document = job.document
        await job.run.effects.update_version(*job.owner, document.version, job.run.number)
        return Result(document.key, DocumentState.UNCHANGED, version=document.version, chunks=known.chunk_count)

    async def _delete(self, job: DocumentJob) -> Result:
        if job.is_gone is not None and not await job.is_gone():
            return Result(job.document.key, DocumentState.UNCHANGED)
        staged = await job.run.effects.apply(Removal(*job.owner))
        return Result(job.document.key, DocumentState.DELETED, deleted=staged.deleted)

    async def _skip(self, job: DocumentJob, fingerprint: str, reason: str) -> Result:
        """Leave the document out, its earlier chunks too: what they said is no longer what the source holds."""
        version = job.document.version
        removal = Removal(*job.owner, version, fingerprint, DocumentState.SKIPPED, reason, job.run.number)
        staged = await job.run.effects.apply(removal)
        return Result(job.document.key, DocumentState.SKIPPED, reason, version, deleted=staged.deleted)

    async def _fail(self, job: DocumentJob, fingerprint: str, reason: str) -> Result:
        """Record why this version could not be indexed; an earlier good version stays searchable until it can."""
        version = job.document.version
        refused = Removal(*job.owner, version, fingerprint, DocumentState.FAILED, reason, job.run.number)
        await job.run.effects.record_failure(refused)
        return Result(job.document.key, DocumentState.FAILED, reason, version)

"""The whole way of one document, from what a source yielded to what Chroma holds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace

import anyio

from syncd.errors import PermanentError, PutOffError, Skipped, SyncdError
from syncd.model import DocumentState, DocumentWarning, Embedder, SourceRecord
from syncd.pipeline.effects import DryRunEffects, Effects, WantedVectors
from syncd.pipeline.embedding_stage import EmbeddingStage
from syncd.pipeline.in_hand import SET_ASIDE, InHand
from syncd.pipeline.job import DocumentJob, is_current, is_same_content, unchanged
from syncd.pipeline.lineage import digest
from syncd.pipeline.preparation import Draft, Preparation, Tally
from syncd.pipeline.result import Result
from syncd.pipeline.tracing import Trace
from syncd.runtime.byte_budget import ByteBudget
from syncd.runtime.mailbox import Reply, settled_reply
from syncd.store import Store
from syncd.store.changes import NewChunk, PreparedDocument, Removal, Replacement
from syncd.store.documents import DocumentRecord

NO_TEXT = "it contains no text"


@dataclass(frozen=True, slots=True)
class Content:
    """What a document was made into. `hash` is that of its bytes."""

    hash: str
    chunks: Sequence[NewChunk]
    tally: Tally
    warnings: Sequence[DocumentWarning]


class Ingester:
    """Makes documents true, one at a time per key, any number of keys at once."""

    def __init__(self, store: Store, effects: Effects, stage: EmbeddingStage, preparation: Preparation) -> None:
        """`effects` are those of runs that are meant; dry runs have their own."""
        self.in_hand = InHand(store.marks)
        self._store = store
        self._effects = effects
        self._stage = stage
        self._dry_run_effects = DryRunEffects(store)
        self._preparation = preparation
        self._budget = ByteBudget(preparation.max_text_in_flight_bytes)

    def effects(self, is_dry_run: bool) -> Effects:
        """Return what a run's documents are made true with."""
        return self._dry_run_effects if is_dry_run else self._effects

    def config_hash(self, source: SourceRecord) -> str:
        """Return what decides how the source's documents are made, besides themselves. Starts no model."""
        return self._preparation.config_hash(source)

    async def ingest(self, job: DocumentJob) -> Reply[Result]:
        """Bring one document on its way; the reply comes when it is indexed and recorded. Twice is safe.

        What is parsed by then is durable: a crash before the reply parses nothing again. Waits for room in the preparer, and
        to remove documents. PermanentError becomes a recorded result; RetryableError is raised.
        """
        if job.document.body is None:
            return settled_reply(await self._delete(job))
        reply = await self._ingest(job)
        # Also of one that was prepared before the last crash: a record that outlives that would blame it for the next.
        await self.in_hand.survived(job.mark)
        return reply

    async def give_up(self, job: DocumentJob, reason: str) -> Result:
        """Record that the document could not be had, however often it was tried; what is indexed of it stays. Twice is safe.

        Neither a preparer nor a model is asked: whatever ails them, this works. One that could not be deleted is left as it is.
        """
        if job.document.body is None:
            return Result(job.document.key, DocumentState.FAILED, reason)
        return await self._fail(job, "", reason)

    async def drop(self, run_number: int) -> None:
        """Forget what a cancelled run has on its way."""
        await self._stage.drop(run_number)

    async def _ingest(self, job: DocumentJob) -> Reply[Result]:
        """Bring one document that there is on its way, unless it is there or on its way already."""
        embedder = await self._preparation.embedder(job.run.source.embedding.model)
        fingerprint = self._preparation.fingerprint(job, embedder)
        known = await self._store.documents.get(*job.owner)
        on_its_way = await self._store.prepared.get(*job.owner)
        if known and is_current(known, job.document.version, fingerprint):
            return settled_reply(await self._as_it_is(job, known, on_its_way))
        if on_its_way and (on_its_way.version, on_its_way.fingerprint) == (job.document.version, fingerprint):
            return await job.run.effects.join(on_its_way, self._wanted(job, embedder))
        if await self.in_hand.is_set_aside(job.mark):
            return settled_reply(await self._fail(job, fingerprint, SET_ASIDE))
        return await self._traced(job, fingerprint, known, embedder)

    async def _traced(
        self, job: DocumentJob, fingerprint: str, known: DocumentRecord | None, embedder: Embedder
    ) -> Reply[Result]:
        """Bring one document on its way, and end its trace where that is all: the embedding stage ends that of others."""
        tracer = job.run.effects.tracer
        tracer.know(job.run.source, job.run.collection)
        trace = tracer.of(job.owner, job.document.version, fingerprint)
        trace.begin()
        reply = await self._bring(job, fingerprint, known, embedder, trace)
        if reply.settled:
            with suppress(SyncdError):  # of the embedding stage, which has said so; it is for whoever awaits the reply
                result = await reply
                trace.end(result.state, result.reason, {"chunks": result.chunks, "reused": result.reused})
        return reply

    async def _as_it_is(self, job: DocumentJob, known: DocumentRecord, on_its_way: PreparedDocument | None) -> Result:
        """Return the result of a document that needs nothing. A later version that is on its way has been taken back."""
        if on_its_way:
            await job.run.effects.discard(*job.owner)
        return unchanged(job, known)

    async def _bring(
        self, job: DocumentJob, fingerprint: str, known: DocumentRecord | None, embedder: Embedder, trace: Trace
    ) -> Reply[Result]:
        """Carry the document over from where it is indexed already, or make it, or say why not."""
        document, run = job.document, job.run
        carried_over = None
        if known is None or not known.is_wanted_anew:
            carried_over = await self._store.documents.carried_over(
                run.source.id, document.key, document.version, fingerprint
            )
        wanted = self._wanted(job, embedder, was_indexed=known is not None and known.state is DocumentState.INDEXED)
        try:
            if carried_over is None:
                return await self._make(job, fingerprint, known, wanted, trace)
            chunks = await run.effects.with_sparse_vectors(run.source.embedding, carried_over.chunks)
            content = Content(carried_over.content_hash, chunks, Tally(reused=len(chunks)), carried_over.warnings)
            return await self._deliver(job, fingerprint, content, wanted)
        except Skipped as reason:
            return settled_reply(await self._skip(job, fingerprint, str(reason), job.document.warnings))
        except PermanentError as error:
            failed = await self._fail(job, fingerprint, str(error))
            return settled_reply(replace(failed, is_put_off=isinstance(error, PutOffError)))

    async def _make(
        self, job: DocumentJob, fingerprint: str, known: DocumentRecord | None, wanted: WantedVectors, trace: Trace
    ) -> Reply[Result]:
        """Fetch and prepare the document's content, and bring it on its way."""
        assert job.document.body is not None
        async with AsyncExitStack() as opened:
            with trace.stage("fetch") as notes:
                file = await opened.enter_async_context(job.document.body.open())
                content_hash, size_bytes = await anyio.to_thread.run_sync(digest, file)
                notes["size_bytes"] = size_bytes
            async with self._budget.taken(size_bytes):
                if known and is_same_content(job, known, fingerprint, content_hash):
                    return settled_reply(await self._update_version(job, known))
                draft = Draft(self._preparation, job, wanted.embedder, self._store.vectors, content_hash)
                with trace.stage("prepare") as notes:
                    await draft.make(file, self.in_hand)
                    notes |= {"chunks": len(draft.chunks), "missing": draft.tally.missing}
                if not draft.chunks and size_bytes:
                    return settled_reply(await self._skip(job, fingerprint, NO_TEXT, draft.warnings.all()))
                content = Content(content_hash, draft.chunks, draft.tally, draft.warnings.all())
                return await self._deliver(job, fingerprint, content, wanted)

    async def _deliver(
        self, job: DocumentJob, fingerprint: str, content: Content, wanted: WantedVectors
    ) -> Reply[Result]:
        document, tally = job.document, content.tally
        change = Replacement(
            *job.owner,
            prefix=document.chunk_prefix,
            version=document.version,
            fingerprint=fingerprint,
            content_hash=content.hash,
            seen=job.run.number,
            chunks=content.chunks,
            changed_at=document.changed_at.timestamp() if document.changed_at else None,
            warnings=content.warnings,
            other_prefix=document.other_prefix,
        )
        result = replace(
            wanted.result,
            chunks=len(content.chunks),
            embedded=tally.missing,
            reused=tally.reused,
            warnings=len(content.warnings),
            content_hash=content.hash,
        )
        return await job.run.effects.deliver(change, replace(wanted, missing_bytes=tally.missing_bytes, result=result))

    def _wanted(self, job: DocumentJob, embedder: Embedder, *, was_indexed: bool = False) -> WantedVectors:
        reason, document = job.run.effects.reason(was_indexed), job.document
        result = Result(document.key, DocumentState.INDEXED, reason, document.version)
        return WantedVectors(embedder, job.run.number, job.urgency, missing_bytes=0, result=result)

    async def _update_version(self, job: DocumentJob, known: DocumentRecord) -> Result:
        """Note a new version whose content is the indexed one; another one on its way has been taken back."""
        document = job.document
        await job.run.effects.update_version(*job.owner, document.version, job.run.number)
        await job.run.effects.discard(*job.owner)
        return Result(document.key, DocumentState.UNCHANGED, version=document.version, chunks=known.chunk_count)

    async def _delete(self, job: DocumentJob) -> Result:
        if job.is_gone is not None and not await job.is_gone():
            return Result(job.document.key, DocumentState.UNCHANGED)
        staged = await job.run.effects.remove(Removal(*job.owner))
        return Result(job.document.key, DocumentState.DELETED, deleted=staged.deleted)

    async def _skip(
        self, job: DocumentJob, fingerprint: str, reason: str, warnings: Sequence[DocumentWarning]
    ) -> Result:
        """Leave the document out, its earlier chunks too: what they said is no longer what the source holds."""
        version = job.document.version
        removal = Removal(*job.owner, version, fingerprint, DocumentState.SKIPPED, reason, job.run.number, warnings)
        staged = await job.run.effects.remove(removal)
        return Result(
            job.document.key, DocumentState.SKIPPED, reason, version, deleted=staged.deleted, warnings=len(warnings)
        )

    async def _fail(self, job: DocumentJob, fingerprint: str, reason: str) -> Result:
        """Record why this version could not be indexed; an earlier good version stays searchable until it can."""
        version = job.document.version
        refused = Removal(*job.owner, version, fingerprint, DocumentState.FAILED, reason, job.run.number)
        await job.run.effects.record_failure(refused)
        return Result(job.document.key, DocumentState.FAILED, reason, version)

"""One run of one source into one collection: ask what changed, hand it on, and only then move the cursor.

A dry run goes the same way, with ingesters that only run dry, and leaves cursor and held deletes as they are.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, cast, runtime_checkable

import structlog

from syncd.errors import PermanentError, RetryableError
from syncd.model import (
    Checkpoint,
    ConfirmDeletes,
    Counts,
    Document,
    DocumentState,
    Invocation,
    Rechecking,
    Run,
    Source,
    SourceRecord,
    Total,
)
from syncd.pipeline.job import Job, Result
from syncd.runtime.mailbox import Mailbox
from syncd.store import Store
from syncd.store.documents import CollectionRecord
from syncd.store.progress import Outcome

log = structlog.get_logger()

AHEAD = 64
"""Documents handed on and not yet answered, per run: enough to fill batches, few enough to bound memory."""

SAVE_EVERY_S = 1.0


class StoppedEarlyError(RetryableError):
    """The daemon stops: what was handed on is done, the rest comes after the next start."""


@dataclass(frozen=True, slots=True)
class DeleteGuard:
    """A run that would delete more than `share` of a source's documents, and more than `minimum`, holds the deletes."""

    share: float = 0.5
    minimum: int = 20

    def holds(self, deletes: int, documents: int) -> bool:
        """Return whether so many deletes are suspicious."""
        return deletes > self.minimum and deletes > self.share * documents


@dataclass(frozen=True, slots=True)
class RunPace:
    """How fast a run moves. `eta_s` is known where the source said how many documents there are."""

    tokens_per_s: float
    eta_s: float | None
    source: Mapping[str, float] | None = None
    """What the source itself counts, where it does (a crawl: pages found, fetched, queued, …)."""


@runtime_checkable
class Reporting(Protocol):
    """A source that counts more than the documents it yields."""

    def report(self) -> Mapping[str, float]:
        """Return the counts of the run under way, for people."""
        ...


@dataclass(frozen=True, slots=True)
class KnownDocuments:
    """What the store has of one source in one collection (the `Known` protocol)."""

    store: Store
    collection_id: int
    source_id: str

    async def version(self, key: str) -> str | None:
        """Return the indexed version of `key`, or None."""
        record = await self.store.documents.get(self.collection_id, self.source_id, key)
        return record.version if record and record.state is DocumentState.INDEXED else None

    async def owner(self, prefix: str) -> str | None:
        """Return the key whose chunks have this prefix, or None."""
        return await self.store.documents.owner(self.collection_id, self.source_id, prefix)

    def keys(self) -> AsyncIterator[str]:
        """Yield every indexed key, in key order."""
        return self.store.documents.keys(self.collection_id, self.source_id)


class SourceRun:
    """The work of one invocation. `counts` grows while it goes on; `execute` may be called once."""

    def __init__(
        self,
        store: Store,
        ingesters: Mailbox[Job, Result],
        invocation: Invocation,
        record: SourceRecord,
        collection: CollectionRecord,
        guard: DeleteGuard,
        run_number: int,
        config_hash: str,
        last_chance: bool = False,
    ) -> None:
        self.number = run_number
        self.counts = Counts()
        self.failures: list[str] = []
        self.incomplete = ""
        """Why the source could not be seen whole, or ''."""
        self.again_after_s: float | None = None
        """When it may be worth another look, where it is incomplete and the source knows."""
        self._store = store
        self._ingesters = ingesters
        self._invocation = invocation
        self._record = record
        self._collection = collection
        self._guard = guard
        self._last_chance = last_chance
        self._config_hash = config_hash
        self._dry_run = invocation.request.is_dry_run
        self._replies: deque[Awaitable[Result]] = deque()
        self._unsaved: list[Result] = []
        self._seen: list[str] = []
        self._seen_dry: set[str] = set()
        """What a dry run met: noted in the store, it would change what confirmed deletes delete."""
        self._gone: list[Document] = []
        self._saved_at = time.monotonic()
        self._began_at = time.monotonic()
        self._expected = 0
        self._stopping = False
        self._rechecking: Rechecking | None = None
        self._reporting: Reporting | None = None

    async def execute(self, source: Source) -> None:
        """Run to the end. Raises RetryableError (start again from the cursor) or PermanentError (the run has failed)."""
        self._rechecking = source if isinstance(source, Rechecking) else None
        self._reporting = source if isinstance(source, Reporting) else None
        if isinstance(self._invocation.request, ConfirmDeletes):
            return await self._delete_confirmed(self._invocation.request.invocation_id)
        run = await self._describe()
        checkpoint: Checkpoint | None = None
        async with aclosing(cast("AsyncGenerator[Document | Checkpoint | Total]", source.changes(run))) as items:
            async for item in items:
                await self._stop_if_asked()
                if isinstance(item, Checkpoint):
                    checkpoint = item
                await self._take(item, run)
        if checkpoint is None:
            raise PermanentError("the source ended without a checkpoint; this is a bug of its source type")
        return None

    async def _take(self, item: Document | Checkpoint | Total, run: Run) -> None:
        match item:
            case Document(body=None):
                self._gone.append(item)
            case Document():
                await self._hand_on(item)
            case Total():
                self._expected = item.documents
            case Checkpoint():
                await self._reach(item, run)

    def pace(self) -> RunPace:
        """Return how fast it moves, averaged since it began."""
        elapsed_s = max(1e-3, time.monotonic() - self._began_at)
        counts = self.counts
        done = counts.indexed + counts.unchanged + counts.deleted + counts.skipped + counts.failed
        left = max(0, self._expected - done)
        eta_s = elapsed_s * left / done if self._expected and done else None
        return RunPace(self.counts.tokens / elapsed_s, eta_s, self._reporting.report() if self._reporting else None)

    def stop_early(self) -> None:
        """Hand on nothing more; `execute` raises StoppedEarlyError once what is in hand is done."""
        self._stopping = True

    async def _stop_if_asked(self) -> None:
        if self._stopping:
            while self._replies:
                await self._settle_one()
            await self.save()
            raise StoppedEarlyError("the daemon is stopping")

    async def _describe(self) -> Run:
        """Return what the source needs to know."""
        if not self._dry_run:
            await self._store.progress.drop_cursor(self._record.id, self._collection.id, self._config_hash)
        return Run(
            invocation=self._invocation,
            cursor=await self._store.progress.cursor(self._record.id, self._collection.id, self._config_hash),
            known=KnownDocuments(self._store, self._collection.id, self._record.id),
            keys=self._invocation.request.keys,
            config_hash=self._config_hash,
        )

    async def _hand_on(self, document: Document) -> None:
        """Give a document to the ingesters; waits for room."""
        self.counts = replace(self.counts, found=self.counts.found + 1)
        job = Job(
            document,
            self._record,
            self._collection,
            self.number,
            last_chance=self._last_chance,
            dry_run=self._dry_run,
        )
        self._replies.append(await self._ingesters.put(job, urgent=self._invocation.request.is_object_run))
        while len(self._replies) >= AHEAD:
            await self._settle_one()

    async def _settle_one(self) -> None:
        """Wait for the oldest answer and count it."""
        self._count(await self._replies.popleft())
        if time.monotonic() - self._saved_at > SAVE_EVERY_S:
            await self.save()

    def _count(self, result: Result) -> None:
        counts = self.counts
        self.counts = replace(
            counts,
            **{result.state: getattr(counts, result.state) + 1},
            chunks_written=counts.chunks_written + result.written,
            chunks_deleted=counts.chunks_deleted + result.deleted,
            chunks_embedded=counts.chunks_embedded + result.embedded,
            chunks_reused=counts.chunks_reused + result.reused,
            tokens=counts.tokens + result.tokens,
        )
        if result.state is DocumentState.FAILED:
            self.failures.append(result.reason)
        if result.state is not DocumentState.DELETED:
            self._seen.append(result.key)
        if result.state is not DocumentState.UNCHANGED:
            self._unsaved.append(result)

    async def save(self) -> None:
        """Write progress, outcomes and what was seen; nothing depends on how often."""
        outcomes = [Outcome(r.key, r.state, r.reason, r.version, r.chunks) for r in self._unsaved]
        seen, self._seen, self._unsaved = self._seen, [], []
        if outcomes:
            await self._store.progress.note(self._invocation.id, outcomes)
        if self._dry_run:
            self._seen_dry.update(seen)
        elif seen:
            await self._store.progress.mark_seen(self._collection.id, self._record.id, seen, self.number)
        await self._store.invocations.progress(self._invocation.id, self.counts)
        self._saved_at = time.monotonic()

    async def _reach(self, checkpoint: Checkpoint, run: Run) -> None:
        """Let everything before the checkpoint be done, then the deletes, then save the cursor."""
        while self._replies:
            await self._settle_one()
        await self.save()
        gone = [document.key for document in self._gone]
        self._gone.clear()
        self.incomplete = self.incomplete or checkpoint.incomplete
        self.again_after_s = checkpoint.again_after_s
        if checkpoint.absent_are_gone and not self.incomplete and run.keys is None:
            unseen = await self._store.progress.unseen(self._collection.id, self._record.id, self.number)
            gone = sorted({*gone, *unseen} - self._seen_dry)
        await self._delete(gone)
        await self.save()
        if run.keys is None and not self._dry_run:
            place = self._record.id, self._collection.id, self._config_hash
            await self._store.progress.save_cursor(*place, checkpoint.cursor)

    async def _delete(self, keys: Sequence[str], guarded: bool = True) -> None:
        """Delete these documents, unless they are suspiciously many: then keep them back and say so."""
        documents = await self._store.documents.count(self._collection.id, self._record.id)
        if guarded and self._guard.holds(len(keys), documents):
            self.counts = replace(self.counts, held_deletes=self.counts.held_deletes + len(keys))
            if self._dry_run:
                return
            await self._store.progress.hold_deletes(self._invocation.id, keys)
            log.warning("sync.deletes_held", invocation=self._invocation.id, deletes=len(keys), documents=documents)
            return
        for key in keys:
            document = Document(key, version="", body=None, chunk_prefix="")
            job = Job(
                document,
                self._record,
                self._collection,
                self.number,
                is_gone=self._recheck(key),
                dry_run=self._dry_run,
            )
            self._replies.append(await self._ingesters.put(job))
            while len(self._replies) >= AHEAD:
                await self._settle_one()
        while self._replies:
            await self._settle_one()

    def _recheck(self, key: str) -> Callable[[], Awaitable[bool]] | None:
        """Return how the source is asked again whether a document is gone, where it can be asked."""
        return partial(self._rechecking.is_gone, key, self._invocation.target.collection) if self._rechecking else None

    async def _delete_confirmed(self, invocation_id: str) -> None:
        """Do the deletes an earlier run kept back, except of documents that have come back since."""
        held = await self._store.progress.held_deletes(invocation_id)
        since = await self._store.progress.run_number(invocation_id)
        still_gone = set(await self._store.progress.unseen(self._collection.id, self._record.id, since))
        await self._delete([key for key in held if key in still_gone], guarded=False)
        await self._store.progress.release_deletes(invocation_id)
        await self.save()

"""The actor between prepared documents and the vector store: has their vectors computed, hands them on, tells who waits.

    store.prepared (durable)  →  vectors, batch by batch  →  index.apply(Promotion)  →  reply

Its queues lie in the store, so a crash repeats what was in flight and nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from syncd.errors import BugError, PermanentError, PutOffError, RetryableError
from syncd.model import DocumentState, Embedder, EmbeddingTask
from syncd.pipeline.embedding_queue import EmbeddingQueue
from syncd.pipeline.result import Result
from syncd.pipeline.tracing import UNTRACED, Tracer
from syncd.pipeline.waiters import Owner, Waiters
from syncd.runtime.containment import contained
from syncd.runtime.mailbox import Reply, StoppedError
from syncd.runtime.retry import Backoff
from syncd.runtime.wakeup import Wakeup
from syncd.store import Store
from syncd.store.changes import DocumentChange, PreparedDocument, Removal, Replacement, Staged, Urgency
from syncd.store.prepared import WantedText

log = structlog.get_logger()

WRITES = 128
"""Documents handed to the index at once, which makes full writes of them."""
SWEEP_S = 15.0
"""How often it is looked for waiters whose document has vanished with its source or collection."""

RunResult = tuple[int, Result]
"""Who waits for a document: the number of its run, and what its result is so far."""

Apply = Callable[[DocumentChange], Awaitable[Staged]]
"""Makes a change true in the store and in the vector store: see Index.apply."""


class EmbeddingStage:
    """May be run again, and then goes on with what the store holds. `embedder` returns a model by name, started."""

    name = "embedding"

    def __init__(
        self, store: Store, apply: Apply, embedder: Callable[[str], Awaitable[Embedder]], tracer: Tracer = UNTRACED
    ) -> None:
        self._store = store
        self._prepared = store.prepared
        self._apply = apply
        self._embedder = embedder
        self._tracer = tracer
        self._waiters = Waiters()
        self._queues: dict[str, EmbeddingQueue] = {}
        self._group: TaskGroup | None = None
        self._ready = Wakeup()
        self._writing: dict[int, Owner] = {}
        """Documents in the hands of the index, by the id of the prepared version."""
        self._arriving: set[Owner] = set()
        self._backoff = Backoff(cap_s=15.0)

    async def bring(
        self, change: Replacement, embedder: Embedder, urgency: Urgency, waiter: RunResult
    ) -> Reply[Result]:
        """Make a prepared document durable; return the reply that comes when the vector store has it.

        Cut off before it is durable, nothing has happened; afterwards it goes on with or without its waiter. Raises
        ConflictError when another document has its chunk ids.
        """
        owner = (change.collection_id, change.source_id, change.key)
        # Nothing of it is written before its waiter stands in line.
        self._arriving.add(owner)
        try:
            with self._tracer.of(owner, change.version, change.fingerprint).stage("commit") as notes:
                document = await self._prepared.put(change, embedder.fingerprint, urgency)
                notes |= {"chunks": document.chunks, "missing": document.wanted}
            reply = self._waiters.add(document, *waiter)
        finally:
            self._arriving.discard(owner)
            self._ready.ring()
        await self._wake(document, embedder)
        return reply

    async def join(self, document: PreparedDocument, embedder: Embedder, waiter: RunResult) -> Reply[Result]:
        """Return the reply that comes when a document that is prepared already is in the vector store."""
        reply = self._waiters.add(document, *waiter)
        await self._wake(document, embedder)
        if document.owner not in self._writing.values() and await self._prepared.get(*document.owner) is None:
            # It was written, or taken back, before anybody waited.
            self._waiters.overtaken(document.owner)
        return reply

    def overtaken(self, owner: Owner) -> None:
        """Tell who waits for a document that something newer was made true of it. Never waits."""
        self._waiters.overtaken(owner)

    async def drop(self, run_number: int) -> None:
        """Forget what a cancelled run has prepared and nobody else waits for."""
        await self._prepared.discard_ids(self._waiters.drop(run_number))

    def trouble(self) -> str | None:
        """Return why vectors are not computed now, or None."""
        troubled = (queue.trouble for queue in self._queues.values() if queue.trouble)
        return next((f"texts wait to be embedded: {trouble}" for trouble in troubled), None)

    @property
    def embedded_tokens(self) -> int:
        """How many tokens have been embedded since the start."""
        return sum(queue.tokens for queue in self._queues.values())

    def bytes_per_token(self, fingerprint: str) -> float | None:
        """Return what a token of a model takes on average, as measured since the start; None before that."""
        queue = self._queues.get(fingerprint)
        return queue.bytes / queue.tokens if queue and queue.tokens else None

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        try:
            await self._prepared.discard_orphans()
            async with anyio.create_task_group() as group:
                self._group = group
                for queue in self._queues.values():
                    group.start_soon(self._feed, queue)
                group.start_soon(self._sweep)
                task_status.started()
                await self._write_all(group)
        finally:
            self._group = None
            self._waiters.fail_all(StoppedError("the daemon stopped before the document was written"))

    async def _wake(self, document: PreparedDocument, embedder: Embedder) -> None:
        fingerprint = embedder.fingerprint
        if fingerprint not in self._queues:
            find = partial(self._embedder, embedder.model)
            self._queues[fingerprint] = EmbeddingQueue(self._prepared, find, fingerprint, self._by_task, self._tracer)
            if self._group is not None:
                self._group.start_soon(self._feed, self._queues[fingerprint])
        self._queues[fingerprint].wake()
        if not document.wanted:
            self._ready.ring()

    async def _by_task(self, texts: Sequence[WantedText]) -> Mapping[EmbeddingTask | None, Sequence[WantedText]]:
        """Group texts by the task of their collection as it is now; a collection may be purged, or another have its id."""
        embeddings = await self._store.collections.embeddings({text.collection_id for text in texts})
        grouped: defaultdict[EmbeddingTask | None, list[WantedText]] = defaultdict(list)
        for text in texts:
            if embedding := embeddings.get(text.collection_id):
                grouped[embedding.task].append(text)
        return grouped

    async def _feed(self, queue: EmbeddingQueue) -> None:
        """Run a model's queue; trouble of one is its own."""
        failures = 0
        while True:
            try:
                with contained("embedding"):
                    await queue.run(self._refuse, self._ready.ring)
            except (PermanentError, RetryableError, BugError) as error:
                failures += 1
                queue.trouble = str(error)
                log.error("embedding.stopped", reason=queue.trouble)
                await anyio.sleep(self._backoff.delay_s(failures))

    async def _refuse(self, text: WantedText, error: PermanentError) -> None:
        """Record the documents that hold a text which cannot be embedded as failed; the others go on."""
        for document in await self._prepared.wanting(text.key):
            await self._fail(document, error)

    async def _fail(self, document: PreparedDocument, error: PermanentError) -> None:
        reason = str(error)
        failed = Removal(
            *document.owner, document.version, document.fingerprint, DocumentState.FAILED, reason, document.seen
        )
        await self._store.documents.record_failure(failed)
        await self._prepared.discard_ids([document.id])
        trace = self._tracer.of(document.owner, document.version, document.fingerprint)
        trace.end(DocumentState.FAILED, reason, {}, document.prepared_at)
        self._waiters.refused(document, reason, is_put_off=isinstance(error, PutOffError))

    async def _write_all(self, group: TaskGroup) -> None:
        """Hand on what misses no vector, as it comes."""
        room = anyio.Semaphore(WRITES)
        while True:
            found = await self._prepared.ready(WRITES, frozenset(self._writing))
            ready = [document for document in found if document.owner not in self._arriving]
            for document in ready:
                await room.acquire()
                self._writing[document.id] = document.owner
                group.start_soon(self._write, document, room)
            if not ready:
                await self._ready.wait()

    async def _write(self, document: PreparedDocument, room: anyio.Semaphore) -> None:
        trace = self._tracer.of(document.owner, document.version, document.fingerprint)
        try:
            with (
                contained("document", document=document.key, source=document.source_id),
                trace.stage("write") as notes,
            ):
                staged = await self._apply(document.promotion)
                notes |= {"written": staged.written, "deleted": staged.deleted}
            if staged.overtaken:
                return
            trace.end(DocumentState.INDEXED, "", {"chunks": document.chunks}, document.prepared_at)
            self._waiters.written(document, staged)
        except PermanentError as error:
            await self._fail(document, error)
        except (RetryableError, BugError) as error:
            self._waiters.failed(document, error)
            # Where it could not even be staged it is due again, but not at once.
            await anyio.sleep(self._backoff.delay_s(1))
        finally:
            self._writing.pop(document.id, None)
            room.release()
            self._ready.ring()

    async def _sweep(self) -> None:
        while True:
            await anyio.sleep(SWEEP_S)
            for owner in self._waiters.owners():
                known = await self._prepared.get(*owner)
                if known is None and owner not in self._writing.values():
                    self._waiters.vanished(owner, RetryableError(f"{owner[2]}: what was prepared of it is gone"))

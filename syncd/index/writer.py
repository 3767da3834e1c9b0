"""The vector store as a projection of SQLite: one writer that gathers changes into full batches and writes only what differs.

    stage in SQLite (document, chunks, intent)  →  tell the vector store  →  clear the intent  →  reply

Killed after any arrow, the outbox still has every id whose state in the vector store is uncertain; the next start writes them again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio
import anyio.lowlevel
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import (
    BugError,
    CollectionCorrupt,
    NotFoundError,
    PermanentError,
    RetryableError,
    SyncdError,
)
from syncd.index.changes import (
    WRITE_SIZE,
    Change,
    CheckCollection,
    Errand,
    Flush,
    MendCollection,
    Rebuild,
    shape_of,
    weight,
)
from syncd.index.delivery import Delivery
from syncd.index.foreign_rows import ForeignRows
from syncd.index.outage import outlasting
from syncd.index.places import PlaceChanges
from syncd.index.postponed import Asked, PostponedWrites
from syncd.index.refill import Refill
from syncd.index.target import VectorStore
from syncd.index.turns import Turns
from syncd.index.write_probe import opened_collection
from syncd.model import Embedding, QueryFunction, Target
from syncd.runtime.containment import contained
from syncd.runtime.mailbox import Envelope, Mailbox, settling
from syncd.store import Store
from syncd.store.changes import DocumentChange, Promotion, Staged
from syncd.store.collections import CollectionRecord

log = structlog.get_logger()

GATHER_S = 0.2
"""Least time from the start of one batch to the next: changes that arrive meanwhile share a transaction and a write, which
cost the same for one row as for fifty. A change after a pause does not wait."""
TELL_S = 0.1
"""How long a reader that found damage waits for room in the mailbox; the next one tells it again."""


class Index:
    """The actor that owns all writes to the vector store. `queries` returns the embedding function to record in a collection, or
    None; `to_go_on` waits until there is room on disk to write.

    A collection that was replaced is filled from SQLite, concurrently with other work. One that cannot be written is
    held: its changes wait in SQLite and are retried, while other collections continue.
    """

    name = "index"

    def __init__(
        self,
        store: Store,
        vector_store: VectorStore,
        queries: Callable[[CollectionRecord], QueryFunction | None],
        capacity: int = 128,
        gather_s: float = GATHER_S,
        to_go_on: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint,
    ) -> None:
        self._store = store
        self._vector_store = vector_store
        self._queries = queries
        self._gather_s = gather_s
        self._to_go_on = to_go_on
        self._opening = anyio.Lock()
        self._refill = Refill(store, vector_store, lambda record: shape_of(record, queries(record)))
        self._held = PostponedWrites()
        self._delivery = Delivery(store, vector_store, self._held, self._refill)
        self.turn = anyio.Lock()
        """Held while a batch is written: its holder sees SQLite and the vector store agree, except for the outbox."""
        self.foreign = ForeignRows(store, vector_store, self.turn)
        self._places = PlaceChanges(store, vector_store, queries, self._delivery.records, self._opening, self.foreign)
        self._turns = Turns(store, self._held, self._refill, self._delivery, self._places)
        self._told: set[int] = set()
        self.mailbox: Mailbox[Change, Staged] = Mailbox("index", capacity)

    async def open(self, target: Target, embedding: Embedding) -> CollectionRecord:
        """Create the collection if needed, with cosine space, and return its record. Twice is safe.

        One that was deleted, renamed or recreated in the vector store is first filled from SQLite; waits for that, and while
        the vector store is away. Raises ConflictError if it holds other embeddings, NotFoundError if its database does not
        exist, RetryableError while it cannot be written.
        """
        return await outlasting(self._vector_store, lambda: self._open(target, embedding), target.collection)

    async def _open(self, target: Target, embedding: Embedding) -> CollectionRecord:
        async with self._opening:
            record = await self._store.collections.open(target, embedding)
            self._delivery.records[record.id] = record
            chroma_id = await opened_collection(self._vector_store, record, shape_of(record, self._queries(record)))
            if record.chroma_id is None and record.rebuilding is None:
                await self._store.collections.set_chroma_id(record.id, chroma_id)
                return record
        if record.chroma_id != chroma_id or record.rebuilding is not None:
            await self.look(record.id)
        self._held.check(record.id)
        return record

    async def preview_collection(self, target: Target, embedding: Embedding) -> CollectionRecord:
        """Return the record that `open` would, without creating anything. Raises ConflictError, NotFoundError as `open` does."""
        if not await self._vector_store.database_exists(target.database):
            raise NotFoundError(f"database {target.database!r} does not exist in the vector store; create it first")
        return await self._store.collections.preview(target, embedding)

    async def apply(self, change: DocumentChange) -> Staged:
        """Make `change` true in the store and in Chroma; it is when this returns. Waits while Chroma is away.

        Raises PermanentError if the change is refused (nothing happened), RetryableError if the collection takes no
        writes for long: SQLite then has the change, and the vector store gets it as soon as it takes writes again.
        """
        return await self.mailbox.ask(change, urgent=isinstance(change, Promotion) and change.urgent)

    async def flush(self, collection_id: int, chunk_ids: Sequence[str]) -> None:
        """Write to the vector store what the outbox has about these ids. Waits for the vector store; twice is safe."""
        await self.mailbox.ask(Flush(collection_id, chunk_ids))

    async def look(self, collection_id: int) -> None:
        """Check that the vector store has the whole collection; refill it from SQLite if not. Waits for that.

        Raises RetryableError if the refill makes no progress; it is continued in the background.
        """
        await self.mailbox.ask(CheckCollection(collection_id))

    async def rebuild(self, target: Target) -> int:
        """Recreate a collection from SQLite, without fetching or embedding; return the number of chunks. Waits for it.

        Raises NotFoundError if syncd never wrote that collection, RetryableError as `look` does.
        """
        return (await self.mailbox.ask(Rebuild(target))).written

    async def damaged(self, record: CollectionRecord, error: SyncdError) -> None:
        """Have a collection in which a reader met `error` checked or, if it is corrupt, rebuilt. Waits a moment at most; twice is safe."""
        if record.id in self._told:
            return
        self._told.add(record.id)
        corrupt = isinstance(error, CollectionCorrupt)
        message = MendCollection(record.id, str(error)) if corrupt else CheckCollection(record.id)
        with anyio.move_on_after(TELL_S) as limit:
            reply = await self.mailbox.put(message, urgent=True)
            reply.when_settled(lambda: self._told.discard(record.id))
        if limit.cancelled_caught:
            self._told.discard(record.id)

    def status(self) -> str | None:
        """Return which collection cannot be written, or lacks what it lost, and why; None if all is well."""
        return self._held.reason() or self._delivery.flush.waiting or self._refill.reason()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Recover, then serve the mailbox until cancelled."""
        try:
            await self._recover()
            task_status.started()
            begun_at = -self._gather_s
            while True:
                await anyio.sleep(max(0.0, begun_at + self._gather_s - anyio.current_time()))
                envelopes: list[Envelope[Change, Staged]] = []
                with anyio.move_on_after(self._held.pause_s()):
                    envelopes = await self.mailbox.take_many(WRITE_SIZE, weight=weight)
                begun_at = anyio.current_time()
                await self._to_go_on()
                async with self.turn:
                    await self._serve_all(envelopes)
                    await self._turns.take(begun_at + GATHER_S)
        finally:
            self._held.drop()

    async def _serve_all(self, envelopes: Sequence[Envelope[Change, Staged]]) -> None:
        with settling(envelopes, self._held.envelopes):
            await self._serve([e for e in envelopes if isinstance(e.message, DocumentChange)])
            for envelope in envelopes:
                if isinstance(envelope.message, Errand):
                    await self._turns.begin(envelope)
                elif isinstance(envelope.message, Flush):
                    staged = Staged(envelope.message.collection_id, chunk_ids=envelope.message.chunk_ids)
                    await self._serve_group([(envelope, staged)])

    async def _serve(self, envelopes: Sequence[Envelope[Change, Staged]]) -> None:
        changes = [envelope.message for envelope in envelopes if isinstance(envelope.message, DocumentChange)]
        if not changes:
            return
        try:
            with contained("batch", changes=len(changes)):
                staged = await self._store.documents.stage(changes)
        except BugError as error:
            if len(envelopes) == 1:
                envelopes[0].reply.fail(error)
            else:
                for envelope in envelopes:
                    await self._serve([envelope])
            return
        except RetryableError as error:
            for envelope in envelopes:
                envelope.reply.fail(error)
            return
        accepted = [(envelope, done) for envelope, done in zip(envelopes, staged, strict=True) if done.error is None]
        for envelope, done in zip(envelopes, staged, strict=True):
            if done.error is not None:
                envelope.reply.fail(done.error)
        for collection_id in {done.collection_id for _, done in accepted}:
            await self._serve_group([one for one in accepted if one[1].collection_id == collection_id])

    async def _serve_group(self, group: Sequence[Asked]) -> None:
        """Write one collection's changes to the vector store; a collection that was replaced is filled first, and of one that
        was dropped meanwhile there is nothing to write.
        """
        collection_id = group[0][1].collection_id
        if collection_id not in self._delivery.records:
            for envelope, done in group:
                envelope.reply.settle(done)
            return
        waits = collection_id not in self._held and await self._needs_filling(collection_id)
        if waits or self._held.is_put_off(collection_id):
            self._held.add(collection_id, group)
        else:
            await self._delivery.deliver(group)

    async def _needs_filling(self, collection_id: int) -> bool:
        try:
            return await self._refill.needed(await self._store.collections.by_id(collection_id))
        except (RetryableError, PermanentError):
            return False  # The write will raise the reason.

    async def _recover(self) -> None:
        """Finish what a crash interrupted: changes of places and every id left in the outbox. Refills continue in their turns."""
        await self._places.resume()
        records = await self._store.collections.all()
        self._delivery.records.update({record.id: record for record in records})
        left = await self._store.outbox.left_behind()
        for record in records:
            chunk_ids = [chunk_id for owner, chunk_id in left if owner == record.id]
            if chunk_ids:
                log.info("index.recovering", collection=record.target.collection, chunks=len(chunk_ids))
            if record.rebuilding is not None or (chunk_ids and await self._needs_filling(record.id)):
                self._held.add(record.id, [])
            else:
                await self._delivery.deliver_left(record.id, chunk_ids)

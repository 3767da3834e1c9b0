"""Chroma as a projection of the store: one writer that gathers changes into full batches and writes only what differs.

    stage in SQLite (document, chunks, intent)  →  tell Chroma  →  clear the intent  →  reply

Killed after any arrow, the outbox still names every id whose state in Chroma is unsure; `recover` tells them again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.chroma.client import Chroma, CollectionCorrupt
from syncd.chroma.shape import Queries
from syncd.errors import BugError, NotFoundError, PermanentError, RetryableError
from syncd.model import Embedding, Scalar, Target
from syncd.pipeline.telling import Change, Rebuild, Tell, rows, shape_of, weight
from syncd.runtime.containment import contained
from syncd.runtime.mailbox import Envelope, Mailbox, settling
from syncd.runtime.retry import Backoff
from syncd.store import Store
from syncd.store.documents import CollectionRecord
from syncd.store.outbox import Waiting
from syncd.store.staging import Removal, Replacement, Staged

log = structlog.get_logger()

WRITE_SIZE = 300
"""Rows per write: Chroma Cloud's limit, and within the 100-300 that a local server takes fastest."""
GATHER_S = 0.2
"""Least time from the start of one batch to the next: what comes meanwhile shares a transaction and a write, which cost
the same for one row as for fifty. A change after a pause does not wait."""


class Index:
    """The actor that owns all writes to Chroma. `queries` gives the embedding function a collection is to record, or None."""

    name = "index"

    def __init__(
        self, store: Store, chroma: Chroma, queries: Callable[[CollectionRecord], Queries | None], capacity: int = 128
    ) -> None:
        self._store = store
        self._chroma = chroma
        self._queries = queries
        self._opening = anyio.Lock()
        self._records: dict[int, CollectionRecord] = {}
        self.mailbox: Mailbox[Change, Staged] = Mailbox("index", capacity)
        self.turn = anyio.Lock()
        """Held while a batch is made true: whoever holds it sees the store and Chroma agree, but for the outbox."""

    async def open(self, target: Target, embedding: Embedding) -> CollectionRecord:
        """Make sure the collection exists, with cosine space, and return its record. Twice is safe.

        One that somebody deleted or recreated in Chroma is forgotten here, so that the next run fills it from the cache.
        Raises ConflictError when it holds other embeddings, NotFoundError when its database does not exist.
        """
        async with self._opening:
            record = await self._store.documents.collection(target, embedding)
            chroma_id = await self._chroma.open_collection(target, shape_of(record, self._queries(record)))
            if record.chroma_id not in (None, chroma_id) and record.rebuilding is None:
                log.warning("index.collection_replaced", collection=target.collection)
                await self._store.documents.forget(record.id)
            if record.chroma_id != chroma_id:
                await self._store.documents.set_chroma_id(record.id, chroma_id)
            self._records[record.id] = record
            return record

    async def imagine(self, target: Target, embedding: Embedding) -> CollectionRecord:
        """Return the record that `open` would, and create nothing. Raises ConflictError, NotFoundError as `open` does."""
        if not await self._chroma.database_exists(target.database):
            raise NotFoundError(f"database {target.database!r} does not exist in Chroma; create it first")
        chroma_id = await self._chroma.collection_id(target)
        return await self._store.documents.imagined(target, embedding, chroma_id)

    async def apply(self, change: Replacement | Removal) -> Staged:
        """Make `change` true in the store and in Chroma; it is when this returns. Waits while Chroma is away.

        Raises PermanentError when the change is refused (nothing happened), RetryableError when the collection vanished.
        """
        return await self.mailbox.ask(change)

    async def tell(self, collection_id: int, chunk_ids: Sequence[str]) -> None:
        """Make Chroma agree about ids that somebody else put into the outbox. Waits while Chroma is away; twice is safe."""
        await self.mailbox.ask(Tell(collection_id, chunk_ids))

    async def rebuild(self, target: Target) -> int:
        """Recreate a collection from the store, without fetching or embedding anything; return its chunks. Waits for it.

        Raises NotFoundError when syncd never wrote that collection.
        """
        return (await self.mailbox.ask(Rebuild(target))).written

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Recover, then serve the mailbox for ever."""
        await self._recover()
        task_status.started()
        begun_at = -GATHER_S
        while True:
            await anyio.sleep(max(0.0, begun_at + GATHER_S - anyio.current_time()))
            envelopes = await self.mailbox.take_many(WRITE_SIZE, weight=weight)
            begun_at = anyio.current_time()
            async with self.turn:
                await self._serve_all(envelopes)

    async def _serve_all(self, envelopes: Sequence[Envelope[Change, Staged]]) -> None:
        with settling(envelopes):
            await self._serve([e for e in envelopes if not isinstance(e.message, Rebuild | Tell)])
            for envelope in envelopes:
                if isinstance(envelope.message, Rebuild):
                    await self._serve_rebuild(envelope)
                elif isinstance(envelope.message, Tell):
                    staged = Staged(envelope.message.collection_id, chunk_ids=envelope.message.chunk_ids)
                    await self._project([(envelope, staged)])

    async def _serve(self, envelopes: Sequence[Envelope[Change, Staged]]) -> None:
        changes = [envelope.message for envelope in envelopes if not isinstance(envelope.message, Rebuild | Tell)]
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
            await self._project(
                [(envelope, done) for envelope, done in accepted if done.collection_id == collection_id]
            )

    async def _project(self, group: Sequence[tuple[Envelope[Change, Staged], Staged]]) -> None:
        """Tell Chroma what one collection's changes mean and reply to each; a refused batch is tried one by one."""
        collection_id = group[0][1].collection_id
        try:
            await self._tell(collection_id, [chunk_id for _, done in group for chunk_id in done.chunk_ids])
        except NotFoundError as error:
            for envelope, _ in group:
                envelope.reply.fail(
                    RetryableError(f"the collection vanished while it was written ({error}); the run starts over")
                )
        except CollectionCorrupt as error:
            await self._mend(group, error)
        except PermanentError as error:
            if len(group) > 1:
                for one in group:
                    await self._project([one])
            else:
                await self._withdraw(group[0][0], error)
        else:
            for envelope, done in group:
                envelope.reply.settle(done)

    async def _mend(self, group: Sequence[tuple[Envelope[Change, Staged], Staged]], error: CollectionCorrupt) -> None:
        """Fill a collection anew whose index files Chroma cannot read any more; the store has everything that is in it."""
        target = self._records[group[0][1].collection_id].target
        log.error("index.corrupt", collection=target.collection, reason=str(error))
        record = await self._store.documents.find(target)
        assert record is not None
        try:
            await self._fill_anew(record)
        except (PermanentError, RetryableError) as failure:
            for envelope, _ in group:
                envelope.reply.fail(failure)
        else:
            for envelope, done in group:
                envelope.reply.settle(done)

    async def _withdraw(self, envelope: Envelope[Change, Staged], error: PermanentError) -> None:
        """Take back a document that Chroma refuses, so that it does not stand in everybody's way."""
        change = envelope.message
        if not isinstance(change, Replacement | Removal):
            envelope.reply.fail(error)
            return
        removal = Removal(
            change.collection_id, change.source_id, change.key, change.version, change.fingerprint, "failed", str(error)
        )
        (done,) = await self._store.documents.stage([removal])
        await self._tell(change.collection_id, done.chunk_ids)
        envelope.reply.fail(error)

    async def _tell(self, collection_id: int, chunk_ids: Sequence[str]) -> None:
        """Make Chroma agree with the store about these ids and clear them from the outbox; waits while Chroma is away."""
        record = self._records[collection_id]
        for start in range(0, len(chunk_ids), WRITE_SIZE):
            some = chunk_ids[start : start + WRITE_SIZE]
            waiting = await self._store.outbox.waiting(collection_id, some)
            await self._write(record, waiting)
            await self._store.outbox.clear(collection_id, some)

    async def _write(self, record: CollectionRecord, waiting: Sequence[Waiting]) -> None:
        deletes = [entry.chunk_id for entry in waiting if entry.op in ("delete", "replace")]
        adds = [entry.row for entry in waiting if entry.row and entry.op in ("add", "replace")]
        updates = [entry.row for entry in waiting if entry.row and entry.op == "update"]
        backoff, failures = Backoff(cap_s=15.0), 0
        while True:
            try:
                return await self._chroma.write(record.target, deletes, rows(record, adds), rows(record, updates))
            except RetryableError as error:
                log.warning("index.waiting", collection=record.target.collection, reason=str(error))
                # The write may have been applied in part: what is to be added is replaced from now on.
                deletes = [entry.chunk_id for entry in waiting if entry.op != "update"]
                failures += 1
                await anyio.sleep(backoff.delay_s(failures))
                await self._chroma.available()

    async def _recover(self) -> None:
        """Finish what a crash cut off: half-filled collections first, then every id left in the outbox."""
        records = await self._store.documents.collections()
        self._records.update({record.id: record for record in records})
        for record in records:
            if record.rebuilding is not None:
                await self._fill_anew(record)
        left = await self._store.outbox.left_behind()
        for record in records:
            if chunk_ids := [chunk_id for owner, chunk_id in left if owner == record.id]:
                log.info("index.recovering", collection=record.target.collection, chunks=len(chunk_ids))
                await self._recover_collection(record, chunk_ids)

    async def _recover_collection(self, record: CollectionRecord, chunk_ids: Sequence[str]) -> None:
        try:
            await self._tell(record.id, chunk_ids)
        except NotFoundError:
            log.warning("index.collection_replaced", collection=record.target.collection)
            await self._store.documents.forget(record.id)
        except CollectionCorrupt:
            await self._fill_anew(record)
        except PermanentError as error:
            # The entries stay in the outbox; they must not keep the daemon from starting.
            log.error("index.recovery_refused", collection=record.target.collection, reason=str(error))

    async def _serve_rebuild(self, envelope: Envelope[Change, Staged]) -> None:
        assert isinstance(envelope.message, Rebuild)
        record = await self._store.documents.find(envelope.message.target)
        if record is None:
            envelope.reply.fail(NotFoundError(f"syncd never wrote a collection {envelope.message.target.collection!r}"))
            return
        try:
            written = await self._fill_anew(record)
        except (PermanentError, RetryableError) as error:
            envelope.reply.fail(error)
        else:
            envelope.reply.settle(Staged(record.id, written=written))

    async def _begin_rebuild(self, record: CollectionRecord) -> dict[str, Scalar]:
        """Return the collection's own metadata, safe in the store before the collection is deleted."""
        if record.rebuilding is not None:
            return json.loads(record.rebuilding)
        try:
            metadata = dict(await self._chroma.metadata(record.target))
        except NotFoundError:
            metadata = {}
        await self._store.documents.begin_rebuild(record.id, json.dumps(metadata))
        return metadata

    async def _fill_anew(self, record: CollectionRecord) -> int:
        """Delete the collection in Chroma and write every chunk again; cut off anywhere, it starts over. Returns chunks."""
        await self._chroma.available()
        metadata = await self._begin_rebuild(record)
        await self._chroma.delete_collection(record.target)
        chroma_id = await self._chroma.open_collection(record.target, shape_of(record, self._queries(record)))
        self._records[record.id] = record
        written = 0
        async for page in self._store.outbox.rows(record.id, WRITE_SIZE):
            entries = [Waiting(row.id, "add", row) for row in page]
            await self._write(record, entries)
            written += len(page)
        if metadata:
            await self._chroma.set_metadata(record.target, metadata)
        await self._store.documents.end_rebuild(record.id, chroma_id)
        log.info("index.rebuilt", collection=record.target.collection, chunks=written)
        return written

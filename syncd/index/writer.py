"""Chroma as a projection of the store: one writer that gathers changes into full batches and writes only what differs.

    stage in SQLite (document, chunks, intent)  →  tell Chroma  →  clear the intent  →  reply

Killed after any arrow, the outbox still names every id whose state in Chroma is unsure; `recover` tells them again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import (
    BugError,
    CollectionCorrupt,
    NotFoundError,
    PermanentError,
    RetryableError,
    TargetRefusedError,
)
from syncd.index.changes import WRITE_SIZE, Change, CheckCollection, Flush, OutboxLeft, Rebuild, rows, shape_of, weight
from syncd.index.postponed import Asked, PostponedWrites
from syncd.index.refill import Refill
from syncd.index.target import VectorStore
from syncd.index.write_probe import accepts_writes
from syncd.model import DocumentState, Embedding, QueryFunction, Target
from syncd.runtime.containment import contained
from syncd.runtime.mailbox import Envelope, Mailbox, Reply, settling
from syncd.runtime.retry import Backoff
from syncd.store import Store
from syncd.store.documents import CollectionRecord
from syncd.store.outbox import Waiting
from syncd.store.staging import Removal, Replacement, Staged

log = structlog.get_logger()

GATHER_S = 0.2
"""Least time from the start of one batch to the next: what comes meanwhile shares a transaction and a write, which cost
the same for one row as for fifty. A change after a pause does not wait."""
BELIEVED_AFTER = 3
"""Refusals of one document, each while the collection takes other writes, until it is the document that is wrong."""


class Index:
    """The actor that owns all writes to Chroma. `queries` gives the embedding function a collection is to record, or None.

    A collection that is not the one known is filled from the store, beside everything else. One that cannot be written
    is held: what is for it waits, in the store, and is tried again; the others go on.
    """

    name = "index"

    def __init__(
        self,
        store: Store,
        vector_store: VectorStore,
        queries: Callable[[CollectionRecord], QueryFunction | None],
        capacity: int = 128,
        gather_s: float = GATHER_S,
    ) -> None:
        self._store = store
        self._vector_store = vector_store
        self._queries = queries
        self._gather_s = gather_s
        self._opening = anyio.Lock()
        self._records: dict[int, CollectionRecord] = {}
        self._refill = Refill(store, vector_store, lambda record: shape_of(record, queries(record)))
        self._held = PostponedWrites()
        self.mailbox: Mailbox[Change, Staged] = Mailbox("index", capacity)
        self.turn = anyio.Lock()
        """Held while a batch is made true: whoever holds it sees the store and Chroma agree, but for the outbox."""

    async def open(self, target: Target, embedding: Embedding) -> CollectionRecord:
        """Make sure the collection exists, with cosine space, and return its record. Twice is safe.

        One that somebody deleted, renamed or recreated in Chroma is filled from the store first; waits for that. Raises
        ConflictError when it holds other embeddings, NotFoundError when its database does not exist, RetryableError while
        it cannot be written.
        """
        async with self._opening:
            record = await self._store.documents.collection(target, embedding)
            self._records[record.id] = record
            chroma_id = await self._opened(record)
            if record.chroma_id is None and record.rebuilding is None:
                await self._store.documents.set_chroma_id(record.id, chroma_id)
                return record
        if record.chroma_id != chroma_id or record.rebuilding is not None:
            await self.look(record.id)
        self._held.check(record.id)
        return record

    async def _opened(self, record: CollectionRecord) -> str:
        """Open the collection. That it is refused is believed of a new one, by a server that answers other questions."""
        try:
            return await self._vector_store.open_collection(record.target, shape_of(record, self._queries(record)))
        except TargetRefusedError as error:
            try:
                await self._vector_store.database_exists(record.target.database)
            except TargetRefusedError:
                raise RetryableError(f"Chroma refuses everything ({error})") from error
            if record.chroma_id is not None:
                raise RetryableError(f"collection {record.target.collection} cannot be opened ({error})") from error
            raise

    async def preview_collection(self, target: Target, embedding: Embedding) -> CollectionRecord:
        """Return the record that `open` would, and create nothing. Raises ConflictError, NotFoundError as `open` does."""
        if not await self._vector_store.database_exists(target.database):
            raise NotFoundError(f"database {target.database!r} does not exist in Chroma; create it first")
        return await self._store.documents.preview_collection(target, embedding)

    async def apply(self, change: Replacement | Removal) -> Staged:
        """Make `change` true in the store and in Chroma; it is when this returns. Waits while Chroma is away.

        Raises PermanentError when the change is refused (nothing happened), RetryableError when the collection takes no
        writes for long: the store has the change by then, and Chroma gets it as soon as it takes writes again.
        """
        return await self.mailbox.ask(change)

    async def flush(self, collection_id: int, chunk_ids: Sequence[str]) -> None:
        """Make Chroma agree about ids that somebody else put into the outbox. Waits while Chroma is away; twice is safe."""
        await self.mailbox.ask(Flush(collection_id, chunk_ids))

    async def look(self, collection_id: int) -> None:
        """Make sure that Chroma has the collection that was written, whole: filled from the store where not. Waits for it.

        Raises RetryableError when that does not get on; it is gone on with all the same.
        """
        await self.mailbox.ask(CheckCollection(collection_id))

    async def rebuild(self, target: Target) -> int:
        """Recreate a collection from the store, without fetching or embedding anything; return its chunks. Waits for it.

        Raises NotFoundError when syncd never wrote that collection, RetryableError as `look` does.
        """
        return (await self.mailbox.ask(Rebuild(target))).written

    def status(self) -> str | None:
        """Return why a collection cannot be written, or None."""
        return self._held.reason()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Recover, then serve the mailbox for ever."""
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
                async with self.turn:
                    await self._serve_all(envelopes)
                    await self._resume(begun_at + GATHER_S)
        finally:
            self._held.drop()

    async def _serve_all(self, envelopes: Sequence[Envelope[Change, Staged]]) -> None:
        with settling(envelopes, self._held.envelopes):
            await self._serve([e for e in envelopes if isinstance(e.message, Replacement | Removal)])
            for envelope in envelopes:
                if isinstance(envelope.message, Rebuild | CheckCollection):
                    await self._serve_asked(envelope)
                elif isinstance(envelope.message, Flush):
                    staged = Staged(envelope.message.collection_id, chunk_ids=envelope.message.chunk_ids)
                    await self._serve_group([(envelope, staged)])

    async def _serve(self, envelopes: Sequence[Envelope[Change, Staged]]) -> None:
        changes = [envelope.message for envelope in envelopes if isinstance(envelope.message, Replacement | Removal)]
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
        """Tell Chroma of one collection's changes; a collection that is not the one known is filled first."""
        collection_id = group[0][1].collection_id
        waits = collection_id not in self._held and await self._needs_filling(collection_id)
        if waits or self._held.is_put_off(collection_id):
            self._held.add(collection_id, group)
        else:
            await self._project(group)

    async def _needs_filling(self, collection_id: int) -> bool:
        try:
            return await self._refill.needed(await self._store.documents.by_id(collection_id))
        except (RetryableError, PermanentError):
            return False  # The write finds out why.

    async def _serve_asked(self, envelope: Envelope[Change, Staged]) -> None:
        """Begin what a Look or a Rebuild asks for; `_resume` does it."""
        message = envelope.message
        if isinstance(message, Rebuild):
            record = await self._store.documents.find(message.target)
            if record is None:
                reason = f"syncd never wrote a collection {message.target.collection!r}"
                envelope.reply.fail(NotFoundError(reason))
                return
            self._records.setdefault(record.id, record)
            try:
                await self._refill.begin_anew(record)
            except (PermanentError, RetryableError) as error:
                envelope.reply.fail(error)
                return
            self._held.add(record.id, [(envelope, Staged(record.id))])
        elif isinstance(message, CheckCollection):
            self._held.add(message.collection_id, [(envelope, Staged(message.collection_id))])

    async def _project(self, group: Sequence[Asked], refusals: int = 0) -> None:
        """Tell Chroma what one collection's changes mean and reply to each; a refused batch is tried one by one."""
        collection_id = group[0][1].collection_id
        try:
            await self._flush(collection_id, [chunk_id for _, done in group for chunk_id in done.chunk_ids])
        except CollectionCorrupt as error:
            await self._mend(group, error)
        except (NotFoundError, RetryableError) as error:
            self._hold(group, str(error))
        except PermanentError as error:
            await self._refused(group, error, refusals)
        else:
            for envelope, done in group:
                envelope.reply.settle(done)

    def _hold(self, group: Sequence[Asked], reason: str) -> None:
        collection_id = group[0][1].collection_id
        log.warning("index.held", collection=self._records[collection_id].target.collection, reason=reason)
        self._held.add(collection_id, group, reason)

    async def _mend(self, group: Sequence[Asked], error: CollectionCorrupt) -> None:
        """Let a collection be filled anew whose index files Chroma cannot read any more; the store has all that is in it."""
        record = await self._store.documents.by_id(group[0][1].collection_id)
        log.error("index.corrupt", collection=record.target.collection, reason=str(error))
        try:
            await self._refill.begin_anew(record)
        except (PermanentError, RetryableError) as failure:
            log.warning("index.waiting", collection=record.target.collection, reason=str(failure))
        self._hold(group, str(error))

    async def _refused(self, group: Sequence[Asked], error: PermanentError, refusals: int) -> None:
        """Find out which document is refused; where everything is, no document is to blame, and all of them wait."""
        collection_id = group[0][1].collection_id
        record = self._records[collection_id]
        by_server = isinstance(error, TargetRefusedError)
        if by_server and not await accepts_writes(self._store, self._vector_store, record):
            self._hold(group, f"Chroma refuses every write into collection {record.target.collection} ({error})")
        elif len(group) > 1:
            for number, one in enumerate(group):
                if self._held.is_put_off(collection_id):
                    self._held.add(collection_id, group[number:])
                    return
                await self._project([one], refusals + 1)
        elif by_server and refusals + 1 < BELIEVED_AFTER:
            await self._project(group, refusals + 1)
        else:
            await self._withdraw(group[0][0], error)

    async def _withdraw(self, envelope: Envelope[Change, Staged], error: PermanentError) -> None:
        """Take back a document that Chroma refuses, so that it does not stand in everybody's way."""
        change = envelope.message
        if isinstance(change, Replacement | Removal):
            removal = Removal(
                change.collection_id,
                change.source_id,
                change.key,
                change.version,
                change.fingerprint,
                DocumentState.FAILED,
                str(error),
            )
            (done,) = await self._store.documents.stage([removal])
            await self._project([(Envelope(OutboxLeft(done.collection_id), Reply(), False), done)])
        else:
            # Its entries stay in the outbox: the next start tries again.
            log.error("index.row_refused", reason=str(error))
        envelope.reply.fail(error)

    async def _flush(self, collection_id: int, chunk_ids: Sequence[str]) -> None:
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
                return await self._vector_store.write(record.target, deletes, rows(record, adds), rows(record, updates))
            except RetryableError as error:
                log.warning("index.waiting", collection=record.target.collection, reason=str(error))
                # The write may have been applied in part: what is to be added is replaced from now on.
                deletes = [entry.chunk_id for entry in waiting if entry.op != "update"]
                failures += 1
                await anyio.sleep(backoff.delay_s(failures))
                await self._vector_store.available()

    async def _recover(self) -> None:
        """Finish what a crash cut off: every id left in the outbox. Collections that were being filled go on by and by."""
        records = await self._store.documents.collections()
        self._records.update({record.id: record for record in records})
        left = await self._store.outbox.left_behind()
        for record in records:
            chunk_ids = [chunk_id for owner, chunk_id in left if owner == record.id]
            if chunk_ids:
                log.info("index.recovering", collection=record.target.collection, chunks=len(chunk_ids))
            if record.rebuilding is not None:
                self._held.add(record.id, [])
            else:
                await self._tell_left(record.id, chunk_ids)

    async def _tell_left(self, collection_id: int, chunk_ids: Sequence[str]) -> None:
        """Tell Chroma what is in the outbox and nobody waits for, until it cannot be told."""
        for start in range(0, len(chunk_ids), WRITE_SIZE):
            if self._held.is_put_off(collection_id):
                return
            await self._project(
                [
                    (Envelope(OutboxLeft(collection_id), Reply(), False), Staged(collection_id, chunk_ids=[chunk_id]))
                    for chunk_id in chunk_ids[start : start + WRITE_SIZE]
                ]
            )

    async def _resume(self, until: float) -> None:
        """Go on with every held collection whose turn it is; filling takes until about that time."""
        for collection_id in self._held.due():
            await self._resume_one(collection_id, until)

    async def _resume_one(self, collection_id: int, until: float) -> None:
        group = self._held.begin(collection_id)
        try:
            record = await self._store.documents.by_id(collection_id)
            if await self._refill.needed(record, at_once=True):
                record = await self._store.documents.by_id(collection_id)
                if not await self._refill.go_on(record, until):
                    await self._go_between(collection_id, group)
                    return
        except (RetryableError, PermanentError) as error:
            self._held.add(collection_id, group, str(error))
            log.warning("index.held", collection=self._records[collection_id].target.collection, reason=str(error))
            return
        await self._write_group(collection_id, group)
        self._held.over(collection_id)

    async def _go_between(self, collection_id: int, group: Sequence[Asked]) -> None:
        """Tell what has changed while the collection is being filled: what a page brings later is found to be there."""
        changes, askers = parted(group)
        self._held.advanced(collection_id, askers)
        if changes:
            await self._project(changes)

    async def _write_group(self, collection_id: int, group: Sequence[Asked]) -> None:
        """Tell a collection that is whole but for the outbox what is in there, and reply to whoever waits for it."""
        changes, askers = parted(group)
        if changes:
            await self._project(changes)
        await self._tell_left(collection_id, await self._store.outbox.ids(collection_id))
        if self._held.is_put_off(collection_id):
            self._held.add(collection_id, askers)
            return
        for envelope, done in askers:
            rebuilt = isinstance(envelope.message, Rebuild)
            written = await self._store.outbox.chunk_count(collection_id) if rebuilt else 0
            envelope.reply.settle(replace(done, written=written))


def parted(group: Sequence[Asked]) -> tuple[list[Asked], list[Asked]]:
    """Return who brought changes, and who asked for the collection to be whole."""
    askers = [one for one in group if isinstance(one[0].message, CheckCollection | Rebuild)]
    return [one for one in group if not isinstance(one[0].message, CheckCollection | Rebuild)], askers

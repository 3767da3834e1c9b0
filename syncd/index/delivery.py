"""Delivers changes to the vector store and replies to the senders; when writes are refused, finds the cause."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from syncd.errors import CollectionCorrupt, NotFoundError, PermanentError, RetryableError, TargetRefusedError
from syncd.index.changes import WRITE_SIZE, Change, OutboxLeft
from syncd.index.flush import OutboxFlush
from syncd.index.postponed import Asked, PostponedWrites
from syncd.index.refill import Refill
from syncd.index.target import VectorStore
from syncd.index.write_probe import accepts_writes
from syncd.model import DocumentState
from syncd.runtime.mailbox import Envelope, Reply
from syncd.store import Store
from syncd.store.changes import DocumentChange, Removal, Staged
from syncd.store.collections import CollectionRecord

log = structlog.get_logger()

BELIEVED_AFTER = 3
"""How often a document must be refused, while its collection accepts other writes, before it fails."""


class Delivery:
    """Used only by the actor that owns all writes. `held` has the changes that must wait; `refill` fills collections.

    A collection is in `records` before anything is delivered to it.
    """

    def __init__(self, store: Store, vector_store: VectorStore, held: PostponedWrites, refill: Refill) -> None:
        self.records: dict[int, CollectionRecord] = {}
        self._store = store
        self._vector_store = vector_store
        self._held = held
        self._refill = refill
        self.flush = OutboxFlush(store, vector_store)

    async def deliver(self, group: Sequence[Asked], refusals: int = 0) -> None:
        """Write one collection's changes to the vector store and reply to each, or hold them. Waits while it is unavailable.

        The changes of a refused batch are retried one by one, so that one document cannot fail the others.
        """
        collection_id = group[0][1].collection_id
        try:
            await self.flush.flush(
                self.records[collection_id], [chunk_id for _, done in group for chunk_id in done.chunk_ids]
            )
        except CollectionCorrupt as error:
            await self._mend_and_hold(group, error)
        except (NotFoundError, RetryableError) as error:
            self._hold(group, str(error))
        except PermanentError as error:
            await self._refused(group, error, refusals)
        else:
            for envelope, done in group:
                envelope.reply.settle(done)

    def _hold(self, group: Sequence[Asked], reason: str) -> None:
        collection_id = group[0][1].collection_id
        log.warning("index.held", collection=self.records[collection_id].target.collection, reason=reason)
        self._held.add(collection_id, group, reason)

    async def mend(self, collection_id: int, reason: str) -> None:
        """Begin to rebuild from SQLite a collection that the vector store can no longer read. Twice is safe."""
        record = await self._store.collections.by_id(collection_id)
        if record.rebuilding is None:
            log.error("index.corrupt", collection=record.target.collection, reason=reason)
            await self._refill.begin_anew(record, reason)

    async def _mend_and_hold(self, group: Sequence[Asked], error: CollectionCorrupt) -> None:
        await self.mend(group[0][1].collection_id, str(error))
        self._hold(group, str(error))

    async def _refused(self, group: Sequence[Asked], error: PermanentError, refusals: int) -> None:
        """Find out which document is refused; if every write is, none is to blame and all of them wait."""
        collection_id = group[0][1].collection_id
        record = self.records[collection_id]
        by_server = isinstance(error, TargetRefusedError)
        if by_server and not await accepts_writes(self._store, self._vector_store, record):
            self._hold(
                group, f"the vector store refuses every write to collection {record.target.collection} ({error})"
            )
        elif len(group) > 1:
            for number, one in enumerate(group):
                if self._held.is_put_off(collection_id):
                    self._held.add(collection_id, group[number:])
                    return
                await self.deliver([one], refusals + 1)
        elif by_server and refusals + 1 < BELIEVED_AFTER:
            await self.deliver(group, refusals + 1)
        else:
            await self._withdraw(group[0][0], error)

    async def _withdraw(self, envelope: Envelope[Change, Staged], error: PermanentError) -> None:
        """Withdraw a document that the vector store refuses, so that it does not block the others."""
        change = envelope.message
        if isinstance(change, DocumentChange):
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
            await self.deliver([(Envelope(OutboxLeft(done.collection_id), Reply(), False), done)])
        else:
            # Its entries stay in the outbox: the next start tries again.
            log.error("index.row_refused", reason=str(error))
        envelope.reply.fail(error)

    async def deliver_left(self, collection_id: int, chunk_ids: Sequence[str]) -> None:
        """Write outbox entries that nobody waits for, until a write fails. Twice is safe."""
        for start in range(0, len(chunk_ids), WRITE_SIZE):
            if self._held.is_put_off(collection_id):
                return
            await self.deliver(
                [
                    (Envelope(OutboxLeft(collection_id), Reply(), False), Staged(collection_id, chunk_ids=[chunk_id]))
                    for chunk_id in chunk_ids[start : start + WRITE_SIZE]
                ]
            )

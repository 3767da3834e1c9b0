"""Makes the vector store agree with SQLite about the ids in the outbox, whatever led to the entry."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import structlog

from syncd.errors import CollectionCorrupt, RetryableError
from syncd.index.changes import RETRY_CAP_S, WRITE_SIZE, rows
from syncd.index.target import VectorStore
from syncd.runtime.retry import Backoff
from syncd.store import Store
from syncd.store.collections import CollectionRecord
from syncd.store.outbox import Waiting

log = structlog.get_logger()


class OutboxFlush:
    """Used only by the actor that owns all writes."""

    def __init__(self, store: Store, vector_store: VectorStore) -> None:
        self._store = store
        self._vector_store = vector_store
        self.waiting: str | None = None
        """Why the write in hand has failed and waits to be tried again, or None."""

    async def flush(self, record: CollectionRecord, chunk_ids: Sequence[str]) -> None:
        """Make the vector store agree about these ids, then clear them from the outbox. Waits for the vector store.

        Twice is safe; after a crash at any point, the outbox still has everything that may not be done. Raises NotFoundError,
        CollectionCorrupt, TargetRefusedError and, for a row that cannot be stored, PermanentError.
        """
        try:
            for start in range(0, len(chunk_ids), WRITE_SIZE):
                await self._flush_some(record, chunk_ids[start : start + WRITE_SIZE])
        finally:
            self.waiting = None

    async def _flush_some(self, record: CollectionRecord, chunk_ids: Sequence[str]) -> None:
        waiting = await self._store.outbox.waiting(record.id, chunk_ids)
        damaged = [entry.chunk_id for entry in waiting if entry.row and not entry.row.is_sound]
        await self._write(record, [entry for entry in waiting if entry.chunk_id not in damaged])
        await self._store.outbox.clear(record.id, waiting, is_freed=self._vector_store.frees_deleted)
        if damaged:
            log.error("store.damaged", collection=record.target.collection, chunks=len(damaged))
            stored = {entry.chunk_id for entry in waiting if entry.op == "update"}
            await self.flush(record, await self._store.repairs.repair(record.id, damaged, stored))

    async def _write(self, record: CollectionRecord, waiting: Sequence[Waiting]) -> None:
        deletes = [entry.chunk_id for entry in waiting if entry.op in ("delete", "replace")]
        adds = [entry.row for entry in waiting if entry.row and entry.op in ("add", "replace")]
        updates = [entry.row for entry in waiting if entry.row and entry.op == "update"]
        backoff, failures = Backoff(cap_s=RETRY_CAP_S), 0
        while True:
            try:
                return await self._vector_store.write(record.target, deletes, rows(record, adds), rows(record, updates))
            except CollectionCorrupt:
                raise
            except RetryableError as error:
                self.waiting = f"collection {record.target.collection} cannot be written: {error}"
                log.warning("index.waiting", collection=record.target.collection, reason=str(error))
                # The write may have been applied in part: from now on, rows to add are replaced.
                deletes = [entry.chunk_id for entry in waiting if entry.op != "update"]
                failures += 1
                await anyio.sleep(backoff.delay_s(failures))
                await self._vector_store.available()

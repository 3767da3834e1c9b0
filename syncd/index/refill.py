"""Fills a collection of the vector store from SQLite: page by page, only the missing rows, resuming after a crash.

record that the refill began (and why)  →  fill a page  →  record the progress  →  …  →  record that it is complete

Killed after any arrow, the next start resumes from the last record; a page filled twice is compared and found equal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio
import structlog

from syncd.errors import CollectionCorrupt, NotFoundError, PermanentError, RetryableError, TargetRefusedError
from syncd.index.changes import WRITE_SIZE, difference, rows
from syncd.index.outage import outlasting
from syncd.index.target import VectorStore
from syncd.index.write_probe import accepts_writes
from syncd.model import NOTHING, CollectionShape, Scalar
from syncd.store import Store
from syncd.store.collections import CollectionRecord
from syncd.store.refills import START
from syncd.store.whole_chunks import ChunkRow

log = structlog.get_logger()

LOOK_AGAIN_S = 1.0
"""Least time between two checks of a collection prompted by writes; in between, writes go to the collection seen last."""
LOOK_SHARE = 50
"""A check counts rows on both sides, which takes time in large collections; checks use at most this share of the time."""


class Refill:
    """Used only by the actor that owns all writes. `shape` returns the shape of a new collection."""

    def __init__(
        self, store: Store, vector_store: VectorStore, shape: Callable[[CollectionRecord], CollectionShape]
    ) -> None:
        self._store = store
        self._vector_store = vector_store
        self._shape = shape
        self._look_at: dict[int, float] = {}
        self._surplus: dict[int, int | None] = {}
        """Surplus of rows in a collection over SQLite's at the last check; None: to be set by the next check."""
        self._written: dict[int, int] = {}
        self._causes: dict[int, str] = {}

    def reason(self) -> str | None:
        """Return which collection lacks what it lost, and why, while it is being filled; None if there is none."""
        return next((cause for cause in self._causes.values() if cause), None)

    def _begun(self, record: CollectionRecord, cause: str) -> None:
        filling = f"collection {record.target.collection} is being filled from the store"
        self._causes.setdefault(record.id, cause and f"{filling}: {cause}")

    async def needed(self, record: CollectionRecord, *, at_once: bool = False) -> bool:
        """Return whether the collection must be filled, which is then recorded: it was replaced, emptied, is missing, or lost rows.

        Unless `at_once`, it is not checked again shortly after the last check. Raises RetryableError, NotFoundError when
        its database is gone, TargetRefusedError.
        """
        if record.rebuilding is not None:
            self._begun(record, "that was not complete when the daemon last stopped")
            return True
        if await outlasting(self._vector_store, lambda: self._begin_if_emptied(record), record.target.collection):
            return True
        began = anyio.current_time()
        if record.chroma_id is None or (not at_once and began < self._look_at.get(record.id, began)):
            return False
        try:
            needed = await self._looked(record)
        except CollectionCorrupt as error:
            log.error("index.corrupt", collection=record.target.collection, reason=str(error))
            await self.begin_anew(record, str(error))
            needed = True
        now = anyio.current_time()
        self._look_at[record.id] = now + max(LOOK_AGAIN_S, (now - began) * LOOK_SHARE)
        return needed

    async def _looked(self, record: CollectionRecord) -> bool:
        chroma_id = await self._vector_store.collection_id(record.target)
        if chroma_id != record.chroma_id:
            if await self._store.shadows.is_switching(record.id):
                # What has the name now is to be another's, or is already: this one is filled, if at all, under its next name.
                return True
            await self._begin_elsewhere(record)
        elif await self._lost_rows(record):
            lost = "somebody deleted rows of it in the vector store"
            if not await self._vector_store.count(record.target):
                await self.begin_anew(record, lost)
            else:
                await self._store.refills.begin(record.id, "{}", chroma_id, lost)
                self._begun(record, lost)
        else:
            return False
        self._written[record.id] = 0
        return True

    async def _lost_rows(self, record: CollectionRecord) -> bool:
        """Return whether rows vanished that syncd did not delete. Foreign rows and pending outbox entries do not count."""
        chunks, waiting = await self._store.refills.expected(record.id)
        surplus = await self._vector_store.count(record.target) - chunks
        known = self._surplus.get(record.id, 0)
        if known is not None and surplus + waiting < (min(known, 0) if waiting else known):
            log.warning("index.rows_lost", collection=record.target.collection, chunks=chunks, rows=surplus + chunks)
            return True
        if not waiting:
            self._surplus[record.id] = surplus
        return False

    async def _begin_elsewhere(self, record: CollectionRecord) -> None:
        """Begin with the collection that now has the name, or a new one; a renamed collection is left to whoever renamed it."""
        await self._vector_store.create_database(record.target.database)
        metadata: dict[str, Scalar] = {}
        known = await self._vector_store.renamed(record.target.database, record.chroma_id or "")
        if known is not None:
            metadata = dict(known.metadata)
        log.warning(
            "index.collection_replaced", collection=record.target.collection, renamed_to=known.name if known else None
        )
        chroma_id = await self._vector_store.open_collection(record.target, self._shape(record))
        replaced = "somebody deleted, renamed or recreated it in the vector store"
        await self._store.refills.begin(record.id, json.dumps(metadata), chroma_id, replaced)
        self._begun(record, replaced)

    async def _begin_if_emptied(self, record: CollectionRecord) -> bool:
        """Begin anew, before rows are added, a collection all of whose rows were deleted; return whether that was so.

        Deleted vectors stay in Chroma's index as nodes, and of those that are added then, up to 265 of 300 are not found (1.5.9): hnswlib
        links a new node to nodes alive, of which there are none, and to the entry point, which only keeps its nearest. One row that
        is alive is enough for none to be lost. Twice is safe.
        """
        if self._vector_store.frees_deleted or not await self._store.refills.is_emptied(record.id):
            return False
        if await self._vector_store.count(record.target):
            return False  # Somebody's own rows are alive, or some of ours that wait for a change.
        if await self._vector_store.collection_id(record.target) != record.chroma_id:
            return False  # It is changing places, or was replaced, which a look finds.
        log.info("index.emptied", collection=record.target.collection)
        await self._store.refills.begin(record.id, await self._metadata(record), record.chroma_id)
        self._begun(record, "")
        return True

    async def begin_anew(self, record: CollectionRecord, cause: str = "") -> None:
        """Record that the collection must be deleted and recreated; `cause` is the fault that makes it so, if any.

        Twice is safe. The vector store need not be there: the collection's own metadata is then read before it is deleted.
        """
        metadata = record.rebuilding
        if metadata is None:
            try:
                metadata = await self._metadata(record)
            except (RetryableError, PermanentError):
                metadata = "{}"
        await self._store.refills.begin(record.id, metadata, None, cause)
        self._begun(record, cause)

    async def _metadata(self, record: CollectionRecord) -> str:
        try:
            return json.dumps(dict(await self._vector_store.metadata(record.target)))
        except NotFoundError:
            return "{}"

    async def go_on(self, record: CollectionRecord, until: float) -> bool:
        """Fill a page, and more until that time; return whether the collection is complete, except for the outbox.

        Raises RetryableError, NotFoundError, TargetRefusedError; the progress so far is kept, so call it again later.
        """
        if record.rebuilding is None:
            raise RetryableError(f"collection {record.target.collection} is changing places with another one")
        try:
            record = await self._opened(record)
            place = record.refilled
            while True:
                page, place = await self._store.outbox.page(record.id, place, WRITE_SIZE)
                if not page:
                    await self._end(record)
                    return True
                await self._fill(record, page)
                await self._store.refills.reached(record.id, place)
                if anyio.current_time() >= until:
                    return False
        except CollectionCorrupt as error:
            await self.begin_anew(record, str(error))
            raise RetryableError(str(error)) from error

    async def _opened(self, record: CollectionRecord) -> CollectionRecord:
        """Return the record of the collection being filled; the refill restarts if the collection was replaced."""
        if record.chroma_id is None:
            record = await self._with_metadata(record)
            await self._vector_store.delete_collection(record.target)
        chroma_id = await self._vector_store.open_collection(record.target, self._shape(record))
        if chroma_id == record.chroma_id and await self._is_dead(record):
            await self._vector_store.delete_collection(record.target)
            chroma_id = await self._vector_store.open_collection(record.target, self._shape(record))
        if chroma_id == record.chroma_id:
            return record
        await self._store.refills.opened(record.id, chroma_id)
        return replace(record, chroma_id=chroma_id, refilled=START)

    async def _is_dead(self, record: CollectionRecord) -> bool:
        """Return whether the collection holds nothing, not even rows of somebody's own, and its index only what was deleted."""
        if self._vector_store.frees_deleted or not await self._store.refills.has_deleted(record.id):
            return False
        return not await self._vector_store.count(record.target)

    async def _with_metadata(self, record: CollectionRecord) -> CollectionRecord:
        """Return the record with the metadata of the collection that is about to be deleted, kept where none is yet."""
        if record.rebuilding != "{}":
            return record
        await self._store.refills.begin(record.id, await self._metadata(record), None)
        return await self._store.collections.by_id(record.id)

    async def _fill(self, record: CollectionRecord, page: Sequence[ChunkRow]) -> None:
        found = {
            row.id: row for row in await self._vector_store.get(record.target, [row.id for row in page], vectors=True)
        }
        kept = self._vector_store.as_stored
        if damaged := [row.id for row in page if not row.is_sound]:
            log.error("store.damaged", collection=record.target.collection, chunks=len(damaged))
            await self._store.repairs.repair(record.id, damaged, found.keys())
            page = [row for row in page if row.is_sound]
        lacking = [row for row in page if row.id not in found or difference(row, kept(row.metadata), found[row.id])]
        if lacking:
            self._written[record.id] = self._written.get(record.id, 0) + len(lacking)
            await self._write(record, lacking, [row.id for row in lacking if row.id in found])

    async def _write(self, record: CollectionRecord, page: Sequence[ChunkRow], stale: Sequence[str]) -> None:
        """Write a page; a row that is refused while others are accepted is omitted and logged."""
        try:
            await self._vector_store.write(record.target, stale, rows(record, page), NOTHING)
        except NotFoundError:
            raise
        except PermanentError as error:
            if isinstance(error, TargetRefusedError) and not await accepts_writes(
                self._store, self._vector_store, record
            ):
                raise
            if len(page) == 1:
                log.error("index.row_refused", chunk=page[0].id, reason=str(error))
                return
            for row in page:
                await self._write(record, [row], [row.id] if row.id in stale else [])

    async def _gone(self, record: CollectionRecord) -> list[str]:
        """Return the ids of rows that were kept, though their chunks were damaged here, and are not there any more."""
        kept = await self._store.outbox.forgotten(record.id)
        gone = list[str]()
        for start in range(0, len(kept), WRITE_SIZE):
            some = kept[start : start + WRITE_SIZE]
            rows = await self._vector_store.get(record.target, some, metadatas=False, documents=False)
            gone += set(some) - {row.id for row in rows}
        return gone

    async def _end(self, record: CollectionRecord) -> None:
        if metadata := json.loads(record.rebuilding or "{}"):
            await self._vector_store.set_metadata(record.target, metadata)
        await self._store.refills.end(record.id, await self._gone(record))
        self._causes.pop(record.id, None)
        written = self._written.pop(record.id, 0)
        # Nothing was missing, so accept the count rather than compare everything again and again.
        self._surplus[record.id] = 0 if written else None
        log.info("index.rebuilt", collection=record.target.collection, written=written)

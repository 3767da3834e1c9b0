"""Lets two collections change places: one that was built takes the name of the one that answers.

decide (SQLite)  →  rename the one that answers  →  rename the other  →  record both names (SQLite)  →  reply

Killed after any arrow, the next start renames again, which is safe. Ordinary clients of the vector store find no collection of that
name between the two renamings, some milliseconds; ours are served by the ids that they know until the names are recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import anyio
import structlog

from syncd.errors import ConflictError, NotFoundError, PermanentError, RetryableError
from syncd.index.foreign_rows import ForeignRows
from syncd.index.outage import outlasting
from syncd.index.target import VectorStore
from syncd.model import QueryFunction, Target
from syncd.store import Store
from syncd.store.collections import CollectionRecord
from syncd.store.shadow_rows import Shadow, ShadowState

log = structlog.get_logger()


class PlaceChanges:
    """Used only by the actor that owns all writes; nobody opens collections meanwhile. `records` are those that it writes to.
    `queries` returns the embedding function to record in a collection, or None.
    """

    def __init__(
        self,
        store: Store,
        vector_store: VectorStore,
        queries: Callable[[CollectionRecord], QueryFunction | None],
        records: dict[int, CollectionRecord],
        opening: anyio.Lock,
        foreign: ForeignRows,
    ) -> None:
        self._store = store
        self._vector_store = vector_store
        self._queries = queries
        self._records = records
        self._opening = opening
        self._foreign = foreign

    async def change(self, collection_id: int) -> None:
        """Let a shadow take the place of the one that answers, or go on with that. Raises RetryableError while one of them cannot
        be renamed, ConflictError while documents, or rows of somebody's own, would be lost by it.

        Have the one that answers looked through before (ForeignRows), which would take too long here: other collections wait.
        """
        shadows = {shadow.collection_id: shadow for shadow in await self._store.shadows.all()}
        shadow = shadows.get(collection_id)
        if shadow is None:
            raise NotFoundError("this is no shadow of a collection any more; syncd status lists those there are")
        if shadow.state is not ShadowState.SWITCHING:
            await self._decide(shadow)
        await self._carry_out(collection_id)

    async def check(self, collection_id: int) -> None:
        """Raise ConflictError if documents, or rows of somebody's own, would be lost by a change of places now: of a shadow, or of one that
        might be built beside the collection of this id. Changes nothing. Raises RetryableError, NotFoundError.
        """
        shadows = {shadow.collection_id: shadow for shadow in await self._store.shadows.all()}
        shadow = shadows.get(collection_id)
        live = await self._store.collections.by_id(shadow.live_id if shadow else collection_id)
        if shadow is not None:
            await self._store.shadows.require_no_loss(shadow, await self._keepers(live))
        await self._require_no_others(live)

    async def _decide(self, shadow: Shadow) -> None:
        live = await self._store.collections.by_id(shadow.live_id)
        is_there = live.chroma_id is not None and await self._vector_store.collection_id(live.target) == live.chroma_id
        if is_there:
            await self._require_no_others(live)
            await self._copy_metadata(live.target, shadow.target)
        if not is_there or not await self._store.shadows.decide(shadow, await self._keepers(live)):
            raise RetryableError(
                f"collection {live.target.collection} is being filled from the store; try again when it is complete"
            )

    async def _require_no_others(self, live: CollectionRecord) -> None:
        """Raise ConflictError if the one that answers holds rows that only the vector store has: they would not come along."""
        if rows := await self._foreign.number(live):
            name = live.target.collection
            raise ConflictError(
                f"collection {name} holds {rows} rows that syncd does not know, and another in its place would lack them: move rows of your "
                f"own to another collection (syncd verify {name} --repair deletes those that syncd wrote and that are not wanted any more)"
            )

    async def _keepers(self, live: CollectionRecord) -> list[str]:
        """Return the ids of the sources that keep the one that answers in step, and so bring what another in its place lacks."""
        found = [await self._store.sources.get(ident) for ident in await self._store.shadows.sources_of(live.id)]
        return [source.id for source in found if source is not None and source.keeps_place(live.target)]

    async def _copy_metadata(self, live: Target, built: Target) -> None:
        """Give the other one what somebody noted in the metadata of the one that answers."""
        if metadata := await self._vector_store.metadata(live):
            await self._vector_store.set_metadata(built, metadata)

    async def resume(self) -> None:
        """Carry out what was decided before the start; of what cannot be, say so: it stays decided, and is asked for again.

        Waits while the vector store is away; twice is safe.
        """
        for shadow in await self._store.shadows.all():
            try:
                await self._carry_out(shadow.collection_id)
            except PermanentError as error:
                log.error("shadow.not_switched", collection=shadow.live.collection, reason=str(error))

    async def _carry_out(self, collection_id: int) -> None:
        """Carry out what was decided of a shadow, if anything was."""
        for shadow in await self._store.shadows.all():
            if shadow.collection_id == collection_id and shadow.state is ShadowState.SWITCHING:
                await outlasting(self._vector_store, partial(self._exchange, shadow), shadow.live.collection)

    async def _exchange(self, shadow: Shadow) -> None:
        away = Target(shadow.live.database, shadow.former_name or "")
        async with self._opening:
            live = await self._store.collections.by_id(shadow.live_id)
            built = await self._store.collections.by_id(shadow.collection_id)
            holder = await self._vector_store.collection_id(shadow.live)
            if holder == live.chroma_id:
                await self._rename(away, live.chroma_id)
            if holder in (None, live.chroma_id):
                await self._take_name(shadow.live, built.chroma_id)
            await self._record_queries(replace(built, target=shadow.live))
            sources = [await self._store.sources.get(ident) for ident in await self._store.shadows.sources_of(built.id)]
            await self._store.shadows.switched(shadow, [source for source in sources if source is not None])
            for target in (shadow.live, shadow.target, away):
                self._vector_store.forget(target)
        for ident in (live.id, built.id):
            self._records[ident] = await self._store.collections.by_id(ident)
        log.info("shadow.switched", collection=shadow.live.collection, former=away.collection)

    async def _rename(self, target: Target, chroma_id: str | None) -> None:
        """Rename a collection; one that is gone is filled again under its new name, as any is that was deleted."""
        try:
            await self._vector_store.rename(target, chroma_id or "")
        except NotFoundError as error:
            log.warning("shadow.not_renamed", collection=target.collection, reason=str(error))

    async def _take_name(self, target: Target, chroma_id: str | None) -> None:
        """Rename the one that was built; where another client has just made a collection of that name, that one is filled."""
        try:
            await self._rename(target, chroma_id)
        except ConflictError as error:
            log.warning("shadow.not_renamed", collection=target.collection, reason=str(error))

    async def _record_queries(self, record: CollectionRecord) -> None:
        queries = self._queries(record)
        if queries is not None:
            try:
                await self._vector_store.record_queries(record.target, queries)
            except NotFoundError:
                return

    async def drop(self, collection_id: int) -> None:
        """Delete a discarded shadow. Twice is safe. Raises RetryableError."""
        record = self._records.get(collection_id) or await self._store.collections.by_id(collection_id)
        await self._vector_store.delete_collection(record.target)
        await self._store.shadows.forget(collection_id)
        self._records.pop(collection_id, None)
        log.info("shadow.removed", collection=record.target.collection)

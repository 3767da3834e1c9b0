"""Processes held collections in turn: fills them from SQLite if needed, then writes their pending changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from syncd.errors import NotFoundError, PermanentError, RetryableError
from syncd.index.changes import (
    Change,
    ChangePlaces,
    CheckCollection,
    CheckPlaces,
    DropCollection,
    MendCollection,
    Rebuild,
)
from syncd.index.delivery import Delivery
from syncd.index.places import PlaceChanges
from syncd.index.postponed import Asked, PostponedWrites
from syncd.index.refill import Refill
from syncd.runtime.mailbox import Envelope
from syncd.store import Store
from syncd.store.changes import Staged

log = structlog.get_logger()


class Turns:
    """Used only by the actor that owns all writes."""

    def __init__(
        self, store: Store, held: PostponedWrites, refill: Refill, delivery: Delivery, places: PlaceChanges
    ) -> None:
        self._store = store
        self._held = held
        self._refill = refill
        self._delivery = delivery
        self._places = places

    async def begin(self, envelope: Envelope[Change, Staged]) -> None:
        """Begin a check, a rebuild or the mending of a damaged collection, which turns carry out; the rest is done at once.

        One that was dropped meanwhile needs nothing.
        """
        message = envelope.message
        try:
            if isinstance(message, Rebuild):
                await self._begin_rebuild(envelope, message)
            elif isinstance(message, ChangePlaces):
                await self._places.change(message.collection_id)
                envelope.reply.settle(Staged(message.collection_id))
            elif isinstance(message, CheckPlaces):
                await self._places.check(message.collection_id)
                envelope.reply.settle(Staged(message.collection_id))
            elif isinstance(message, DropCollection):
                self._held.forget(message.collection_id)
                await self._places.drop(message.collection_id)
                envelope.reply.settle(Staged(message.collection_id))
            elif isinstance(message, CheckCollection | MendCollection) and (
                message.collection_id not in self._delivery.records
            ):
                envelope.reply.settle(Staged(message.collection_id))
            elif isinstance(message, CheckCollection):
                self._held.add(message.collection_id, [(envelope, Staged(message.collection_id))])
            elif isinstance(message, MendCollection):
                await self._delivery.mend(message.collection_id, message.reason)
                self._held.add(message.collection_id, [])
                envelope.reply.settle(Staged(message.collection_id))
        except (PermanentError, RetryableError) as error:
            envelope.reply.fail(error)

    async def _begin_rebuild(self, envelope: Envelope[Change, Staged], message: Rebuild) -> None:
        record = await self._store.collections.find(message.target)
        if record is None:
            raise NotFoundError(f"syncd never wrote a collection {message.target.collection!r}")
        self._delivery.records.setdefault(record.id, record)
        await self._refill.begin_anew(record)
        self._held.add(record.id, [(envelope, Staged(record.id))])

    async def take(self, until: float) -> None:
        """Continue with every held collection that is due; filling continues until about that time."""
        for collection_id in self._held.due():
            await self._resume_one(collection_id, until)

    async def _resume_one(self, collection_id: int, until: float) -> None:
        group = self._held.begin(collection_id)
        try:
            record = await self._store.collections.by_id(collection_id)
            if await self._refill.needed(record, at_once=True):
                record = await self._store.collections.by_id(collection_id)
                if not await self._refill.go_on(record, until):
                    await self._go_between(collection_id, group)
                    return
        except (RetryableError, PermanentError) as error:
            self._held.add(collection_id, group, str(error))
            log.warning(
                "index.held", collection=self._delivery.records[collection_id].target.collection, reason=str(error)
            )
            return
        await self._write_group(collection_id, group)
        self._held.over(collection_id)

    async def _go_between(self, collection_id: int, group: Sequence[Asked]) -> None:
        """Write changes while the collection is being filled; a later page finds these rows present."""
        changes, askers = parted(group)
        self._held.advanced(collection_id, askers)
        if changes:
            await self._delivery.deliver(changes)

    async def _write_group(self, collection_id: int, group: Sequence[Asked]) -> None:
        """Write the outbox of a collection that is otherwise complete, and reply to the waiting requests."""
        changes, askers = parted(group)
        if changes:
            await self._delivery.deliver(changes)
        await self._delivery.deliver_left(collection_id, await self._store.outbox.ids(collection_id))
        if self._held.is_put_off(collection_id):
            self._held.add(collection_id, askers)
            return
        for envelope, done in askers:
            rebuilt = isinstance(envelope.message, Rebuild)
            written = await self._store.outbox.chunk_count(collection_id) if rebuilt else 0
            envelope.reply.settle(replace(done, written=written))


def parted(group: Sequence[Asked]) -> tuple[list[Asked], list[Asked]]:
    """Return the requests with changes, and those for a complete collection."""
    askers = [one for one in group if isinstance(one[0].message, CheckCollection | Rebuild)]
    return [one for one in group if not isinstance(one[0].message, CheckCollection | Rebuild)], askers

"""A source over an object store as far as events concern it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.model import OneObject, Origin, WholeSource
from syncd.sources.objects.journal import Journal
from syncd.sources.objects.listing import KeySelection


@dataclass(frozen=True, slots=True)
class StoreFollower:
    """A `poller.EventFollower`; it needs no credential: what its key may read is found out by the runs."""

    id: str
    bucket_in_events: str
    selection: KeySelection
    collection: str
    """The one that is kept in step with the source."""
    journal: Journal

    def takes(self, key: str) -> bool:
        """Return whether a key belongs to the source."""
        return self.selection.takes(key)

    async def check(self, key: str) -> Sequence[str]:
        """Request a check of a key ('': a listing) and return the invocation, which is then durable. Raises RetryableError, NotFoundError."""
        if not key:
            return [await self.journal.ask(self.id, self.collection, Origin.WATCH, WholeSource())]
        return [await self.journal.ask(self.id, self.collection, Origin.EVENT, OneObject(key))]

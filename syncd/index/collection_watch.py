"""Notices when a collection was deleted, renamed, recreated, emptied or damaged in the vector store, even if nothing is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import CollectionCorrupt, NotFoundError, PermanentError, RetryableError
from syncd.index.changes import CheckCollection, Rebuild
from syncd.index.self_probe import SelfProbe
from syncd.index.target import VectorStore
from syncd.index.writer import Index
from syncd.model import Target
from syncd.store import Store
from syncd.store.collections import CollectionRecord

log = structlog.get_logger()

LOOK_EVERY_S = 1.0
"""How soon it is noticed that the vector store was away."""


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How often collections are checked and probed, and when they are rebuilt to free space. A check costs the vector store three small requests and SQLite two
    counts per collection, a probe a hundred queries.
    """

    check_s: float = 8.0
    probe_s: float = 600.0
    compact_above: float | None = None
    """Collections that need more than so many times the space of their rows, and hold no others, are rebuilt; None: never."""


class CollectionWatch:
    """An actor: has the index check every collection that a source has documents in, and probes them.

    Both are done periodically, and at once whenever `stops`, the number of times the vector store stopped, has grown: it
    may have died and damaged what it was writing. A collection whose sources were all deleted is not checked: if it is
    deleted in the vector store, it stays deleted.
    """

    name = "collections"

    def __init__(
        self, store: Store, vector_store: VectorStore, index: Index, settings: WatchSettings, stops: Callable[[], int]
    ) -> None:
        self._store = store
        self._vector_store = vector_store
        self._index = index
        self._settings = settings
        self._compacting: set[Target] = set()
        self._spared: set[Target] = set()
        self._stops = stops
        self._probe = SelfProbe(store, vector_store, index)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Check and probe until cancelled; the index repairs what is found, and nothing waits for that here."""
        task_status.started()
        check_at, stops = -math.inf, 0
        probe_at = anyio.current_time() + self._settings.probe_s
        while True:
            await self._vector_store.available()
            now, stopped = anyio.current_time(), self._stops()
            if now >= check_at or stopped != stops:
                await self._check_all()
                await self._compact()
                check_at = now + self._settings.check_s
            if now >= probe_at or stopped != stops:
                await self._probe_all()
                probe_at = now + self._settings.probe_s
            stops = stopped
            await anyio.sleep(min(LOOK_EVERY_S, self._settings.check_s))

    async def _check_all(self) -> None:
        for collection_id in await self._store.refills.watched():
            await self._index.mailbox.put(CheckCollection(collection_id))

    async def _compact(self) -> None:
        """Have bloated collections rebuilt from SQLite, which frees the space of deleted rows."""
        factor = self._settings.compact_above
        for target in await self._store.refills.bloated(factor) if factor else ():
            if target not in self._compacting and not await self._is_spared(target):
                self._compacting.add(target)
                log.info("index.compacting", collection=target.collection)
                reply = await self._index.mailbox.put(Rebuild(target))
                reply.when_settled(partial(self._compacting.discard, target))

    async def _is_spared(self, target: Target) -> bool:
        """Return whether a rebuild would lose rows that somebody else wrote, or whether it cannot be told now."""
        record = await self._store.collections.find(target)
        try:
            foreign = 0 if record is None else await self._index.foreign.look_through(record)
        except (RetryableError, PermanentError):
            return True  # A check finds what is the matter.
        if not foreign:
            self._spared.discard(target)
        elif target not in self._spared:
            self._spared.add(target)
            log.warning("index.not_compacted", collection=target.collection, rows=foreign)
        return foreign > 0

    async def _probe_all(self) -> None:
        for collection_id in await self._store.refills.watched():
            with suppress(NotFoundError):  # it was discarded meanwhile
                await self._probe_one(await self._store.collections.by_id(collection_id))

    async def _probe_one(self, record: CollectionRecord) -> None:
        if record.rebuilding is not None or record.chroma_id is None:
            return
        try:
            await self._probe.heal(record, await self._probe.probe(record))
        except CollectionCorrupt as error:
            await self._index.damaged(record, error)
        except (RetryableError, PermanentError) as error:
            log.warning("index.not_probed", collection=record.target.collection, reason=str(error))

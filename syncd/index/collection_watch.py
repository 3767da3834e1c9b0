"""Notices that somebody deleted, renamed, recreated or emptied a collection in Chroma, though nothing is written to it."""

from __future__ import annotations

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.index.changes import CheckCollection
from syncd.index.target import VectorStore
from syncd.index.writer import Index
from syncd.store import Store

LOOK_EVERY_S = 20.0
"""A look costs Chroma three small requests and the store two counts, per collection."""


class CollectionWatch:
    """An actor: has the index look at every collection that a source keeps documents in, over and over.

    One whose sources are all deleted is nobody's any more: it may be deleted in Chroma, and is not made again.
    """

    name = "collections"

    def __init__(self, store: Store, vector_store: VectorStore, index: Index) -> None:
        self._store = store
        self._vector_store = vector_store
        self._index = index

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Look until cancelled; what a look finds is the index's to mend, and nobody waits for it here."""
        task_status.started()
        while True:
            await self._vector_store.available()
            for collection_id in await self._store.refills.watched():
                await self._index.mailbox.put(CheckCollection(collection_id))
            await anyio.sleep(LOOK_EVERY_S)

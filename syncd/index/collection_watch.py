"""Notices when a collection was deleted, renamed, recreated or emptied in the vector store, even if nothing is written."""

from __future__ import annotations

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.index.changes import CheckCollection
from syncd.index.target import VectorStore
from syncd.index.writer import Index
from syncd.store import Store


class CollectionWatch:
    """An actor: has the index check every collection that a source has documents in, periodically.

    Every `check_interval_s`; a check costs the vector store three small requests and SQLite two counts per collection.
    A collection whose sources were all deleted is not checked: if it is deleted in the vector store, it stays deleted.
    """

    name = "collections"

    def __init__(self, store: Store, vector_store: VectorStore, index: Index, check_interval_s: float) -> None:
        self._store = store
        self._vector_store = vector_store
        self._index = index
        self._check_interval_s = check_interval_s

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Check until cancelled; the index repairs what a check finds, and nothing waits for that here."""
        task_status.started()
        while True:
            await self._vector_store.available()
            for collection_id in await self._store.refills.watched():
                await self._index.mailbox.put(CheckCollection(collection_id))
            await anyio.sleep(self._check_interval_s)

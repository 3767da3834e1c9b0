"""Keeps the embedding functions recorded in collections up to date, since the daemon's address may change at a start."""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import NotFoundError, PermanentError, RetryableError
from syncd.index.target import VectorStore
from syncd.model import QueryFunction
from syncd.store import Store
from syncd.store.collections import CollectionRecord

log = structlog.get_logger()

FUNCTION_RETRY_S = 60.0


class QueryRecorder:
    """An actor: after a start, records in every collection where its queries are embedded, then idles.

    `queries` returns what a collection should record; None leaves it unchanged.
    """

    name = "queries"

    def __init__(
        self, store: Store, vector_store: VectorStore, queries: Callable[[CollectionRecord], QueryFunction | None]
    ) -> None:
        self._store = store
        self._vector_store = vector_store
        self._queries = queries

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Record once the vector store is available; after a crash, the next start does it."""
        task_status.started()
        while True:
            await self._vector_store.available()
            done = await self.record_all()
            await anyio.sleep(math.inf if done else FUNCTION_RETRY_S)

    async def record_all(self) -> bool:
        """Process every collection once; return whether none has to be retried."""
        done = True
        for record in await self._store.collections.all():
            queries = self._queries(record)
            if queries is None or record.rebuilding is not None:
                continue
            try:
                await self._vector_store.record_queries(record.target, queries)
            except NotFoundError:
                continue
            except RetryableError:
                done = False
            except PermanentError as error:
                log.warning("queries.refused", collection=record.target.collection, reason=str(error))
        return done

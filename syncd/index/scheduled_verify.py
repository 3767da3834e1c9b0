"""Verifies a part of every collection now and then, and all after an unclean stop, and mends what differs, without anybody asking."""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import NotFoundError, PermanentError, RetryableError
from syncd.index.collection_watch import LOOK_EVERY_S
from syncd.index.target import VectorStore
from syncd.index.verify import Verifier
from syncd.store import Store
from syncd.store.outbox import Portion

log = structlog.get_logger()

VERIFIED_CHUNKS = 2_000
"""Of each collection at a time: some eight pages, and a hundred queries."""


class ScheduledVerifier:
    """An actor: every `interval_s` it verifies other documents of each collection that a source has documents in, and whenever
    `unclean_stops` has grown all of them: Chroma 1.5.9 does not sync its index files, so a power failure can tear
    single vectors, too few for a probe to meet. What cannot be verified then is as soon as it can.

    Texts, vectors and metadata that differ are written again from SQLite, and what is damaged there is asked of its source
    again. Rows that SQLite does not know stay: another syncd may have written them, and nobody is there to ask. An interrupted
    repair is finished by the next start.
    """

    name = "scheduled verify"

    def __init__(
        self,
        store: Store,
        vector_store: VectorStore,
        verifier: Verifier,
        interval_s: float | None,
        unclean_stops: Callable[[], int],
        compared: Callable[[int], None],
    ) -> None:
        """`interval_s`: None for never, but after unclean stops; `compared` is told after how many of these all collections were verified."""
        self._store = store
        self._vector_store = vector_store
        self._verifier = verifier
        self._interval_s = math.inf if interval_s is None else interval_s
        self._unclean_stops = unclean_stops
        self._compared = compared

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Verify until cancelled."""
        task_status.started()
        due_at, stops, owed = anyio.current_time() + self._interval_s, 0, frozenset[int]()
        while True:
            await anyio.sleep(min(LOOK_EVERY_S, self._interval_s))
            is_due, stopped = anyio.current_time() >= due_at, self._unclean_stops()
            if not (is_due or owed or stopped != stops):
                continue
            await self._vector_store.available()
            watched = await self._store.refills.watched()
            owed, stops = frozenset(watched) & owed if stopped == stops else frozenset(watched), stopped
            for collection_id in watched:
                if (is_due or collection_id in owed) and await self._verify(collection_id, whole=collection_id in owed):
                    owed -= {collection_id}
            if not owed:
                self._compared(stops)
            due_at = anyio.current_time() + self._interval_s if is_due else due_at

    async def _verify(self, collection_id: int, *, whole: bool) -> bool:
        """Return whether that is done: not of a collection that cannot be verified now."""
        try:
            record = await self._store.collections.by_id(collection_id)
        except NotFoundError:
            return True
        if record.chroma_id is None:
            return True
        if record.rebuilding is not None:
            return False
        chunks = await self._store.outbox.chunk_count(collection_id)
        share = 1.0 if whole else min(1.0, VERIFIED_CHUNKS / max(chunks, 1))
        try:
            drift = await self._verifier.verify(record.target, True, Portion(share=share), keep_extra=True)
        except (RetryableError, PermanentError) as error:
            log.warning("index.not_verified", collection=record.target.collection, reason=str(error))
            return isinstance(error, PermanentError)
        if drift.missing or drift.different or drift.damaged:
            log.warning(
                "index.mended",
                collection=record.target.collection,
                verified=drift.chunks,
                missing=drift.missing,
                different=drift.different,
                damaged=drift.damaged,
            )
        return True

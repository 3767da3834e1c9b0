"""Gives chunks that were indexed without sparse vectors, or with those of another model or version, those of their collection's model."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.errors import PermanentError, RetryableError
from syncd.model import Embedding, SparseEncoder
from syncd.store import Store
from syncd.store.collections import CollectionRecord
from syncd.store.postings import Unposted
from syncd.store.sparse_codec import packed

log = structlog.get_logger()

PAGE_CHUNKS = 200
BACKFILL_RETRY_S = 60.0


class SparseBackfill:
    """An actor: after a start, brings every collection's sparse vectors in line with its model, then idles.

    `encoder_of` returns the encoder for a collection's embedding, or None if it has no sparse vectors; `flush` writes
    chunks to a vector store that holds the sparse vectors too: see Index.flush.
    """

    name = "sparse"

    def __init__(
        self,
        store: Store,
        encoder_of: Callable[[Embedding], Awaitable[SparseEncoder | None]],
        flush: Callable[[int, Sequence[str]], Awaitable[None]],
    ) -> None:
        self._store = store
        self._encoder_of = encoder_of
        self._flush = flush

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Fill all collections, retrying while a model is unavailable. After a crash, the next start continues."""
        task_status.started()
        while True:
            done = await self.fill_all()
            await anyio.sleep(math.inf if done else BACKFILL_RETRY_S)

    async def fill_all(self) -> bool:
        """Fill every collection once; return whether none has to be retried."""
        done = True
        for record in await self._store.collections.all():
            try:
                encoder = await self._encoder_of(record.embedding)
                if encoder is not None:
                    await self._fill(record, encoder)
            except RetryableError as error:
                log.warning("sparse.waiting", collection=record.target.collection, reason=str(error))
                done = False
            except PermanentError as error:
                log.error("sparse.refused", collection=record.target.collection, reason=str(error))
        return done

    async def _fill(self, record: CollectionRecord, encoder: SparseEncoder) -> None:
        """Fill prepared documents first: what is written from then on has the new vectors already.

        A chunk keeps its old vector until the new one takes its place, so that it is found all the while.
        """
        filled = 0
        for prepared in (True, False):
            after: tuple[int, int] | None = (0, -1)
            while after is not None:
                page = await self._store.postings.unposted(
                    record.id, encoder.fingerprint, after, PAGE_CHUNKS, prepared=prepared
                )
                await self._fill_page(record, encoder, page.chunks)
                filled, after = filled + len(page.chunks), page.after
        if filled:
            log.info("sparse.filled", collection=record.target.collection, model=encoder.model, chunks=filled)

    async def _fill_page(self, record: CollectionRecord, encoder: SparseEncoder, rows: Sequence[Unposted]) -> None:
        if not rows:
            return
        vectors = await encoder.encode([row.text for row in rows], "document")
        found = list(zip(rows, map(packed, vectors), strict=True))
        # Only a model that the source names has a key in the collection.
        flush = record.embedding.sparse_model is not None
        if ids := await self._store.postings.fill(record.id, encoder.fingerprint, found, flush=flush):
            await self._flush(record.id, ids)

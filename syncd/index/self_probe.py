"""Finds damage that no error shows: asks whether sampled vectors of a collection still find themselves.

A vector store whose index files were damaged may answer with the right count and the wrong neighbours (Chroma 1.5.9 after a
SIGKILL while it wrote them: 20 of 40 probes missed, and no error).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import anyio
import structlog

from syncd.errors import CollectionCorrupt
from syncd.index.changes import VECTOR_TOLERANCE, MendCollection, differs_in_vector
from syncd.index.target import VectorStore
from syncd.index.writer import Index
from syncd.store import Store
from syncd.store.collections import CollectionRecord
from syncd.store.whole_chunks import ChunkRow

log = structlog.get_logger()

SAMPLE = 100
"""Vectors per probe: of a collection in which 5 % do not find themselves, one misses them all in 170. About a third of a second."""
AMONG_NEAREST = 10
"""A vector has to be among so many of its nearest; of more texts that are the same, any will do."""
TOLERATED_SHARE = 0.02
"""Up to this share, lost rows are written again; beyond, the collection is rebuilt."""
REBUILD_AGAIN_S = 86_400.0
"""A collection that loses vectors again soon after a rebuild is not rebuilt once more: that would not mend it."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe found: how many vectors it asked for, and the chunks that did not find themselves or have other vectors."""

    asked: int
    lost: Sequence[str] = ()

    @property
    def is_damaged(self) -> bool:
        """Whether so many are lost that the index itself must be damaged."""
        return len(self.lost) > max(1, TOLERATED_SHARE * self.asked)

    def error(self) -> CollectionCorrupt:
        """Return the error that says what was lost."""
        return CollectionCorrupt(
            f"{len(self.lost)} of {self.asked} vectors did not find themselves: the index is damaged"
        )

    def beside(self, known: Collection[str]) -> Probed:
        """Return what is lost beside the chunks that are known to be."""
        return Probed(self.asked, [chunk_id for chunk_id in self.lost if chunk_id not in known])


class SelfProbe:
    """Probes collections. The index writes nothing during a probe."""

    def __init__(self, store: Store, vector_store: VectorStore, index: Index) -> None:
        self._store = store
        self._vector_store = vector_store
        self._index = index
        self._rebuilt_at: dict[int, float] = {}

    async def heal(self, record: CollectionRecord, probed: Probed) -> None:
        """Have what a probe found lost written again or, if that is much, have its rebuild begun. Waits for that; twice is safe."""
        if not probed.lost:
            return
        log.warning(
            "index.lost_vectors", collection=record.target.collection, lost=len(probed.lost), asked=probed.asked
        )
        now = anyio.current_time()
        if probed.is_damaged and now - self._rebuilt_at.get(record.id, -REBUILD_AGAIN_S) >= REBUILD_AGAIN_S:
            await self._index.mailbox.ask(MendCollection(record.id, str(probed.error())))
            self._rebuilt_at[record.id] = now
        else:
            damage = f"{len(probed.lost)} of {probed.asked} vectors did not find themselves"
            await self._store.outbox.want(record.id, probed.lost, damage)
            await self._index.flush(record.id, probed.lost)

    async def probe(self, record: CollectionRecord, source_id: str | None = None) -> Probed:
        """Probe a random sample of a collection that is complete, or of what it holds of one source. Raises CollectionCorrupt, NotFoundError, RetryableError."""
        async with self._index.turn:
            record = await self._store.collections.by_id(record.id)
            # One that was replaced meanwhile lacks its rows and is about to be filled: there is nothing to probe.
            if record.rebuilding or await self._vector_store.collection_id(record.target) != record.chroma_id:
                return Probed(0)
            rows = await self._store.outbox.sample(record.id, SAMPLE, source_id)
            found = {
                row.id: row
                for row in await self._vector_store.get(
                    record.target, [row.id for row in rows], metadatas=False, documents=False, vectors=True
                )
            }
            lost = [
                row.id
                for row in rows
                if not row.is_sound
                or row.id not in found
                or differs_in_vector(row, found[row.id])
                or not await self._finds_itself(record, row)
            ]
        return Probed(len(rows), lost)

    async def _finds_itself(self, record: CollectionRecord, row: ChunkRow) -> bool:
        near = await self._vector_store.query(record.target, row.vector.tolist(), AMONG_NEAREST, contents=False)
        if any(hit.id == row.id for hit in near):
            return True
        same = [hit for hit in near if (hit.distance or 0.0) <= VECTOR_TOLERANCE]
        return len(same) == AMONG_NEAREST

"""The inverted indexes of searched collections, brought up to date before each search."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import numpy as np
from numpy.typing import NDArray

from syncd.model import SparseEncoder, SparseVector
from syncd.runtime.keylocks import KeyLocks
from syncd.search.lexical import InvertedIndex
from syncd.store.postings import PostingChanges, Postings, Seen

MAX_SIZE_BYTES = 1 << 30
"""Limit on all lists together; beyond it those of the least recently searched collections are dropped and re-read when needed."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Postings of one collection with their documents and scores, row by row."""

    postings: NDArray[np.int64]
    documents: NDArray[np.int64]
    scores: NDArray[np.float64]


@dataclass(slots=True)
class Reading:
    """One collection's lists, and how far its postings have been read."""

    fingerprint: str
    lexical: InvertedIndex = field(default_factory=InvertedIndex)
    seen: Seen = field(default_factory=Seen)


class IndexCache:
    """A cache: its content can always be read again from the store."""

    def __init__(self, postings: Postings, max_size_bytes: int = MAX_SIZE_BYTES) -> None:
        self._postings = postings
        self._max_size_bytes = max_size_bytes
        self._readings: OrderedDict[int, Reading] = OrderedDict()
        self._locks = KeyLocks()

    async def scored(self, collection_id: int, encoder: SparseEncoder, query: SparseVector) -> Scored:
        """Score every posting now in the store. Waits for its turn on the collection; the first call reads all of its postings."""
        async with self._locks.hold(str(collection_id)):
            reading = self._readings.get(collection_id)
            if reading is None or reading.fingerprint != encoder.fingerprint:
                reading = self._readings[collection_id] = Reading(encoder.fingerprint)
            self._readings.move_to_end(collection_id)
            await self._catch_up(collection_id, reading)
            self._bound(keep=collection_id)
            scores = await anyio.to_thread.run_sync(reading.lexical.scores, query, encoder.uses_idf)
            return Scored(reading.lexical.ids, reading.lexical.documents, scores)

    async def _catch_up(self, collection_id: int, reading: Reading) -> None:
        pages: list[PostingChanges] = []
        seen = reading.seen
        while not pages or pages[-1].more:
            pages.append(await self._postings.changes(collection_id, reading.fingerprint, seen))
            seen = pages[-1].seen
        if seen != reading.seen:
            await anyio.to_thread.run_sync(take_in, reading.lexical, pages)
            reading.seen = seen

    def _bound(self, keep: int) -> None:
        """Drop the least recently used lists until the rest fits."""
        total_bytes = sum(reading.lexical.size_bytes for reading in self._readings.values())
        for collection_id in [key for key in self._readings if key != keep]:
            if total_bytes <= self._max_size_bytes:
                return
            total_bytes -= self._readings.pop(collection_id).lexical.size_bytes


def take_in(lexical: InvertedIndex, pages: Sequence[PostingChanges]) -> None:
    """Apply pages of changes to an inverted index, in order."""
    pairs = np.concatenate([page.pairs for page in pages])
    lexical.add(
        np.concatenate([page.ids for page in pages]),
        np.concatenate([page.documents for page in pages]),
        np.concatenate([page.lengths for page in pages]),
        np.ascontiguousarray(pairs["term"]),
        np.ascontiguousarray(pairs["weight"]),
    )
    lexical.remove(np.concatenate([page.gone for page in pages]))
    lexical.tidy()

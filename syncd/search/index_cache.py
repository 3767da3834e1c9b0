"""The inverted indexes of searched collections, brought up to date before each search."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import anyio
import numpy as np
from numpy.typing import NDArray

from syncd.model import SparseVector
from syncd.runtime.keylocks import KeyLocks
from syncd.search.lexical import InvertedIndex
from syncd.store.postings import PostingChanges, Postings, Seen

CACHE_MAX_SIZE_BYTES = 1 << 30
"""Limit on all lists together; beyond it those of the least recently searched collections are dropped and re-read when needed."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Postings of one collection with their documents and scores, row by row."""

    postings: NDArray[np.int64]
    documents: NDArray[np.int64]
    scores: NDArray[np.float64]


@dataclass(slots=True)
class Reading:
    """One collection's lists, by the fingerprint of the model that made them, and how far its postings have been read."""

    fingerprints: Sequence[str]
    lexicals: dict[str, InvertedIndex] = field(default_factory=dict[str, InvertedIndex])
    seen: Seen = field(default_factory=Seen)

    @property
    def size_bytes(self) -> int:
        """Memory used by the lists."""
        return sum(lexical.size_bytes for lexical in self.lexicals.values())


class IndexCache:
    """A cache: its content can always be read again from the store."""

    def __init__(self, postings: Postings, max_size_bytes: int = CACHE_MAX_SIZE_BYTES) -> None:
        self._postings = postings
        self._max_size_bytes = max_size_bytes
        self._readings: OrderedDict[int, Reading] = OrderedDict()
        self._locks = KeyLocks()

    async def scored(self, collection_id: int, queries: Mapping[str, SparseVector], uses_idf: bool) -> Scored:
        """Score every posting now in the store with the query of the model that made it, by fingerprint.

        Waits for its turn on the collection; the first call reads all of its postings.
        """
        async with self._locks.hold(str(collection_id)):
            reading = self._readings.get(collection_id)
            if reading is None or reading.fingerprints != [*queries]:
                reading = self._readings[collection_id] = Reading([*queries])
            self._readings.move_to_end(collection_id)
            await self._catch_up(collection_id, reading)
            self._bound(keep=collection_id)
            return await anyio.to_thread.run_sync(scored_by_all, reading.lexicals, queries, uses_idf)

    async def _catch_up(self, collection_id: int, reading: Reading) -> None:
        pages: list[PostingChanges] = []
        seen = reading.seen
        while not pages or pages[-1].more:
            pages.append(await self._postings.changes(collection_id, reading.fingerprints, seen))
            seen = pages[-1].seen
        if seen != reading.seen:
            await anyio.to_thread.run_sync(take_in, reading.lexicals, pages)
            reading.seen = seen

    def _bound(self, keep: int) -> None:
        """Drop the least recently used lists until the rest fits."""
        total_bytes = sum(reading.size_bytes for reading in self._readings.values())
        for collection_id in [key for key in self._readings if key != keep]:
            if total_bytes <= self._max_size_bytes:
                return
            total_bytes -= self._readings.pop(collection_id).size_bytes


def take_in(lexicals: dict[str, InvertedIndex], pages: Sequence[PostingChanges]) -> None:
    """Apply pages of changes to inverted indexes, in order; one with nothing left in it goes."""
    gone = np.concatenate([page.gone for page in pages])
    for model in {model for page in pages for model in page.new} | lexicals.keys():
        lexical = lexicals.setdefault(model, InvertedIndex())
        if new := [page.new[model] for page in pages if model in page.new]:
            pairs = np.concatenate([some.pairs for some in new])
            lexical.add(
                np.concatenate([some.ids for some in new]),
                np.concatenate([some.documents for some in new]),
                np.concatenate([some.lengths for some in new]),
                np.ascontiguousarray(pairs["term"]),
                np.ascontiguousarray(pairs["weight"]),
            )
        lexical.remove(gone)
        lexical.tidy()
        if not len(lexical):
            del lexicals[model]


def scored_by_all(lexicals: Mapping[str, InvertedIndex], queries: Mapping[str, SparseVector], uses_idf: bool) -> Scored:
    """Return the scores of all rows of all indexes, each by its own model's query."""
    scores = [lexical.scores(queries[model], uses_idf) for model, lexical in lexicals.items()]
    return Scored(
        np.concatenate([np.empty(0, np.int64), *(lexical.ids for lexical in lexicals.values())]),
        np.concatenate([np.empty(0, np.int64), *(lexical.documents for lexical in lexicals.values())]),
        np.concatenate([np.empty(0), *scores]),
    )

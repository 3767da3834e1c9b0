"""The inverted index of one collection, and BM25's ranking over it. Pure: numpy in, numpy out.

Lists live in segments, as in every search engine: what is new becomes a small segment, small segments are merged into
larger ones, so that each posting is copied about log(n) times. Small ones are in memory, large ones in the file of words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from syncd.model import SparseVector
from syncd.store.segments import ListPiece, Segment, keys_of, merged, segment
from syncd.store.word_parts import StoredRows

MERGE_FACTOR = 4
"""In memory a segment is merged into the one before it unless that is this many times larger."""
STORED_MERGE_FACTOR = 4
"""So many stored segments of like size become one."""
MAX_DEAD_SHARE = 0.25
ROW_BYTES = 17
"""What a row takes in memory, wherever its lists are."""


@dataclass(frozen=True, slots=True)
class IndexPart:
    """So many consecutive rows. Their `lists` are here, or in the file of words under that number; rows in them begin at 0."""

    rows: int
    lists: Segment | int


class InvertedIndex:
    """Row n is the n-th posting that is in it; not safe for several threads at once."""

    def __init__(
        self,
        ids: NDArray[np.int64] | None = None,
        documents: NDArray[np.int64] | None = None,
        stored: Sequence[IndexPart] = (),
    ) -> None:
        self.ids = np.empty(0, np.int64) if ids is None else ids
        self.documents = np.empty(0, np.int64) if documents is None else documents
        self._alive = np.ones(len(self.ids), np.bool_)
        self._parts = list(stored)

    def __len__(self) -> int:
        """Return how many postings are alive."""
        return int(np.count_nonzero(self._alive))

    @property
    def stored(self) -> dict[int, int]:
        """The parts in the file of words, which are before those in memory: by number, the first row of each."""
        firsts = accumulate((part.rows for part in self._parts), initial=0)
        return {
            part.lists: first for part, first in zip(self._parts, firsts, strict=False) if isinstance(part.lists, int)
        }

    @property
    def unstored(self) -> range:
        """The places of the parts in memory."""
        return range(len(self.stored), len(self._parts))

    @property
    def rows_in_memory(self) -> int:
        """How many rows have their lists here."""
        return sum(part.rows for part in self._parts if isinstance(part.lists, Segment))

    @property
    def size_bytes(self) -> int:
        """Memory used."""
        lists = (part.lists for part in self._parts)
        return ROW_BYTES * len(self.ids) + sum(part.size_bytes for part in lists if isinstance(part, Segment))

    def add(
        self,
        ids: NDArray[np.int64],
        documents: NDArray[np.int64],
        lengths: NDArray[np.int64],
        terms: NDArray[np.uint32],
        weights: NDArray[np.float32],
    ) -> None:
        """Add rows: `ids` ascend and are larger than all before; row i has the next `lengths[i]` of the term weights."""
        if not len(ids):
            return
        self.ids = np.concatenate([self.ids, ids])
        self.documents = np.concatenate([self.documents, documents])
        self._alive = np.concatenate([self._alive, np.ones(len(ids), np.bool_)])
        rows = np.repeat(np.arange(len(ids), dtype=np.uint32), lengths)
        self._parts.append(IndexPart(len(ids), segment(keys_of(terms), rows, weights)))

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Remove rows; unknown ids are ignored."""
        places = np.searchsorted(self.ids, ids)
        inside = places < len(self.ids)
        places, ids = places[inside], ids[inside]
        self._alive[places[self.ids[places] == ids]] = False

    def keep_only(self, ids: NDArray[np.int64]) -> None:
        """Remove the rows that are not among `ids`, which ascend."""
        self._alive &= np.isin(self.ids, ids, assume_unique=True)

    def tidy(self) -> None:
        """Merge what is in memory and drop removed rows of it, if it is worth it."""
        while len(self.unstored) > 1 and self._parts[-2].rows < MERGE_FACTOR * self._parts[-1].rows:
            self._join(range(len(self._parts) - 2, len(self._parts)))
        if any(self._is_sparse(place) for place in self.unstored):
            self._join(self.unstored)

    def gathered(self) -> tuple[StoredRows, Segment] | None:
        """Make one part of those in memory and return its rows and lists; None if there are none."""
        self._join(self.unstored)
        lists = self._parts[-1].lists if self._parts else 0
        return None if isinstance(lists, int) else (StoredRows(*self.living(self.unstored)), lists)

    def due(self) -> range | None:
        """Return which stored parts, neighbours, are to become one without their removed rows; None: it is not worth it."""
        parts = self._parts[: len(self.stored)]
        alike = len(parts)
        while alike and parts[alike - 1].rows < STORED_MERGE_FACTOR * parts[-1].rows:
            alike -= 1
        if len(parts) - alike >= STORED_MERGE_FACTOR:
            return range(alike, len(parts))
        return next((range(i, i + 1) for i in range(len(parts)) if self._is_sparse(i)), None)

    def numbering(self, span: range) -> list[NDArray[np.int64]]:
        """Return, for each of these parts, which row each of its rows becomes when they become one; -1: it was removed."""
        alive = self._alive[self._rows_of(span)]
        numbers = np.where(alive, np.cumsum(alive, dtype=np.int64) - 1, -1)
        return np.split(numbers, np.cumsum([self._parts[place].rows for place in span])[:-1])

    def living(self, span: range) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the ids and documents of these parts' rows that were not removed."""
        rows = self._rows_of(span)
        return self.ids[rows][self._alive[rows]], self.documents[rows][self._alive[rows]]

    def replace(self, span: range, lists: Segment | int) -> None:
        """Put one part, with these lists of the rows that were not removed, in the place of some; none if there are no such rows."""
        rows = self._rows_of(span)
        kept = np.ones(len(self.ids), np.bool_)
        kept[rows] = self._alive[rows]
        count = int(np.count_nonzero(kept[rows]))
        self.ids, self.documents, self._alive = self.ids[kept], self.documents[kept], self._alive[kept]
        self._parts[span.start : span.stop] = [IndexPart(count, lists)] if count else []

    def scores(
        self, query: SparseVector, uses_idf: bool, stored: Mapping[int, Sequence[ListPiece]] | None = None
    ) -> NDArray[np.float64]:
        """Return every row's score; 0 for removed rows and those without a term of the query.

        The score is the sum over terms of query weight x row weight; with `uses_idf`, each term counts by BM25's idf as
        Lucene and Chroma have it, ln(1 + (n - df + 0.5) / (df + 0.5)), over the rows alive now. `stored`: the lists of the
        query's terms in the file of words, by key.
        """
        scores, count, keys = np.zeros(len(self.ids)), len(self), keys_of(query.indices.astype(np.uint32))
        firsts = accumulate((part.rows for part in self._parts), initial=0)
        parts = [(part.lists, first) for part, first in zip(self._parts, firsts, strict=False)]
        memory = [(lists, first) for lists, first in parts if isinstance(lists, Segment)]
        for key, weight in zip(keys.tolist(), query.values.tolist(), strict=True):
            places = [(lists, lists.slice_of(key), first) for lists, first in memory]
            found = [
                *(stored or {}).get(key, ()),
                *((first, s.rows[place], s.weights[place]) for s, place, first in places),
            ]
            if uses_idf:
                frequency = sum(int(np.count_nonzero(self._alive[first:][rows])) for first, rows, _ in found)
                weight *= float(np.log1p((count - frequency + 0.5) / (frequency + 0.5)))
            for first, rows, weights in found:
                scores[first:][rows] += weight * weights.astype(np.float64)
        scores[~self._alive] = 0.0
        return scores

    def _join(self, span: range) -> None:
        """Make one part of some in memory."""
        lists = [part.lists for part in self._parts[span.start : span.stop] if isinstance(part.lists, Segment)]
        if lists:
            self.replace(span, merged(lists, self.numbering(span)))

    def _rows_of(self, span: range) -> slice:
        start = sum(part.rows for part in self._parts[: span.start])
        return slice(start, start + sum(self._parts[place].rows for place in span))

    def _is_sparse(self, place: int) -> bool:
        alive = self._alive[self._rows_of(range(place, place + 1))]
        return bool(len(alive) - np.count_nonzero(alive) > MAX_DEAD_SHARE * len(alive))


def best(scores: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    """Return the `limit` rows with the highest scores above 0, best first; equal scores in the order of rows."""
    rows = np.flatnonzero(scores > 0)
    if len(rows) > limit:
        bound = np.partition(scores[rows], -limit)[-limit]
        rows = rows[scores[rows] >= bound]
    return rows[np.argsort(-scores[rows], kind="stable")][:limit]

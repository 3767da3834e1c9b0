"""Inverted lists in memory, and BM25's ranking over them. Pure: numpy in, numpy out.

Lists live in segments, as in every search engine: what is new becomes a small segment, small segments are merged into
larger ones, so that each posting is copied about log(n) times.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncd.model import SparseVector

MERGE_FACTOR = 4
"""A segment is merged into the one before it unless that is this many times larger."""
MAX_DEAD_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Segment:
    """Postings by term: those of `terms[i]` are `rows[starts[i]:starts[i + 1]]`, ascending, with their `weights`."""

    terms: NDArray[np.uint32]
    starts: NDArray[np.int64]
    rows: NDArray[np.uint32]
    weights: NDArray[np.float32]

    def slice_of(self, term: int) -> slice:
        """Return where a term's postings stand."""
        place = int(np.searchsorted(self.terms, np.uint32(term)))
        if place == len(self.terms) or self.terms[place] != term:
            return slice(0, 0)
        return slice(int(self.starts[place]), int(self.starts[place + 1]))


def segment(terms: NDArray[np.uint32], rows: NDArray[np.uint32], weights: NDArray[np.float32]) -> Segment:
    """Return the segment of these postings, whose rows ascend within each term."""
    # Sorting (term, place) as one number is a stable sort by term, and several times faster than a stable argsort.
    keys = np.sort((terms.astype(np.uint64) << np.uint64(32)) | np.arange(len(terms), dtype=np.uint64))
    ordered = (keys >> np.uint64(32)).astype(np.uint32)
    order = keys & np.uint64(0xFFFFFFFF)
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(ordered)), np.bool_), ordered[1:] != ordered[:-1]]))
    return Segment(ordered[starts], np.append(starts, len(ordered)), rows[order], weights[order])


def merged(first: Segment, second: Segment) -> Segment:
    """Return two segments as one; all rows of `second` are larger."""
    terms = [np.repeat(part.terms, np.diff(part.starts)) for part in (first, second)]
    return segment(
        np.concatenate(terms),
        np.concatenate([first.rows, second.rows]),
        np.concatenate([first.weights, second.weights]),
    )


class InvertedIndex:
    """The inverted lists of one collection. Row n is the n-th posting added; not safe for several threads at once."""

    def __init__(self) -> None:
        self.ids = np.empty(0, np.int64)
        self.documents = np.empty(0, np.int64)
        self._alive = np.empty(0, np.bool_)
        self._segments: list[Segment] = []

    def __len__(self) -> int:
        """Return how many postings are alive."""
        return int(np.count_nonzero(self._alive))

    @property
    def size_bytes(self) -> int:
        """Memory used by the lists."""
        return 17 * len(self.ids) + sum(
            s.terms.nbytes + s.starts.nbytes + s.rows.nbytes + s.weights.nbytes for s in self._segments
        )

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
        first = len(self.ids)
        self.ids = np.concatenate([self.ids, ids])
        self.documents = np.concatenate([self.documents, documents])
        self._alive = np.concatenate([self._alive, np.ones(len(ids), np.bool_)])
        rows = np.repeat(np.arange(first, first + len(ids), dtype=np.uint32), lengths)
        self._segments.append(segment(terms, rows, weights))

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Remove rows; unknown ids are ignored."""
        places = np.searchsorted(self.ids, ids)
        inside = places < len(self.ids)
        places, ids = places[inside], ids[inside]
        self._alive[places[self.ids[places] == ids]] = False

    def tidy(self) -> None:
        """Merge segments and drop removed rows, if it is worth it."""
        segments = self._segments
        while len(segments) > 1 and len(segments[-2].rows) < MERGE_FACTOR * len(segments[-1].rows):
            last = segments.pop()
            segments[-1] = merged(segments[-1], last)
        if len(self.ids) - len(self) > MAX_DEAD_SHARE * len(self.ids):
            self._drop_dead()

    def scores(self, query: SparseVector, uses_idf: bool) -> NDArray[np.float64]:
        """Return every row's score; 0 for removed rows and those without a term of the query.

        The score is the sum over terms of query weight x row weight; with `uses_idf`, each term counts by BM25's idf as
        Lucene and Chroma have it, ln(1 + (n - df + 0.5) / (df + 0.5)), over the rows alive now.
        """
        scores = np.zeros(len(self.ids))
        count = len(self)
        for term, weight in zip(query.indices.tolist(), query.values.tolist(), strict=True):
            places = [(part, part.slice_of(term)) for part in self._segments]
            found = [(part.rows[place], part.weights[place]) for part, place in places]
            if uses_idf:
                frequency = sum(int(np.count_nonzero(self._alive[rows])) for rows, _ in found)
                weight *= float(np.log1p((count - frequency + 0.5) / (frequency + 0.5)))
            for rows, weights in found:
                scores[rows] += weight * weights.astype(np.float64)
        scores[~self._alive] = 0.0
        return scores

    def _drop_dead(self) -> None:
        """Renumber the live rows and drop the others."""
        numbers = np.cumsum(self._alive, dtype=np.int64) - 1
        kept: list[Segment] = []
        for part in self._segments:
            stays = self._alive[part.rows]
            terms = np.repeat(part.terms, np.diff(part.starts))[stays]
            kept.append(segment(terms, numbers[part.rows[stays]].astype(np.uint32), part.weights[stays]))
        self._segments = kept
        self.ids, self.documents = self.ids[self._alive], self.documents[self._alive]
        self._alive = np.ones(len(self.ids), np.bool_)


def best(scores: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    """Return the `limit` rows with the highest scores above 0, best first; equal scores in the order of rows."""
    rows = np.flatnonzero(scores > 0)
    if len(rows) > limit:
        bound = np.partition(scores[rows], -limit)[-limit]
        rows = rows[scores[rows] >= bound]
    return rows[np.argsort(-scores[rows], kind="stable")][:limit]

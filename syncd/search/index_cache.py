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
from syncd.search.lexical import IndexPart, InvertedIndex
from syncd.store.posting_changes import PostingChanges, Seen
from syncd.store.postings import Postings
from syncd.store.segments import ListPiece, Segment, keys_of
from syncd.store.word_file import StoredIndex, WordFile, WordFileDamagedError
from syncd.store.word_parts import StoredRows

CACHE_MAX_SIZE_BYTES = 1 << 28
"""Limit on what is in memory of all; beyond it the least recently searched collections are dropped and loaded again when needed."""
MAX_ROWS_IN_MEMORY = 5_000
"""So many of a collection's rows, 3 MB, go into the file of words. After a start the first search reads fewer postings than that."""
MAX_ROWS_BEHIND = 20_000
"""So many that no search has read, two seconds of CPU, are read before one asks for them."""
MAX_ROWS_AT_ONCE = 50_000
"""So many do while more are read: large parts are made once, and small ones again and again."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Postings of one collection with their documents and scores, row by row."""

    postings: NDArray[np.int64]
    documents: NDArray[np.int64]
    scores: NDArray[np.float64]


@dataclass(slots=True)
class Reading:
    """One collection's indexes, by the fingerprint of the model that made them, and how far its postings have been read."""

    fingerprints: Sequence[str]
    lexicals: dict[str, InvertedIndex] = field(default_factory=dict[str, InvertedIndex])
    seen: Seen = field(default_factory=Seen)

    @property
    def size_bytes(self) -> int:
        """Memory used."""
        return sum(lexical.size_bytes for lexical in self.lexicals.values())


class IndexCache:
    """A cache: its content can always be read again from the store."""

    def __init__(self, postings: Postings, words: WordFile, max_size_bytes: int = CACHE_MAX_SIZE_BYTES) -> None:
        self._postings = postings
        self._words = words
        self._max_size_bytes = max_size_bytes
        self._readings: OrderedDict[int, Reading] = OrderedDict()
        self._ahead: dict[tuple[int | str, ...], int] = {}
        """Up to which posting was read ahead, by collection and models: of those of other models alone nothing is stored."""
        self._locks = KeyLocks()

    async def scored(self, collection_id: int, queries: Mapping[str, SparseVector], uses_idf: bool) -> Scored:
        """Score every posting now in the store with the query of the model that made it, by fingerprint.

        Waits for its turn on the collection; reads the postings that were added since the last call, all if there was none.
        """
        async with self._locks.hold(str(collection_id)):
            try:
                return await self._scored(collection_id, queries, uses_idf)
            except WordFileDamagedError:
                self._words.give_up()
                self._readings.clear()
                return await self._scored(collection_id, queries, uses_idf)

    async def read_ahead(self, collection_id: int, models: Sequence[str]) -> None:
        """Bring the file of words up to date, so that the next search reads little; not where that is little already. The log of
        deleted postings is cut to what has not been read.

        Waits for its turn on the collection. What nobody has searched does not stay in memory. Twice is safe.
        """
        async with self._locks.hold(str(collection_id)):
            is_searched = collection_id in self._readings
            try:
                stored = await self._words.seen(collection_id, models)
                seen = max(stored or 0, self._ahead.get((collection_id, *models), 0))
                if stored is not None and await self._postings.are_beyond(collection_id, seen, MAX_ROWS_BEHIND):
                    reading = await self._current(collection_id, [*models])
                    self._ahead[collection_id, *models] = reading.seen.posting
            except WordFileDamagedError:
                self._words.give_up()
                self._readings.clear()
            if not is_searched:
                self._readings.pop(collection_id, None)
            reading = self._readings.get(collection_id)
            await self._postings.forget_gone(collection_id, reading and reading.seen.gone)

    async def _scored(self, collection_id: int, queries: Mapping[str, SparseVector], uses_idf: bool) -> Scored:
        reading = await self._current(collection_id, [*queries])
        stored: dict[str, Mapping[int, Sequence[ListPiece]]] = {}
        for model, lexical in reading.lexicals.items():
            if parts := lexical.stored:
                keys = keys_of(queries[model].indices.astype(np.uint32))
                stored[model] = await self._words.lists(parts, keys)
        return await anyio.to_thread.run_sync(scored_by_all, reading.lexicals, queries, uses_idf, stored)

    async def _current(self, collection_id: int, models: Sequence[str]) -> Reading:
        """Return a collection's indexes with all of its postings."""
        reading = self._readings.get(collection_id)
        if reading is None or reading.fingerprints != models:
            reading = self._readings[collection_id] = await self._loaded(collection_id, models)
        self._readings.move_to_end(collection_id)
        await self._catch_up(collection_id, reading)
        self._bound(keep=collection_id)
        return reading

    async def _loaded(self, collection_id: int, models: Sequence[str]) -> Reading:
        """Return what the file of words has of a collection and is still in the store."""
        index = await self._words.load(collection_id, models)
        there, seen = await self._postings.there(collection_id, index.seen if index else 0)
        lexicals = await anyio.to_thread.run_sync(indexes_of, index, there) if index else {}
        return Reading(models, lexicals, seen)

    async def _catch_up(self, collection_id: int, reading: Reading) -> None:
        more = True
        while more:
            page = await self._postings.changes(collection_id, reading.fingerprints, reading.seen)
            if page.seen != reading.seen:
                await anyio.to_thread.run_sync(take_in, reading.lexicals, page)
                reading.seen = page.seen
            # What was written and is not known here to be would be written twice.
            with anyio.CancelScope(shield=True):
                await self._settle(collection_id, reading, MAX_ROWS_AT_ONCE if page.more else MAX_ROWS_IN_MEMORY)
            more = page.more

    async def _settle(self, collection_id: int, reading: Reading, max_rows: int) -> None:
        """Put `max_rows` or more into the file of words, and few large parts in the place of many small ones."""
        lexicals = {model: lexical for model, lexical in reading.lexicals.items() if lexical.rows_in_memory}
        if sum(lexical.rows_in_memory for lexical in lexicals.values()) >= max_rows:
            gathered = await anyio.to_thread.run_sync(gathered_parts, lexicals)
            numbers = await self._words.add(collection_id, reading.fingerprints, reading.seen, gathered)
            for model, number in (numbers or {}).items():
                lexicals[model].replace(lexicals[model].unstored, number)
        for lexical in reading.lexicals.values():
            while span := lexical.due():
                numbers, rows = [*lexical.stored][span.start : span.stop], StoredRows(*lexical.living(span))
                number = await self._words.join(numbers, rows, lexical.numbering(span), reading.seen.gone)
                if number is None:
                    break
                lexical.replace(span, number)

    def _bound(self, keep: int) -> None:
        """Drop the least recently used indexes until the rest fits."""
        total_bytes = sum(reading.size_bytes for reading in self._readings.values())
        for collection_id in [key for key in self._readings if key != keep]:
            if total_bytes <= self._max_size_bytes:
                return
            total_bytes -= self._readings.pop(collection_id).size_bytes


def indexes_of(stored: StoredIndex, there: NDArray[np.int64]) -> dict[str, InvertedIndex]:
    """Return the indexes that were stored, by model; of their postings only those in `there`, whose ids ascend, count."""
    found: dict[str, InvertedIndex] = {}
    for model, parts in stored.parts.items():
        ids = np.concatenate([rows.ids for rows in parts.values()])
        documents = np.concatenate([rows.documents for rows in parts.values()])
        lexical = InvertedIndex(ids, documents, [IndexPart(len(rows.ids), number) for number, rows in parts.items()])
        lexical.keep_only(there)
        found[model] = lexical
    return found


def take_in(lexicals: dict[str, InvertedIndex], page: PostingChanges) -> None:
    """Apply changes to inverted indexes; one with nothing left in it goes."""
    for model in page.new.keys() | lexicals.keys():
        lexical = lexicals.setdefault(model, InvertedIndex())
        if new := page.new.get(model):
            terms, weights = np.ascontiguousarray(new.pairs["term"]), np.ascontiguousarray(new.pairs["weight"])
            lexical.add(new.ids, new.documents, new.lengths, terms, weights)
        lexical.remove(page.gone)
        lexical.tidy()
        if not len(lexical) and not lexical.stored:
            del lexicals[model]


def gathered_parts(lexicals: Mapping[str, InvertedIndex]) -> dict[str, tuple[StoredRows, Segment]]:
    """Return what indexes have in memory, as one part of each that has any."""
    return {model: gathered for model, lexical in lexicals.items() if (gathered := lexical.gathered())}


def scored_by_all(
    lexicals: Mapping[str, InvertedIndex],
    queries: Mapping[str, SparseVector],
    uses_idf: bool,
    stored: Mapping[str, Mapping[int, Sequence[ListPiece]]],
) -> Scored:
    """Return the scores of all rows of all indexes, each by its own model's query; `stored`: the lists of those that have some in the file."""
    scores = [lexical.scores(queries[model], uses_idf, stored.get(model)) for model, lexical in lexicals.items()]
    return Scored(
        np.concatenate([np.empty(0, np.int64), *(lexical.ids for lexical in lexicals.values())]),
        np.concatenate([np.empty(0, np.int64), *(lexical.documents for lexical in lexicals.values())]),
        np.concatenate([np.empty(0), *scores]),
    )

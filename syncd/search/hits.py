"""Hits with their content: from the store or, for rows that syncd did not write, from the vector store. Pure."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from syncd.model import Row
from syncd.search.fuse import Ranked
from syncd.search.query import SearchHit
from syncd.search.sparse_query import SparseQuery
from syncd.store.chunks import FoundChunk


def hit_of(ranked: Ranked, collection: str, place: int, chunk: FoundChunk | None, row: Row | None) -> SearchHit | None:
    """Return the hit at a place of a collection's ranking with its content from the store or, for rows that syncd did not
    write, from Chroma.
    """
    make = partial(
        SearchHit,
        id=ranked.id,
        score=ranked.score,
        dense_rank=ranked.dense_rank,
        sparse_rank=ranked.sparse_rank,
        also=ranked.also,
        collection=collection,
        place=place,
    )
    if chunk is not None:
        times = chunk.recorded_at, chunk.changed_at
        lag_s = None if times[0] is None or times[1] is None else times[0] - times[1]
        return make(
            text=chunk.text,
            metadata=chunk.metadata,
            stage=chunk.stage,
            recorded_at=chunk.recorded_at,
            lag_s=lag_s,
            document_id=chunk.document_id,
        )
    return make(text=row.document or "", metadata=row.metadata) if row else None


def highlighted(hit: SearchHit, words: SparseQuery | None) -> SearchHit:
    """Return the hit with the places of the query's words."""
    return (
        hit
        if words is None
        else replace(hit, highlights=tuple(words.encoder.spans(hit.text, words.vectors[words.encoder.fingerprint])))
    )

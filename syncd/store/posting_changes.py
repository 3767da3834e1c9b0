"""Which postings of a collection came and went since a reader last looked."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncd.store.sparse_codec import PAIR

PAGE_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Seen:
    """The position up to which a reader of one collection has read."""

    posting: int = 0
    gone: int = 0


@dataclass(frozen=True, slots=True)
class NewPostings:
    """Postings of one model. Row i has the next `lengths[i]` of the `pairs`."""

    ids: NDArray[np.int64]
    documents: NDArray[np.int64]
    lengths: NDArray[np.int64]
    pairs: NDArray[np.void]


@dataclass(frozen=True, slots=True)
class PostingChanges:
    """What changed since `Seen`: the new postings of each model asked for that has any, and those gone of all."""

    new: Mapping[str, NewPostings]
    gone: NDArray[np.int64]
    seen: Seen
    more: bool


def read_changes(
    connection: sqlite3.Connection, collection_id: int, models: Sequence[str], seen: Seen
) -> PostingChanges:
    """Return a page of changes within the caller's transaction."""
    rows = connection.execute(
        "SELECT id, document_id, vector, model FROM postings WHERE collection_id = ? AND id > ? ORDER BY id LIMIT ?",
        (collection_id, seen.posting, PAGE_ROWS),
    ).fetchall()
    gone = connection.execute(
        "SELECT id, seq FROM postings_gone WHERE collection_id = ? AND seq > ? ORDER BY seq", (collection_id, seen.gone)
    ).fetchall()
    found: dict[str, list[tuple[int, int, bytes, str]]] = {}
    for row in rows:
        if row[3] in models:
            found.setdefault(row[3], []).append(row)
    return PostingChanges(
        new={model: new_postings(some) for model, some in found.items()},
        gone=np.array([row[0] for row in gone], np.int64),
        seen=Seen(rows[-1][0] if rows else seen.posting, gone[-1][1] if gone else seen.gone),
        more=len(rows) == PAGE_ROWS,
    )


def new_postings(rows: Sequence[tuple[int, int, bytes, str]]) -> NewPostings:
    """Return postings of one model as they stand in the database."""
    return NewPostings(
        ids=np.array([row[0] for row in rows], np.int64),
        documents=np.array([row[1] for row in rows], np.int64),
        lengths=np.array([len(row[2]) // PAIR.itemsize for row in rows], np.int64),
        pairs=np.frombuffer(b"".join(row[2] for row in rows), PAIR),
    )

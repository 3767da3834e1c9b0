"""Parts of inverted indexes in the tables of the file of words: rows, and blocks of lists. Each function runs in its caller's transaction."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncd.store.segments import (
    BUCKETS,
    ListPiece,
    Segment,
    buckets_of,
    list_in,
    merged,
    packed_segment,
    sealed,
    segment,
    unpacked_segment,
    unsealed,
)

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS readings (collection_id INTEGER PRIMARY KEY, models TEXT NOT NULL, seen INTEGER NOT NULL, "
    "gone INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS parts (number INTEGER PRIMARY KEY, collection_id INTEGER NOT NULL, model TEXT NOT NULL, "
    "first INTEGER NOT NULL, ids BLOB NOT NULL, documents BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS parts_by_collection ON parts (collection_id, first)",
    # The id is the part's number and the bucket.
    "CREATE TABLE IF NOT EXISTS blocks (id INTEGER PRIMARY KEY, lists BLOB NOT NULL)",
)
_NO_LISTS = segment(np.empty(0, np.uint32), np.empty(0, np.uint32), np.empty(0, np.float32))
_NUMBER_BITS = 48
"""Numbers of parts are random, so that one of a file that was given up means nothing in the next."""


@dataclass(frozen=True, slots=True)
class StoredRows:
    """The rows of a part, in the order of their ids."""

    ids: NDArray[np.int64]
    documents: NDArray[np.int64]


def block_id(number: int, bucket: int) -> int:
    """Return under which id a part's block is stored."""
    return number * BUCKETS + bucket


def parts_of(connection: sqlite3.Connection, collection_id: int) -> Iterator[tuple[str, int, StoredRows]]:
    """Yield a collection's parts in the order of their ids, as (model, number, rows). Raises ValueError for a damaged one."""
    selected = "SELECT model, number, ids, documents FROM parts WHERE collection_id = ? ORDER BY first"
    for model, number, *columns in connection.execute(selected, (collection_id,)):
        yield model, number, StoredRows(*(np.frombuffer(unsealed(column), np.int64) for column in columns))


def insert_part(
    connection: sqlite3.Connection,
    collection_id: int,
    model: str,
    rows: StoredRows,
    blocks: Iterable[tuple[int, Segment]],
) -> int:
    """Add a part and return its number. `rows` are not none."""
    number = secrets.randbits(_NUMBER_BITS) + 1
    columns = (sealed(rows.ids.tobytes()), sealed(rows.documents.tobytes()))
    connection.execute(
        "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?)", (number, collection_id, model, int(rows.ids[0]), *columns)
    )
    for bucket, lists in blocks:
        connection.execute("INSERT INTO blocks VALUES (?, ?)", (block_id(number, bucket), packed_segment(lists)))
    return number


def delete_part(connection: sqlite3.Connection, number: int) -> None:
    """Delete a part, if it is there."""
    connection.execute("DELETE FROM parts WHERE number = ?", (number,))
    bounds = (block_id(number, 0), block_id(number, BUCKETS - 1))
    connection.execute("DELETE FROM blocks WHERE id BETWEEN ? AND ?", bounds)


def forget_collection(connection: sqlite3.Connection, collection_id: int) -> None:
    """Delete all that there is of a collection."""
    connection.execute("DELETE FROM readings WHERE collection_id = ?", (collection_id,))
    selected = "SELECT number FROM parts WHERE collection_id = ?"
    for (number,) in connection.execute(selected, (collection_id,)).fetchall():
        delete_part(connection, number)


def owner_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> tuple[int, str]:
    """Return the collection and model of parts that have one. Raises ValueError if one is not there."""
    marks = ", ".join("?" * len(numbers))
    found = connection.execute(f"SELECT collection_id, model FROM parts WHERE number IN ({marks})", numbers).fetchall()
    if len(found) != len(numbers):
        raise ValueError("a part is missing")
    return found[0]


def lists_in(
    connection: sqlite3.Connection, parts: Mapping[int, int], keys: NDArray[np.uint32]
) -> dict[int, list[ListPiece]]:
    """Return the lists of some terms, by key, in parts by number, each with its first row. Raises ValueError for a damaged one."""
    found: dict[int, list[ListPiece]] = {}
    for key, bucket in zip(keys, buckets_of(keys).tolist(), strict=True):
        blocks = [(first, _block(connection, number, bucket)) for number, first in parts.items()]
        found[int(key)] = [(first, *list_in(block, key)) for first, block in blocks if block]
    return found


def _block(connection: sqlite3.Connection, number: int, bucket: int) -> bytes | None:
    row = connection.execute("SELECT lists FROM blocks WHERE id = ?", (block_id(number, bucket),)).fetchone()
    return row and row[0]


def joined_blocks(
    connection: sqlite3.Connection, numbers: Sequence[int], numbering: Sequence[NDArray[np.int64]]
) -> Iterator[tuple[int, Segment]]:
    """Yield the blocks of parts as one; see `merged`. One at a time, so memory stays small."""
    for bucket in range(BUCKETS):
        blocks = [_block(connection, number, bucket) for number in numbers]
        one = merged([unpacked_segment(block) if block else _NO_LISTS for block in blocks], numbering)
        if len(one.keys):
            yield bucket, one

"""Stores the labels that metadata files and invocations give to objects of S3 sources."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from syncd.model import Metadata, Scalar
from syncd.store.checked_tables import LABEL_ROWS, require_as_stored
from syncd.store.codec import dumps
from syncd.store.database import Database

COLUMNS = "file_key, path, collection, custom_id, metadata, etag, said_at"
STANDING = LABEL_ROWS.standing()


@dataclass(frozen=True, slots=True)
class Label:
    """What a metadata file or an invocation says about the object at `path`."""

    file_key: str
    """The metadata file it comes from; '' for an invocation."""
    path: str
    """'' means every object of the source."""
    collection: str
    """'' means the source's own."""
    custom_id: str = ""
    metadata: Metadata = field(default_factory=dict[str, Scalar])
    etag: str = ""
    """The metadata file's ETag."""
    said_at: float = 0.0
    """Seconds since the epoch: when the file was uploaded, or the invocation created."""


@dataclass(frozen=True, slots=True)
class PendingCheck:
    """A key of one collection whose label changed and for which no check has been requested yet."""

    number: int
    path: str
    collection: str


class Labels:
    """Each method is one transaction, and repeating one changes nothing."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def note_file(self, source_id: str, file_key: str, label: Label | None, seen: str | None = None) -> None:
        """Replace the label of the metadata file `file_key` (None: remove it) and record the checks that this needs.

        They cover the object's old and new collections, and the source's own, which holds it while no file labels it.
        """

        def transaction(connection: sqlite3.Connection) -> None:
            old = find_label_file(connection, source_id, file_key)
            if old == label:
                if seen is not None:
                    mark_seen(connection, source_id, [file_key], seen)
                return
            connection.execute("DELETE FROM s3_labels WHERE source_id = ? AND file_key = ?", (source_id, file_key))
            if label is not None:
                insert_label(connection, source_id, label, seen or "")
            places = {(said.path, c) for said in (old, label) if said is not None for c in (said.collection, "")}
            connection.executemany(
                "INSERT INTO s3_looks (source_id, path, collection) VALUES (?, ?, ?)",
                [(source_id, path, collection) for path, collection in sorted(places)],
            )

        await self._db.write(transaction)

    async def say(self, source_id: str, label: Label) -> None:
        """Store the label that an invocation gives to a path in one collection, unless there is a later one."""

        def transaction(connection: sqlite3.Connection) -> None:
            said = connection.execute(
                f"SELECT {COLUMNS}, {STANDING} FROM s3_labels WHERE source_id = ? AND file_key = '' AND path = ? AND collection = ?",
                (source_id, label.path, label.collection),
            ).fetchone()
            if said is None or label_from(said).said_at <= label.said_at:
                insert_label(connection, source_id, replace(label, file_key="", etag=""), "")

        await self._db.write(transaction)

    async def file(self, source_id: str, file_key: str) -> Label | None:
        """Return a metadata file's label as last read, or None."""
        return await self._db.read(lambda c: find_label_file(c, source_id, file_key))

    async def of(self, source_id: str, path: str) -> Sequence[Label]:
        """Return all labels of one object, including those for every object."""
        statement = f"SELECT {COLUMNS}, {STANDING} FROM s3_labels WHERE source_id = ? AND path IN (?, '')"
        return await self._db.read(lambda c: [label_from(row) for row in c.execute(statement, (source_id, path))])

    async def between(self, source_id: str, after: str, last: str | None) -> Sequence[Label]:
        """Return all labels of objects behind `after`, up to `last` (None: to the end), and those for every object."""
        statement = (
            f"SELECT {COLUMNS}, {STANDING} FROM s3_labels WHERE source_id = ?1 AND path > ?2 AND (?3 IS NULL OR path <= ?3) "
            f"UNION SELECT {COLUMNS}, {STANDING} FROM s3_labels WHERE source_id = ?1 AND path = ''"
        )
        return await self._db.read(
            lambda c: [label_from(row) for row in c.execute(statement, (source_id, after, last))]
        )

    async def collections(self, source_id: str) -> Sequence[str]:
        """Return the collections that labels name, except the source's own."""
        statement = (
            f"SELECT DISTINCT collection, {STANDING} FROM s3_labels WHERE source_id = ? AND collection != '' ORDER BY 1"
        )
        return await self._db.read(lambda c: [name for (name,) in as_stored(c.execute(statement, (source_id,)))])

    async def etags(self, source_id: str, file_keys: Collection[str]) -> dict[str, str]:
        """Return the ETags of these metadata files as last read, by key."""

        def query(connection: sqlite3.Connection) -> dict[str, str]:
            rows = connection.execute(
                f"SELECT file_key, etag, {STANDING} FROM s3_labels WHERE source_id = ? AND file_key IN (SELECT value FROM json_each(?))",
                (source_id, json.dumps(sorted(file_keys))),
            )
            return dict(as_stored(rows))

        return await self._db.read(query)

    async def mark_seen(self, source_id: str, file_keys: Sequence[str], seen: str) -> None:
        """Record that the listing `seen` contained these metadata files."""
        await self._db.write(lambda c: mark_seen(c, source_id, file_keys, seen))

    async def unseen(self, source_id: str, seen: str, after: str, limit: int) -> Sequence[str]:
        """Return up to `limit` metadata files after `after`, in key order, that the listing `seen` did not contain."""
        statement = "SELECT file_key FROM s3_labels WHERE source_id = ? AND file_key > ? AND seen != ? ORDER BY file_key LIMIT ?"
        return await self._db.read(lambda c: [key for (key,) in c.execute(statement, (source_id, after, seen, limit))])

    async def checks(self, source_id: str, limit: int = 1000) -> Sequence[PendingCheck]:
        """Return checks that have not been requested yet, oldest first."""
        statement = "SELECT number, path, collection FROM s3_looks WHERE source_id = ? ORDER BY number LIMIT ?"
        return await self._db.read(lambda c: [PendingCheck(*row) for row in c.execute(statement, (source_id, limit))])

    async def looked(self, numbers: Sequence[int]) -> None:
        """Remove checks whose invocations are durable."""
        await self._db.write(
            lambda c: c.executemany("DELETE FROM s3_looks WHERE number = ?", [(number,) for number in numbers])
        )


def find_label_file(connection: sqlite3.Connection, source_id: str, file_key: str) -> Label | None:
    """Return the label of one metadata file, or None."""
    row = connection.execute(
        f"SELECT {COLUMNS}, {STANDING} FROM s3_labels WHERE source_id = ? AND file_key = ?", (source_id, file_key)
    ).fetchone()
    return label_from(row) if row else None


def insert_label(connection: sqlite3.Connection, source_id: str, label: Label, seen: str) -> None:
    """Insert or replace one label."""
    connection.execute(
        f"INSERT OR REPLACE INTO s3_labels (source_id, {COLUMNS}, seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            source_id,
            label.file_key,
            label.path,
            label.collection,
            label.custom_id,
            dumps(dict(label.metadata)),
            label.etag,
            label.said_at,
            seen,
        ),
    )


def mark_seen(connection: sqlite3.Connection, source_id: str, file_keys: Sequence[str], seen: str) -> None:
    """Record that the listing `seen` contained these metadata files."""
    connection.executemany(
        "UPDATE s3_labels SET seen = ? WHERE source_id = ? AND file_key = ?", [(seen, source_id, k) for k in file_keys]
    )


def label_from(row: tuple[str, str, str, str, str, str, float, int | None]) -> Label:
    """Return the Label in a row of COLUMNS and STANDING. Raises DamagedRowError."""
    file_key, path, collection, custom_id, metadata, etag, said_at, standing = row
    require_as_stored(standing)
    return Label(file_key, path, collection, custom_id, json.loads(metadata), etag, said_at)


def as_stored(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield rows without their last column, STANDING. Raises DamagedRowError."""
    for *row, standing in rows:
        require_as_stored(standing)
        yield tuple(row)

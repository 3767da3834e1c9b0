"""The file of words: the large inverted lists of collections, made of the postings, and made again of them where they are lost.

    postings durable in the database → lists and how far they go durable here, in one transaction

A crash leaves the file as it was, or a transaction further; what it does not have yet is read from the postings. Ids of
postings are never used twice, so what is in it stays right, but for what went since.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import aiosqlite
import numpy as np
import structlog
from numpy.typing import NDArray

from syncd.errors import ConfigError, RetryableError
from syncd.store.codec import dumps
from syncd.store.connections import committed, open_connection, run_in_thread
from syncd.store.posting_changes import Seen
from syncd.store.segments import ListPiece, Segment
from syncd.store.word_parts import (
    SCHEMA,
    StoredRows,
    delete_part,
    forget_collection,
    insert_part,
    joined_blocks,
    lists_in,
    owner_of,
    parts_of,
)

log = structlog.get_logger()

T = TypeVar("T")

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    # What is lost with the power is read again from the postings.
    "PRAGMA synchronous = NORMAL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA cache_size = -4000",
    "PRAGMA journal_size_limit = 16000000",
)


class WordFileDamagedError(RetryableError):
    """The file of words cannot be used; the postings have all that was in it."""


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """What is here of a collection: its postings up to `seen`, by model and part, in the order of their ids."""

    seen: int
    parts: Mapping[str, Mapping[int, StoredRows]]


class WordFile:
    """Each method is one transaction. Of a collection's parts only one caller at a time may read or change any."""

    def __init__(self, path: Path, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader
        self._is_given_up = False

    @classmethod
    async def open(cls, path: Path, last: Seen, collections: Sequence[int]) -> WordFile:
        """Open the file, a new one if it is damaged or knows of changes after the last: it was another database's then, or the database
        is an older copy, with postings that were deleted here.

        What is in it of other collections goes. Raises ConfigError if no file can be made.
        """
        try:
            with suppress(sqlite3.DatabaseError, WordFileDamagedError):
                return await cls._opened(path, last, collections)
            remove_word_file(path)
            return await cls._opened(path, last, collections)
        except (sqlite3.DatabaseError, OSError) as error:
            raise ConfigError(f"{path} cannot be made ({error}): check the disk's free space") from error

    @classmethod
    async def _opened(cls, path: Path, last: Seen, collections: Sequence[int]) -> WordFile:
        writer = await open_connection(path)
        try:
            await run_in_thread(writer, lambda connection: _prepare(connection, last, collections))
            reader = await open_connection(path)
        except BaseException:
            await writer.close()
            raise
        return cls(path, writer, reader)

    async def close(self) -> None:
        """Close both connections. Twice is an error."""
        await self._reader.close()
        await self._writer.close()

    def give_up(self) -> None:
        """Keep nothing here any more, until it is opened again; what is here must not be read then. Twice is safe."""
        if not self._is_given_up:
            self._is_given_up = True
            remove_word_file(self._path)

    async def load(self, collection_id: int, models: Sequence[str]) -> StoredIndex | None:
        """Return what is here of a collection, if it was made by these models. Raises WordFileDamagedError."""

        def query(connection: sqlite3.Connection) -> StoredIndex | None:
            selected = "SELECT models, seen FROM readings WHERE collection_id = ?"
            known, seen = connection.execute(selected, (collection_id,)).fetchone() or ("", 0)
            if known != dumps([*models]):
                return None
            parts: dict[str, dict[int, StoredRows]] = {}
            for model, number, rows in parts_of(connection, collection_id):
                parts.setdefault(model, {})[number] = rows
            return StoredIndex(seen, parts)

        return None if self._is_given_up else await self._run(self._reader, query)

    async def seen(self, collection_id: int, models: Sequence[str]) -> int | None:
        """Return up to which posting a collection's lists go, 0 if there are none made by these models; None: nothing is kept here any more.

        Raises WordFileDamagedError.
        """
        selected = "SELECT seen FROM readings WHERE collection_id = ? AND models = ?"
        values = (collection_id, dumps([*models]))
        if self._is_given_up:
            return None
        found = await self._run(self._reader, lambda c: c.execute(selected, values).fetchone())
        return found[0] if found else 0

    async def add(
        self, collection_id: int, models: Sequence[str], seen: Seen, new: Mapping[str, tuple[StoredRows, Segment]]
    ) -> Mapping[str, int] | None:
        """Add a part of each model, which have the rows up to the position `seen`; return their numbers. What is of other `models` goes.

        None: it could not be written, or the file was given up. Raises WordFileDamagedError.
        """
        made_by = dumps([*models])

        def transaction(connection: sqlite3.Connection) -> dict[str, int]:
            selected = "SELECT 1 FROM readings WHERE collection_id = ? AND models = ?"
            if not connection.execute(selected, (collection_id, made_by)).fetchone():
                forget_collection(connection, collection_id)
            connection.execute(
                "INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?)", (collection_id, made_by, seen.posting, seen.gone)
            )
            return {
                model: insert_part(connection, collection_id, model, rows, lists.blocks())
                for model, (rows, lists) in new.items()
            }

        return await self._written(transaction)

    async def join(
        self, numbers: Sequence[int], rows: StoredRows, numbering: Sequence[NDArray[np.int64]], gone: int
    ) -> int | None:
        """Make one part of some, which has these rows, and return its number; 0 if there are none. `numbering`: see `segments.merged`;
        `gone`: up to which deleted posting it lacks those.

        None: it could not be written, or the file was given up. Raises WordFileDamagedError.
        """

        def transaction(connection: sqlite3.Connection) -> int:
            owner, number = owner_of(connection, numbers), 0
            connection.execute("UPDATE readings SET gone = ? WHERE collection_id = ?", (gone, owner[0]))
            if len(rows.ids):
                number = insert_part(connection, *owner, rows, joined_blocks(connection, numbers, numbering))
            for old in numbers:
                delete_part(connection, old)
            return number

        return await self._written(transaction)

    async def lists(self, parts: Mapping[int, int], keys: NDArray[np.uint32]) -> Mapping[int, Sequence[ListPiece]]:
        """Return the lists of some terms, by key, in these parts: by number their first rows. Raises WordFileDamagedError."""

        def query(connection: sqlite3.Connection) -> dict[int, list[ListPiece]]:
            owner_of(connection, [*parts])
            return lists_in(connection, parts, keys)

        return await self._run(self._reader, query)

    async def _run(self, connection: aiosqlite.Connection, query: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._is_given_up:
                raise ValueError("it was given up")
            return await run_in_thread(connection, query)
        except (sqlite3.DatabaseError, ValueError) as error:
            raise WordFileDamagedError(f"{self._path} cannot be used ({error}); it is made anew") from error

    async def _written(self, transaction: Callable[[sqlite3.Connection], T]) -> T | None:
        if self._is_given_up:
            return None
        try:
            return await self._run(self._writer, lambda connection: committed(connection, transaction))
        except WordFileDamagedError as error:
            if not isinstance(error.__cause__, sqlite3.OperationalError):
                raise
            log.warning("words.unwritten", reason=str(error.__cause__))
            return None


def remove_word_file(path: Path) -> None:
    """Delete the file, if it is there; what has it open goes on with it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _prepare(connection: sqlite3.Connection, last: Seen, collections: Sequence[int]) -> None:
    for pragma in _PRAGMAS:
        connection.execute(pragma)

    def transaction(connection: sqlite3.Connection) -> None:
        for statement in SCHEMA:
            connection.execute(statement)
        known = connection.execute("SELECT collection_id, seen, gone FROM readings").fetchall()
        if any(seen > last.posting or gone > last.gone for _, seen, gone in known):
            raise WordFileDamagedError("it has words of another database")
        for collection_id, *_ in known:
            if collection_id not in collections:
                forget_collection(connection, collection_id)

    committed(connection, transaction)

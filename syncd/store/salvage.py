"""Saves what can be read of a damaged state database into a new one, which then takes its place.

    what can be read → FILE.partial → renamed to FILE.recovered → the damaged file becomes FILE.damaged → the new one takes its name

A crash up to the first renaming has changed nothing; after it, the next call only finishes the rest. Nothing is deleted but
earlier damaged files.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncd.errors import ConfigError
from syncd.runtime import durable
from syncd.runtime.state import WORDS_FILE
from syncd.store.checked_rows import keep_checksums, set_rows_right
from syncd.store.checked_tables import IS_LOST
from syncd.store.connections import CallingConnection, lenient_text
from syncd.store.cursors import invalidate_cursors
from syncd.store.database import EMPTIED, check, is_emptied, migrate
from syncd.store.refills import REFILL_ALL
from syncd.store.word_file import remove_word_file

JSON_COLUMNS = {
    "sources": ("settings", "embedding", "chunking"),
    "invocations": ("request", "counts"),
    "collections": ("embedding",),
    "chunks": ("metadata",),
    "prepared_chunks": ("metadata",),
    "webhooks": ("events", "databases", "sources"),
}
"""What is not JSON there was not written by us."""
_FAR = 1 << 62
_MISTRUST = (
    "UPDATE documents SET version = '', fingerprint = '' WHERE state = 'indexed' AND (SELECT count(*) FROM chunks "
    "WHERE document_id = documents.id) IS NOT (SELECT max(json_extract(metadata, '$.chunk_count')) FROM chunks "
    "WHERE document_id = documents.id)",
    "UPDATE documents SET version = '', fingerprint = '' WHERE id IN (SELECT document_id FROM chunks c "
    "WHERE NOT EXISTS (SELECT 1 FROM vectors WHERE key = c.vector_key))",
    "DELETE FROM postings AS p WHERE NOT EXISTS (SELECT 1 FROM chunks WHERE document_id = p.document_id AND number = p.number) "
    "AND NOT EXISTS (SELECT 1 FROM prepared_chunks WHERE prepared_id = -p.document_id AND number = p.number)",
    # Rows of documents that are lost are in the vector store all the same.
    *REFILL_ALL,
)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """How many rows were saved of each table, and of which ones not all could be read."""

    rows: Mapping[str, int]
    damaged: Sequence[str]


def damage_of(path: Path) -> str | None:
    """Return what is wrong with a state database, after reading all of it; None: nothing. Raises ConfigError if there is none."""
    if not path.exists():
        raise ConfigError(f"{path} does not exist: there is nothing to examine")
    if is_emptied(path):
        return EMPTIED
    with closing(_opened(path)) as connection:
        try:
            check(connection, limit_s=float("inf"))
            if _has_lost_collections(connection):
                return "a collection's row is not what was stored"
        except sqlite3.DatabaseError as error:
            return str(error)
    return None


def _has_lost_collections(connection: sqlite3.Connection) -> bool:
    columns = {row[1] for row in connection.execute("PRAGMA table_info(collections)")}
    return "checksum" in columns and bool(connection.execute(f"SELECT 1 FROM collections WHERE {IS_LOST}").fetchone())


def salvage(path: Path, partial: Path, packages: Sequence[str]) -> Salvaged:
    """Write what can be read of the database `path` into `partial`, with the tables of the store and of `packages`.

    Raises ConfigError if that is nothing.
    """
    partial.unlink(missing_ok=True)
    rows: dict[str, int] = {}
    damaged: list[str] = []
    with closing(_opened(path)) as old, closing(sqlite3.connect(partial, isolation_level=None)) as new:
        migrate(new, partial, packages)
        keep_checksums(new)
        new.execute("BEGIN")
        tables = [name for (name,) in new.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for table in tables:
            if table != "migrations":
                rows[table], is_whole = _copy(old, new, table)
                damaged += [] if is_whole else [table]
        if not any(rows.values()):
            raise ConfigError(
                f"nothing can be read of {path}: restore a copy of it, or move it away and sync everything again"
            )
        set_rows_right(new)
        _drop_the_unusable(new, tables)
        # Every source looks at everything again: what it had is in doubt. What is as it was is neither prepared nor embedded again.
        invalidate_cursors(new)
        for statement in _MISTRUST:
            new.execute(statement)
        new.execute("COMMIT")
    return Salvaged({table: count for table, count in rows.items() if count}, damaged)


def take_place(path: Path, recovered: Path) -> Path:
    """Give `recovered` the place of the damaged database `path`, durably; return where that is kept. Twice is safe."""
    kept = path.with_name(path.name + ".damaged")
    for suffix in ("", "-wal"):
        old, aside = path.with_name(path.name + suffix), kept.with_name(kept.name + suffix)
        if old.exists():
            aside.unlink(missing_ok=True)
            os.link(old, aside)
    durable.sync_names(path.parent)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    # Ids of postings that were lost are given again.
    remove_word_file(path.with_name(WORDS_FILE))
    # SQLite would play the damaged file's log into the new one.
    durable.sync_names(path.parent)
    durable.rename(recovered, path)
    return kept


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, factory=CallingConnection)
    connection.text_factory = lenient_text
    return connection


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> tuple[int, bool]:
    """Copy the rows of a table that can be read; return how many there are now, and whether it could be read to its end."""
    try:
        known = {row[1] for row in old.execute(f"PRAGMA table_info({table})")}
    except sqlite3.DatabaseError:
        return 0, False
    columns = [row[1] for row in new.execute(f"PRAGMA table_info({table})") if row[1] in known]
    if not columns:
        return 0, True
    statement = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    is_whole = True
    for row in _rows(old, table, columns):
        if row is None:
            is_whole = False
        else:
            with suppress(sqlite3.Error):
                new.execute(statement, row)
    return new.execute(f"SELECT count(*) FROM {table}").fetchone()[0], is_whole


def _rows(old: sqlite3.Connection, table: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...] | None]:
    """Yield the rows of a table, some of them twice, and None wherever it cannot be read: from both ends, and past damage
    wherever the rows have a number to begin at.
    """
    keys = [row[1] for row in sorted(old.execute(f"PRAGMA table_info({table})"), key=lambda row: row[5]) if row[5]]
    is_numbered = _has_rowid(old, table)
    key = "rowid" if is_numbered else keys[0]
    order = key if is_numbered else ", ".join(keys)
    selected = f"SELECT {key}, {', '.join(columns)} FROM {table}"
    reached = 0
    try:
        for number, *row in old.execute(f"{selected} ORDER BY {order}"):
            reached = number
            yield tuple(row)
    except sqlite3.DatabaseError:
        yield None
    else:
        return
    backwards = order.replace(",", " DESC,") + " DESC"
    with suppress(sqlite3.DatabaseError):
        for _, *row in old.execute(f"{selected} ORDER BY {backwards}"):
            yield tuple(row)
    step = 1
    while isinstance(reached, int) and reached + step < _FAR:
        try:
            for number, *row in old.execute(f"{selected} WHERE {key} >= ? ORDER BY {order}", (reached + step,)):
                reached, step = number, 1
                yield tuple(row)
        except sqlite3.DatabaseError:
            step *= 2
        else:
            return


def _has_rowid(connection: sqlite3.Connection, table: str) -> bool:
    try:
        connection.execute(f"SELECT rowid FROM {table} LIMIT 0")
    except sqlite3.OperationalError:
        return False
    return True


def _drop_the_unusable(new: sqlite3.Connection, tables: Sequence[str]) -> None:
    """Delete rows that are not what was written, and those whose parents are lost."""
    for table, columns in JSON_COLUMNS.items():
        for column in columns:
            new.execute(f"DELETE FROM {table} WHERE NOT json_valid({column})")
    new.execute(f"DELETE FROM collections WHERE {IS_LOST}")
    for table in tables:
        for _, _, parent, column, referred, *_ in new.execute(f"PRAGMA foreign_key_list({table})").fetchall():
            new.execute(f"DELETE FROM {table} WHERE {column} NOT IN (SELECT {referred or 'id'} FROM {parent})")

"""One SQLite file, one writer, one reader: every transaction is a plain function that runs in one thread hop.

A function handed to `write` runs whole even when its caller is cancelled meanwhile, so a cancelled task can never leave
half a transaction for the next one to commit (https://github.com/omnilib/aiosqlite has one connection, hence one
transaction, per thread).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from pathlib import Path
from threading import TIMEOUT_MAX, Event, Thread
from typing import TypeVar

import aiosqlite

from syncd.errors import ConfigError, RetryableError, StoreDamagedError
from syncd.runtime.state import WORDS_FILE
from syncd.store.checked_rows import (
    allow_checksums,
    keep_checksums,
    make_indexes_right,
    seal_unknown,
    set_acting_rows_right,
    set_rows_right,
)
from syncd.store.checked_tables import DamagedRowError
from syncd.store.connections import committed, open_connection, run_in_thread

T = TypeVar("T")

OWN_PACKAGE = "syncd.store"

WRITER_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    # FULL: after a commit here others delete their copy (an SQS message, an uploaded file), so it must survive power loss.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA wal_autocheckpoint = 2000",
    "PRAGMA cache_size = -16000",
)
ADVICE = "stop the daemon and run: syncd doctor --recover"
EMPTIED = f"it is empty, though it was in use, as {WORDS_FILE} lies beside it"
FILE_CHECK_S = 2.0
"""How long the file is checked at most before it is used: a gigabyte in that time, and small files whole."""
INTERRUPT_EVERY_S = 0.05
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_NO_JSON = "malformed JSON"
"""What SQLite's functions say of a text that is none any more."""
READER_PRAGMAS = ("PRAGMA query_only = ON", "PRAGMA busy_timeout = 5000", "PRAGMA cache_size = -8000")


class Database:
    """The open database. `write` and `read` wait for their connection's thread; both are safe to call concurrently."""

    def __init__(self, path: Path, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader
        self._damage: str | None = None
        self._failure: str | None = None

    @property
    def trouble(self) -> str | None:
        """Why work waits for the state database: it is damaged, or its last write failed; None if it works."""
        return self._damage or self._failure

    @classmethod
    async def open(cls, path: Path, packages: Sequence[str] = ()) -> Database:
        """Open `path`, creating and migrating it as needed: the store's own tables, and those of `packages`.

        A package keeps its numbered SQL files in a folder `migrations`; numbers are unique across all. Raises ConfigError if
        the file was written by a newer syncd, is not a database, or a check of `FILE_CHECK_S` finds it damaged.
        """
        try:
            if is_emptied(path):
                raise sqlite3.DatabaseError(EMPTIED)
            writer = await open_connection(path)
            try:
                for pragma in WRITER_PRAGMAS:
                    await writer.execute(pragma)
                await run_in_thread(writer, lambda connection: _make_ready(connection, path, packages))
                reader = await open_connection(path)
            except BaseException:
                await writer.close()
                raise
        except sqlite3.DatabaseError as error:
            raise ConfigError(f"{path} cannot be used as syncd's database ({error}): {ADVICE}") from error
        for pragma in READER_PRAGMAS:
            await reader.execute(pragma)
        await run_in_thread(reader, allow_checksums)
        return cls(path, writer, reader)

    async def close(self) -> None:
        """Checkpoint the write-ahead log and close both connections. Twice is an error."""
        await self._reader.close()
        await self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await self._writer.close()

    async def write(self, transaction: Callable[[sqlite3.Connection], T]) -> T:
        """Run `transaction` between BEGIN IMMEDIATE and COMMIT; durable when this returns, rolled back when it raises.

        Where it meets a damaged row, that is set right and it is run again. Raises RetryableError if the disk is full or the file
        is busy, StoreDamagedError.
        """
        return await self._despite_damage(lambda: self._write(transaction))

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run `query` on the reader; it sees everything committed before it starts. Where it meets a damaged row, that is set
        right and it is run again. Raises StoreDamagedError.
        """
        return await self._despite_damage(lambda: self._read(query))

    async def _write(self, transaction: Callable[[sqlite3.Connection], T]) -> T:
        try:
            written = await run_in_thread(self._writer, lambda connection: committed(connection, transaction))
        except sqlite3.OperationalError as error:
            self._failure = f"cannot write the state database ({error}); check the disk's free space"
            raise RetryableError(self._failure) from error
        except sqlite3.DatabaseError as error:
            self._raise_damage(error)
            raise
        self._failure = None
        return written

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await run_in_thread(self._reader, query)
        except sqlite3.DatabaseError as error:
            self._raise_damage(error)
            raise

    async def _despite_damage(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except (DamagedRowError, sqlite3.OperationalError) as error:
            if not isinstance(error, DamagedRowError) and str(error) != _NO_JSON:
                raise
            await self._write(set_rows_right)
            return await work()

    def _raise_damage(self, error: sqlite3.DatabaseError) -> None:
        """Raise StoreDamagedError, which says what to do, if the file is damaged."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            self._damage = f"{self._path} is damaged ({error}): {ADVICE}"
            raise StoreDamagedError(self._damage) from error


def is_emptied(path: Path) -> bool:
    """Return whether the file is there without content, though it was in use: the file of words is made after it."""
    there = [file for suffix in ("", "-wal") if (file := path.with_name(path.name + suffix)).exists()]
    return path in there and not any(file.stat().st_size for file in there) and path.with_name(WORDS_FILE).exists()


def _make_ready(connection: sqlite3.Connection, path: Path, packages: Sequence[str]) -> None:
    """Set right what can be, look whether the rest is in order, and migrate."""
    allow_checksums(connection)
    committed(connection, set_acting_rows_right)
    committed(connection, make_indexes_right)
    check(connection, FILE_CHECK_S)
    migrate(connection, path, packages)
    keep_checksums(connection)


def check(connection: sqlite3.Connection, limit_s: float) -> None:
    """Read through the whole file, or as much of it as `limit_s`, which may be infinite, allows. Raises sqlite3.DatabaseError if it is damaged."""
    ended, is_late = Event(), Event()

    def interrupt() -> None:
        # Again and again: one that comes before the statement runs is none.
        while not ended.wait(INTERRUPT_EVERY_S if is_late.is_set() else min(limit_s, TIMEOUT_MAX)):
            is_late.set()
            connection.interrupt()

    # A progress handler would not do: SQLite before 3.41 calls none while it reads a table's pages, in a gigabyte for half a minute.
    interrupting = Thread(target=interrupt, name="check-limit", daemon=True)
    interrupting.start()
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        found = "ok"
    finally:
        ended.set()
        interrupting.join()
    # What was not read to its end may be called damaged.
    if found != "ok" and not is_late.is_set():
        raise sqlite3.DatabaseError(" ".join(found.split()))


def migrate(connection: sqlite3.Connection, path: Path, packages: Sequence[str] = ()) -> None:
    """Apply the numbered SQL files that this database does not have yet, all or none: after one that fails, an older syncd still runs."""
    allow_checksums(connection)
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL)")
    done = {number for (number,) in connection.execute("SELECT number FROM migrations")}
    known = numbered_migrations((OWN_PACKAGE, *packages))
    if newer := done - known.keys():
        raise ConfigError(
            f"{path} was written by a newer syncd (migration {max(newer)}); upgrade syncd or use another state folder"
        )
    missing = sorted(known.keys() - done)

    def transaction(connection: sqlite3.Connection) -> None:
        for number in missing:
            apply_migration(connection, number, *known[number])

    if missing:
        committed(connection, transaction)


def apply_migration(connection: sqlite3.Connection, number: int, name: str, script: str) -> None:
    """Run one migration script and record it, within the caller's transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    seal_unknown(connection)
    connection.execute("INSERT INTO migrations VALUES (?, ?)", (number, name))


def numbered_migrations(packages: Sequence[str]) -> dict[int, tuple[str, str]]:
    """Return {number: (file name, SQL)} of the packages' migrations. Raises ValueError for a number used twice."""
    found: dict[int, tuple[str, str]] = {}
    for package in packages:
        for file in files(package).joinpath("migrations").iterdir():
            if match := re.fullmatch(r"(\d{4})_\w+\.sql", file.name):
                number = int(match[1])
                if number in found:
                    raise ValueError(f"{package}: migration {file.name} has the number of {found[number][0]}")
                found[number] = (file.name, file.read_text(encoding="utf-8"))
    return found

"""One SQLite file, one writer, one reader: every transaction is a plain function that runs in one thread hop.

A function handed to `write` runs whole even when its caller is cancelled meanwhile, so a cancelled task can never leave
half a transaction for the next one to commit (https://github.com/omnilib/aiosqlite has one connection, hence one
transaction, per thread).
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from syncd.errors import ConfigError, RetryableError, StoreDamagedError

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
FILE_CHECK_S = 2.0
"""How long the file is checked at most before it is used: a gigabyte in that time, and small files whole."""
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
CALL = "-- call a function"
"""Stands for a statement; see `CallingConnection`."""
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
            writer = await open_connection(path)
            try:
                for pragma in WRITER_PRAGMAS:
                    await writer.execute(pragma)
                await run_in_thread(writer, lambda connection: check(connection, FILE_CHECK_S))
                await run_in_thread(writer, lambda connection: migrate(connection, path, packages))
                reader = await open_connection(path)
            except BaseException:
                await writer.close()
                raise
        except sqlite3.DatabaseError as error:
            raise ConfigError(f"{path} cannot be used as syncd's database ({error}): {ADVICE}") from error
        for pragma in READER_PRAGMAS:
            await reader.execute(pragma)
        return cls(path, writer, reader)

    async def close(self) -> None:
        """Checkpoint the write-ahead log and close both connections. Twice is an error."""
        await self._reader.close()
        await self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await self._writer.close()

    async def write(self, transaction: Callable[[sqlite3.Connection], T]) -> T:
        """Run `transaction` between BEGIN IMMEDIATE and COMMIT; durable when this returns, rolled back when it raises.

        Raises RetryableError if the disk is full or the file is busy, StoreDamagedError.
        """
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

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run `query` on the reader; it sees everything committed before it starts. Raises StoreDamagedError."""
        try:
            return await run_in_thread(self._reader, query)
        except sqlite3.DatabaseError as error:
            self._raise_damage(error)
            raise

    def _raise_damage(self, error: sqlite3.DatabaseError) -> None:
        """Raise StoreDamagedError, which says what to do, if the file is damaged."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            self._damage = f"{self._path} is damaged ({error}): {ADVICE}"
            raise StoreDamagedError(self._damage) from error


class CallingConnection(sqlite3.Connection):
    """A connection that can run a function instead of a statement: `execute(CALL, [function])` calls it.

    aiosqlite executes in the connection's own thread but cannot run a whole function there in one hop; its
    separate statements could be cancelled in between.
    """

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute a statement, or call the one function in `parameters` with this connection."""
        if sql is not CALL:
            return super().execute(sql, parameters)
        (function,) = parameters
        function(self)
        return self.cursor()


async def open_connection(path: Path) -> aiosqlite.Connection:
    """Open one connection, with a thread of its own. Raises sqlite3.DatabaseError."""
    connection = await aiosqlite.connect(path, isolation_level=None, factory=CallingConnection)
    # A flipped bit in a text is found by the text's checksum; here it must not stop whatever reads the text.
    connection.text_factory = lenient_text
    return connection


def lenient_text(text: bytes) -> str:
    """Return a stored text, damaged or not."""
    return text.decode("utf-8", "replace")


async def run_in_thread(connection: aiosqlite.Connection, function: Callable[[sqlite3.Connection], T]) -> T:
    """Run `function` with the raw connection in the connection's own thread.

    A cursor that it returns is closed there: an open one would reset its statement where it is dropped, in the caller's
    thread, while the connection's thread may be running that same cached statement: SQLITE_MISUSE ("bad parameter or
    other API misuse") in the middle of a write.
    """
    results: list[T] = []

    def call(raw: sqlite3.Connection) -> None:
        result = function(raw)
        if isinstance(result, sqlite3.Cursor):
            result.close()
        results.append(result)

    await connection.execute(CALL, [call])
    return results[0]


def check(connection: sqlite3.Connection, limit_s: float) -> None:
    """Read through the whole file, or as much of it as `limit_s` allows. Raises sqlite3.DatabaseError if it is damaged."""
    ends_at = time.monotonic() + limit_s
    connection.set_progress_handler(lambda: int(time.monotonic() > ends_at), 10_000)
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        found = "ok"
    finally:
        connection.set_progress_handler(None, 0)
    if found != "ok":
        raise sqlite3.DatabaseError(" ".join(found.split()))


def committed(connection: sqlite3.Connection, transaction: Callable[[sqlite3.Connection], T]) -> T:
    """Run `transaction` and commit, or roll back and raise."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = transaction(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def migrate(connection: sqlite3.Connection, path: Path, packages: Sequence[str] = ()) -> None:
    """Apply the numbered SQL files that this database does not have yet, each in its own transaction."""
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL)")
    done = {number for (number,) in connection.execute("SELECT number FROM migrations")}
    known = numbered_migrations((OWN_PACKAGE, *packages))
    if newer := done - known.keys():
        raise ConfigError(
            f"{path} was written by a newer syncd (migration {max(newer)}); upgrade syncd or use another state folder"
        )
    for number in sorted(known.keys() - done):
        name, script = known[number]
        apply_migration(connection, number, name, script)


def apply_migration(connection: sqlite3.Connection, number: int, name: str, script: str) -> None:
    """Run one migration script and record it, in one transaction."""

    def transaction(connection: sqlite3.Connection) -> None:
        statement = ""
        for line in script.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                connection.execute(statement)
                statement = ""
        connection.execute("INSERT INTO migrations VALUES (?, ?)", (number, name))

    committed(connection, transaction)


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

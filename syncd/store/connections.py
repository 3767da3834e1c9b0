"""Connections to SQLite, each with a thread of its own, in which whole functions run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

T = TypeVar("T")

CALL = "-- call a function"
"""Stands for a statement; see `CallingConnection`."""


class CallingConnection(sqlite3.Connection):
    """A connection that can run a function instead of a statement: `execute(CALL, [function])` calls it.

    aiosqlite executes in the connection's own thread but cannot run a whole function there in one hop; its
    separate statements could be cancelled in between.
    """

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute a statement, or call the one function in `parameters` with this connection."""
        if sql is not CALL:
            try:
                return super().execute(sql, parameters)
            except UnicodeDecodeError as error:  # of SQLite's own message, which quotes what is damaged
                raise sqlite3.DatabaseError(lenient_text(error.object)) from error
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

"""Keeps the checksums of checked tables' rows with every write, finds rows that are not what was stored, and sets them right."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

import structlog

from syncd.store.checked_tables import CHECKED_TABLES, CheckedRow, CheckedTable
from syncd.store.checksums import DAMAGED
from syncd.store.row_bytes import row_checksum

log = structlog.get_logger()


def allow_checksums(connection: sqlite3.Connection) -> None:
    """Let statements of this connection compute checksums."""
    connection.create_function("row_checksum", -1, row_checksum, deterministic=True)


def keep_checksums(connection: sqlite3.Connection) -> None:
    """From now on this connection keeps the checksums of the rows that it writes. Twice is safe.

    A row that was damaged when it was written stays so. Of tables that are not there yet, or not as they are now, nothing is done.
    """
    allow_checksums(connection)
    for table in _present(connection):
        name = table.name
        # What is stored may be of another type than what was written: it is read again.
        new = f"UPDATE {name} SET checksum = {{}} WHERE rowid = NEW.rowid"
        updated = f"iif(OLD.checksum IS {table.sum_of('OLD.')}, {table.sum_of()}, {DAMAGED})"
        connection.execute(
            f"CREATE TEMP TRIGGER IF NOT EXISTS {name}_get_checksums AFTER INSERT ON main.{name} "
            f"WHEN NEW.checksum IS NULL BEGIN {new.format(table.sum_of())}; END"
        )
        connection.execute(
            f"CREATE TEMP TRIGGER IF NOT EXISTS {name}_keep_checksums AFTER UPDATE OF {', '.join(table.columns)} "
            f"ON main.{name} BEGIN {new.format(updated)}; END"
        )


def seal_unknown(connection: sqlite3.Connection) -> None:
    """Call rows without a checksum what was stored. Where no migration has just made it so, to lack it is damage."""
    for table in _present(connection):
        seal(connection, table, "checksum IS NULL")


def seal(connection: sqlite3.Connection, table: CheckedTable, condition: str, *values: object) -> None:
    """Call rows of which a condition holds, in SQL, what was stored: all that matters of them was written just now."""
    connection.execute(f"UPDATE {table.name} SET checksum = {table.sum_of()} WHERE {condition}", values)


def set_acting_rows_right(connection: sqlite3.Connection) -> None:
    """Like `set_rows_right`, but only with rows of which something is done without anybody asking."""
    for table in _present(connection):
        _set_right(connection, table, table.acting)


def set_rows_right(connection: sqlite3.Connection) -> None:
    """Set right every damaged row, or do with it what its table says. Within the caller's transaction; twice is safe.

    Looks at all rows: some 20 ms of CPU for a thousand.
    """
    for table in _present(connection):
        _set_right(connection, table, "1")


def make_indexes_right(connection: sqlite3.Connection) -> None:
    """Make anew the indexes of checked tables that are not what their rows are."""
    for table in _present(connection):
        found = connection.execute(f"PRAGMA integrity_check({table.name})").fetchall()
        if any("index" in problem for (problem,) in found):
            # What was wrong may be a row that nobody has read since.
            _set_right(connection, table, "1")
            connection.execute(f"REINDEX {table.name}")
            log.warning("row.index_made_anew", table=table.name, problem=found[0][0])


@contextmanager
def despite_indexes(connection: sqlite3.Connection, *tables: str) -> Generator[None]:
    """Within the caller's transaction, rows may be changed and deleted that their indexes still have as they were, even where
    they have become equal to others; at the end the indexes are made anew.
    """
    # In this mode SQLite removes what an index does not have instead of calling that a corruption (OP_IdxDelete).
    connection.execute("PRAGMA writable_schema = ON")
    try:
        yield
    finally:
        connection.execute("PRAGMA writable_schema = OFF")
    for table in tables:
        connection.execute(f"REINDEX {table}")


def _set_right(connection: sqlite3.Connection, table: CheckedTable, which: str) -> None:
    known = "" if table.given_up else f" AND checksum IS NOT {DAMAGED}"
    damaged = table.rows(connection, f"{which} AND checksum IS NOT {table.sum_of()}{known}")
    if damaged:
        with despite_indexes(connection, table.name):
            for row in damaged:
                _set_row_right(connection, table, row)


def _set_row_right(connection: sqlite3.Connection, table: CheckedTable, row: CheckedRow) -> None:
    found, where = row.right(), "rowid = ?"
    if found is not None:
        kinds, right = found
        places = ["?"] * (len(right) - len(kinds)) + ["CAST(? AS TEXT)" if kind == "t" else "?" for kind in kinds]
        changes = ", ".join(f"{name} = {place}" for name, place in zip(table.columns, places, strict=True))
        connection.execute(f"UPDATE {table.name} SET {changes} WHERE {where}", (*right, row.number))
        # Its own number may have been what was wrong.
        seal(connection, table, where, right[0] if table.is_numbered else row.number)
        log.warning("row.set_right", table=table.name, row=row.number)
        return
    if table.given_up:
        connection.execute(table.given_up, (row.number,))
        seal(connection, table, where, row.number)
    else:
        connection.execute(f"UPDATE {table.name} SET checksum = {DAMAGED} WHERE {where}", (row.number,))
    log.error("row.damaged", table=table.name, row=row.number)


def _present(connection: sqlite3.Connection) -> list[CheckedTable]:
    has_checksum = "SELECT 1 FROM pragma_table_info(?) WHERE name = 'checksum'"
    return [table for table in CHECKED_TABLES if connection.execute(has_checksum, (table.name,)).fetchone()]

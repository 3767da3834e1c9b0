"""Cursors: how far a source is in a collection. One that does not count any more stays, as it tells what the source was."""

from __future__ import annotations

import sqlite3

from syncd.store.checksums import cursor_checksum

INVALID = ""
"""The recipe of a cursor that does not count any more: no configuration has it."""


def sound_cursor(row: tuple[str, str, int | None] | None) -> str | None:
    """Return the cursor in a row of recipe, cursor and checksum; None without, or if it is not what was stored."""
    if row is None or row[2] not in (None, cursor_checksum(*row[:2])):
        return None
    return row[1]


def invalidate_cursors(
    connection: sqlite3.Connection, condition: str = "1", values: tuple[int | str, ...] = ()
) -> None:
    """Have the next runs begin anew where a condition holds, in SQL, within the caller's transaction. Damaged cursors go. Twice is safe."""
    selected = f"SELECT source_id, collection_id, recipe, cursor, checksum FROM cursors WHERE {condition}"
    for source_id, collection_id, *row in connection.execute(selected, values).fetchall():
        place, cursor = (source_id, collection_id), sound_cursor((row[0], row[1], row[2]))
        if cursor is None:
            connection.execute("DELETE FROM cursors WHERE source_id = ? AND collection_id = ?", place)
        else:
            connection.execute(
                "UPDATE cursors SET recipe = ?, checksum = ? WHERE source_id = ? AND collection_id = ?",
                (INVALID, cursor_checksum(INVALID, cursor), *place),
            )

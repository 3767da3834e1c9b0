"""A source that was removed and is back: in its place it goes on with what it had and had not finished."""

from __future__ import annotations

import sqlite3
import uuid

from syncd.model import SourceSettings
from syncd.model.records import in_same_place
from syncd.store.absent_sources import left_behind
from syncd.store.codec import SourceCodec, settings_from_json
from syncd.store.new_invocations import request_leave, resume_leaving


def revived(
    connection: sqlite3.Connection, types: SourceCodec, type: str, database: str, settings: SourceSettings
) -> tuple[str, str]:
    """Return the id and the root of chunk ids of the source that left documents in the same place, which is absent no longer.

    A new id and '' if none did. Within the caller's transaction.
    """
    left = [
        ((source_id, id_root, old), old)
        for source_id, id_root, values in left_behind(connection, type, database)
        for old in [settings_from_json(type, values, types)]
    ]
    found = in_same_place(settings, left)
    if found is None:
        return str(uuid.uuid4()), ""
    source_id, id_root, old = found
    connection.execute("DELETE FROM absent_sources WHERE id = ?", (source_id,))
    resume_leaving(connection, source_id)
    request_leave(connection, source_id, type, (database, old), (database, settings))
    return source_id, id_root

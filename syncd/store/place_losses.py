"""What would be lost if another collection took the place of the one that answers, read within the caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from syncd.errors import ConflictError
from syncd.model import Target
from syncd.store.invocation_codec import IS_DRY_RUN
from syncd.store.progress import STILL_HELD

_OF_OTHERS = "source_id NOT IN (SELECT value FROM json_each(:keepers))"
_BRINGING = (
    "SELECT 1 FROM invocations WHERE state = 'processing' AND database = :database AND collection = :name "
    f"AND {_OF_OTHERS} AND NOT ({IS_DRY_RUN}) LIMIT 1"
)
_LACKING = (
    "SELECT key FROM documents l WHERE collection_id = :live_id AND state = 'indexed' "
    f"AND {_OF_OTHERS} AND NOT EXISTS (SELECT 1 FROM documents s WHERE s.collection_id = :other_id "
    "AND s.source_id = l.source_id AND s.key = l.key AND s.version = l.version AND s.state = 'indexed') "
    f"UNION ALL SELECT key FROM prepared WHERE collection_id = :live_id AND {_OF_OTHERS}"
)
_HELD = (
    f"SELECT count(DISTINCT d.id), i.id, max(i.seq) FROM {STILL_HELD} WHERE c.id = :live_id AND d.state = 'indexed' AND NOT EXISTS "
    "(SELECT 1 FROM documents s WHERE s.collection_id = :other_id AND s.source_id = d.source_id AND s.key = d.key "
    "AND s.state = 'indexed')"
)


def require_no_loss(
    connection: sqlite3.Connection, live: Target, live_id: int, other_id: int, keepers: Collection[str]
) -> None:
    """Raise ConflictError if documents of the collection that answers would be lost with another one in its place, those among them
    whose deletes are held, on which somebody has to decide first.

    `keepers`: ids of the sources that bring what the other one lacks of theirs.
    """
    values = {
        "database": live.database,
        "name": live.collection,
        "live_id": live_id,
        "other_id": other_id,
        "keepers": json.dumps([*keepers]),
    }
    if connection.execute(_BRINGING, values).fetchone():
        raise ConflictError(
            f"a run is bringing documents into {live.collection} that no watch or schedule brings again: try again when it is over"
        )
    held, run, _ = connection.execute(_HELD, values).fetchone()
    if held:
        raise ConflictError(
            f"deletes of {held} documents of {live.collection} are held, and the one to take its place lacks these: confirm them (syncd "
            f"confirm-deletes {run}; --list shows them), or let their source bring the documents again"
        )
    count, key = connection.execute(f"SELECT count(*), min(key) FROM ({_LACKING})", values).fetchone()
    if count:
        raise ConflictError(
            f"collection {live.collection} holds documents ({count}, such as {key!r}) that the one to take its place lacks and no "
            "watch or schedule brings again: delete them, and upload them again afterwards, or leave the collection as it is"
        )

"""New invocations, or waiting ones that can do the same, within the caller's transaction."""

from __future__ import annotations

import sqlite3
import time
import uuid
from dataclasses import replace

from syncd.model import (
    ConfirmDeletes,
    Invocation,
    LeaveCollection,
    Origin,
    Request,
    SourceSettings,
    Target,
    Upload,
    WholeSource,
)
from syncd.model.requests import joined
from syncd.store.invocation_codec import INVOCATION_COLUMNS, invocation_from_row, request_to_json
from syncd.store.run_ends import cancel_runs

PRIORITY = {Origin.EVENT: 0, Origin.WATCH: 0, Origin.API: 1, Origin.SCHEDULE: 2, Origin.BACKFILL: 3}
"""Priority by origin: small, event-driven work overtakes long backfills."""


def insert_or_join(
    connection: sqlite3.Connection,
    source_id: str,
    source_type: str,
    target: Target,
    origin: Origin,
    request: Request,
) -> Invocation:
    """Return a pending invocation that does what is asked: one that waits, with the keys of both and due at once, or a new one."""
    rows = connection.execute(
        f"SELECT {INVOCATION_COLUMNS} FROM invocations WHERE state = 'pending' AND source_id = ? "
        "AND database = ? AND collection = ? ORDER BY seq",
        (source_id, target.database, target.collection),
    )
    for waiting in map(invocation_from_row, rows):
        if (both := joined(waiting.request, request)) is not None:
            connection.execute(
                "UPDATE invocations SET request = ?, not_before = 0 WHERE id = ?",
                (request_to_json(both), waiting.id),
            )
            ask_shadow(connection, source_id, source_type, target, request)
            return replace(waiting, request=both)
    return insert_invocation(connection, source_id, source_type, target, origin, request)


def insert_invocation(
    connection: sqlite3.Connection,
    source_id: str,
    source_type: str,
    target: Target,
    origin: Origin,
    request: Request,
) -> Invocation:
    """Insert a pending invocation within the caller's transaction and read it back."""
    invocation_id = str(uuid.uuid4())
    connection.execute(
        "INSERT INTO invocations (id, source_id, source_type, database, collection, origin, priority, request, state, "
        "created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?)",
        (
            invocation_id,
            source_id,
            source_type,
            target.database,
            target.collection,
            origin,
            PRIORITY[origin],
            request_to_json(request),
            time.time(),
        ),
    )
    ask_shadow(connection, source_id, source_type, target, request)
    row = connection.execute(f"SELECT {INVOCATION_COLUMNS} FROM invocations WHERE id = ?", (invocation_id,)).fetchone()
    return invocation_from_row(row)


def ask_shadow(
    connection: sqlite3.Connection, source_id: str, source_type: str, target: Target, request: Request
) -> None:
    """Ask the same of the collection that is built to take the target's place, if there is one, so that it lacks no change.

    Held deletes are confirmed for each on its own. Nobody waits for the run, and others go first.
    """
    if request.is_dry_run or isinstance(request, ConfirmDeletes | LeaveCollection | Upload):
        return
    row = connection.execute(
        "SELECT c.name FROM shadows h JOIN collections c ON c.id = h.collection_id JOIN collections l ON l.id = h.live_id "
        "WHERE l.database = ? AND l.name = ? AND h.state IN ('building', 'refused', 'switching')",
        (target.database, target.collection),
    ).fetchone()
    if row is not None:
        shadow = Target(target.database, row[0])
        insert_or_join(connection, source_id, source_type, shadow, Origin.SCHEDULE, request)


def request_run(
    connection: sqlite3.Connection, source_id: str, type: str, database: str, settings: SourceSettings
) -> None:
    """Ask for a run into the collection that a source keeps in step, unless it watches: then its watch begins with one."""
    if settings.kept_collection and not settings.watch:
        target = Target(database, settings.kept_collection)
        insert_or_join(connection, source_id, type, target, Origin.SCHEDULE, WholeSource())


def request_leave(
    connection: sqlite3.Connection,
    source_id: str,
    type: str,
    was: tuple[str, SourceSettings],
    now: tuple[str, SourceSettings],
) -> None:
    """Where another collection is kept in step than before, ask that the source leaves that one, and not for its runs there.

    `was` and `now`: its database and settings.
    """
    left, kept = was[1].kept_collection, now[1].kept_collection
    if not left or not kept or (was[0], left) == (now[0], kept):
        return
    place = "source_id = ? AND database = ? AND collection = ? AND origin <> ?"
    cancel_runs(connection, place, (source_id, was[0], left, Origin.API))
    insert_or_join(connection, source_id, type, Target(was[0], left), Origin.SCHEDULE, LeaveCollection())


def resume_leaving(connection: sqlite3.Connection, source_id: str) -> None:
    """Ask again that a source which was removed meanwhile, and is back, leaves what it had not left by then."""
    connection.execute(
        "UPDATE invocations SET state = 'pending', finished_at = NULL, not_before = 0 WHERE source_id = ? "
        "AND state IN ('cancelled', 'failed') AND json_extract(request, '$.leave') IS NOT NULL",
        (source_id,),
    )

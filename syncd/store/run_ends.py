"""Ends of runs, within the caller's transaction: whoever is to be told of them is."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict

from syncd.model import Counts, State
from syncd.store.codec import dumps
from syncd.store.invocation_codec import INVOCATION_COLUMNS, invocation_from_row
from syncd.store.webhook_outbox import notify


def end_run(
    connection: sqlite3.Connection, invocation_id: str, state: State, counts: Counts, error: str | None = None
) -> None:
    """End one run in that state, unless it has ended."""
    ended = connection.execute(
        "UPDATE invocations SET state = ?, error = ?, counts = ?, finished_at = ? "
        "WHERE id = ? AND state IN ('pending', 'processing')",
        (state, error, dumps(asdict(counts)), time.time(), invocation_id),
    )
    if ended.rowcount:
        _tell(connection, invocation_id)


def cancel_runs(connection: sqlite3.Connection, which: str, values: Sequence[object]) -> int:
    """Cancel the unfinished runs of a condition in SQL with these values; return how many there were."""
    ended = connection.execute(
        f"UPDATE invocations SET state = 'cancelled', finished_at = ? WHERE {which} AND state IN ('pending', 'processing') "
        "RETURNING id",
        (time.time(), *values),
    ).fetchall()
    for (invocation_id,) in ended:
        _tell(connection, invocation_id)
    return len(ended)


def _tell(connection: sqlite3.Connection, invocation_id: str) -> None:
    row = connection.execute(f"SELECT {INVOCATION_COLUMNS} FROM invocations WHERE id = ?", (invocation_id,)).fetchone()
    ended = invocation_from_row(row)
    if ended.request.is_dry_run:
        return
    facts = {
        "invocation_id": ended.id,
        "collection_name": ended.target.collection,
        "origin": ended.origin,
        "state": ended.state,
        "error": ended.error,
        "counts": asdict(ended.counts),
    }
    notify(connection, "run.settled", ended.target.database, facts, ended.source_id)

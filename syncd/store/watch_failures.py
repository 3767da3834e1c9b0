"""Since when, and why, parts of watches fail."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Set
from datetime import UTC, datetime

from syncd.model.watching import WatchState
from syncd.store.database import Database
from syncd.store.webhook_outbox import notify

Failures = Mapping[tuple[str, str], WatchState]
"""By source id and part; without the next try, which a restart brings forward."""


class WatchFailures:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def all(self) -> Failures:
        """Return what failed when that was last noted."""
        rows = await self._db.read(
            lambda c: c.execute("SELECT source_id, part, since, reason FROM watch_failures").fetchall()
        )
        return {(row[0], row[1]): WatchState(datetime.fromtimestamp(row[2], UTC), row[3]) for row in rows}

    async def note(self, failures: Failures) -> None:
        """Note what fails now, and nothing else; webhooks are told of sources that begin and cease to fail. Twice is safe."""
        rows = [
            (source_id, part, state.failing_since.timestamp(), state.reason)
            for (source_id, part), state in failures.items()
            if state.failing_since
        ]

        def transaction(connection: sqlite3.Connection) -> None:
            before = {ident for (ident,) in connection.execute("SELECT source_id FROM watch_failures")}
            connection.execute("DELETE FROM watch_failures")
            connection.executemany(
                "INSERT INTO watch_failures SELECT ?1, ?2, ?3, ?4 WHERE ?1 IN (SELECT id FROM sources)", rows
            )
            _tell_changes(connection, before)

        await self._db.write(transaction)


def _tell_changes(connection: sqlite3.Connection, before: Set[str]) -> None:
    rows = connection.execute("SELECT source_id, min(since), reason FROM watch_failures GROUP BY source_id").fetchall()
    # The watch of one that is paused is over, and so nothing of it fails; in order again it is not.
    watched = "SELECT id, database FROM sources WHERE paused_at IS NULL"
    databases = dict(connection.execute(watched).fetchall())
    for ident, since, reason in rows:
        if ident in databases.keys() - before:
            facts = {"since": datetime.fromtimestamp(since, UTC).isoformat(), "reason": reason}
            notify(connection, "source.failing", databases[ident], facts, ident)
    for ident in (before & databases.keys()) - {row[0] for row in rows}:
        notify(connection, "source.recovered", databases[ident], {"was": "failing"}, ident)

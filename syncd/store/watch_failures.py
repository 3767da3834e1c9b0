"""Since when, and why, parts of watches fail."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime

from syncd.model.watching import WatchState
from syncd.store.database import Database

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
        """Note what fails now, and nothing else. Twice is safe."""
        rows = [
            (source_id, part, state.failing_since.timestamp(), state.reason)
            for (source_id, part), state in failures.items()
            if state.failing_since
        ]

        def transaction(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM watch_failures")
            connection.executemany(
                "INSERT INTO watch_failures SELECT ?1, ?2, ?3, ?4 WHERE ?1 IN (SELECT id FROM sources)", rows
            )

        await self._db.write(transaction)

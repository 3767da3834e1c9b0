"""Forgets runs that ended long ago, so that the database does not grow with the number of changes there ever were."""

from __future__ import annotations

import sqlite3

from syncd.store.database import Database
from syncd.store.invocation_codec import IS_WHOLE_RUN

PAGE_RUNS = 500

_OF_NO_USE = f"""
state IN ('complete', 'failed', 'cancelled') AND finished_at < :before
AND NOT EXISTS (SELECT 1 FROM held_deletes WHERE invocation_id = i.id)
AND CASE
    WHEN NOT EXISTS (SELECT 1 FROM sources WHERE id = i.source_id) THEN 1
    WHEN object_key IS NOT NULL THEN EXISTS (
        SELECT 1 FROM invocations n WHERE n.source_id = i.source_id AND n.object_key = i.object_key AND n.seq > i.seq
    )
    WHEN {IS_WHOLE_RUN} THEN EXISTS (
        SELECT 1 FROM invocations WHERE source_id = i.source_id AND seq > i.seq AND database = i.database
        AND collection = i.collection AND {IS_WHOLE_RUN}
    )
    ELSE 1
END
"""
_PAGE = "SELECT seq FROM invocations WHERE seq > ? ORDER BY seq LIMIT ?"
_FOUND = f"SELECT seq FROM invocations i WHERE seq > :after AND seq <= :last AND {_OF_NO_USE}"
_FORGET = f"DELETE FROM invocations AS i WHERE seq = :seq AND {_OF_NO_USE}"


class RunHistory:
    """The runs that have ended."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def forget(self, ended_before: float) -> int:
        """Delete the runs that ended before that (seconds since 1970), with what became of their documents; return how many.

        What somebody may still ask for or act on stays: runs that hold deletes, and the last run of each object, and over each source
        into each collection. A page of runs is one transaction, so that nobody waits for long. Twice is safe.
        """
        forgotten, after = 0, 0
        while True:
            values = (after, PAGE_RUNS)
            page = await self._db.read(lambda c, values=values: c.execute(_PAGE, values).fetchall())
            if not page:
                return forgotten
            bounds = {"after": after, "last": page[-1][0], "before": ended_before}
            found = await self._db.read(lambda c, bounds=bounds: c.execute(_FOUND, bounds).fetchall())
            if found:
                forgotten += await self._db.write(lambda c, found=found: _forget(c, found, ended_before))
            after = page[-1][0]


def _forget(connection: sqlite3.Connection, found: list[tuple[int]], ended_before: float) -> int:
    chosen = [{"seq": seq, "before": ended_before} for (seq,) in found]
    return connection.executemany(_FORGET, chosen).rowcount

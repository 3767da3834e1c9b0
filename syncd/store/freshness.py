"""How soon changes of each source become searchable, and since when some wait for that."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from syncd.store.database import Database
from syncd.store.invocation_codec import IS_DRY_RUN

RECENT = 1000
"""Of so many documents of a source, those indexed last, the lag is taken."""


@dataclass(frozen=True, slots=True)
class Lag:
    """Seconds from change to searchable: nearest-rank percentiles over a source's documents that were indexed last."""

    source_id: str
    name: str | None
    documents: int
    p50_s: float
    p95_s: float
    p99_s: float


@dataclass(frozen=True, slots=True)
class WaitingChanges:
    """Since when what a source's oldest unfinished run is to bring has been waiting (seconds since 1970), if there is one."""

    source_id: str
    name: str | None
    max_lag_s: float | None
    """How long changes may wait, as its settings promise; None: they promise nothing."""
    since: float | None


_RECENT = (
    "SELECT recorded_at, changed_at FROM documents WHERE source_id = ? AND state = 'indexed' AND collection_id NOT IN "
    "(SELECT collection_id FROM shadows) ORDER BY recorded_at DESC LIMIT ?"
)
_WAITING = f"""
WITH unfinished AS (
    SELECT source_id, min(created_at) AS since FROM invocations
    WHERE state IN ('pending', 'processing') AND NOT ({IS_DRY_RUN}) AND (database, collection) NOT IN
    (SELECT c.database, c.name FROM shadows h JOIN collections c ON c.id = h.collection_id) GROUP BY source_id
)
SELECT s.id, s.name, json_extract(s.settings, '$.max_lag_s'), u.since FROM sources s
LEFT JOIN unfinished u ON u.source_id = s.id ORDER BY s.seq
"""


class Freshness:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def lags(self) -> Sequence[Lag]:
        """Return the lag of each source that says when documents changed.

        Changes made before the source was created do not count, since they could not be indexed sooner.
        """

        def query(connection: sqlite3.Connection) -> list[Lag]:
            sources = connection.execute("SELECT id, name, created_at FROM sources ORDER BY id").fetchall()
            found = [
                (ident, name, _lags_s(connection.execute(_RECENT, (ident, RECENT)), created_at))
                for ident, name, created_at in sources
            ]
            return [
                Lag(ident, name, len(lags_s), *(_percentile(lags_s, percent) for percent in (50, 95, 99)))
                for ident, name, lags_s in found
                if lags_s
            ]

        return await self._db.read(query)

    async def waiting(self) -> Sequence[WaitingChanges]:
        """Return, for each source, what it promises and since when changes wait."""
        return await self._db.read(lambda c: [WaitingChanges(*row) for row in c.execute(_WAITING)])


def _lags_s(rows: Iterable[tuple[float, float | None]], since: float) -> list[float]:
    return sorted(
        max(0.0, recorded - changed) for recorded, changed in rows if changed is not None and changed >= since
    )


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return ordered[(len(ordered) * percent + 99) // 100 - 1]

"""How soon changes of each source become searchable, and since when some wait for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncd.store.database import Database
from syncd.store.invocation_codec import IS_DRY_RUN

RECENT = 1000
"""So many documents of a source, those indexed last, are taken for how it is doing."""


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


_LAGS = f"""
WITH recent AS (
    SELECT s.id, s.name, max(0, d.recorded_at - d.changed_at) AS lag_s,
           row_number() OVER (PARTITION BY s.id ORDER BY d.recorded_at DESC) AS age
    FROM documents d JOIN sources s ON s.id = d.source_id
    WHERE d.state = 'indexed' AND d.changed_at >= s.created_at
), lags AS (
    SELECT id, name, lag_s, row_number() OVER (PARTITION BY id ORDER BY lag_s) AS place,
           count(*) OVER (PARTITION BY id) AS documents
    FROM recent WHERE age <= {RECENT}
)
SELECT id, name, documents, max(lag_s) FILTER (WHERE place = (documents + 1) / 2),
       max(lag_s) FILTER (WHERE place = (documents * 95 + 99) / 100),
       max(lag_s) FILTER (WHERE place = (documents * 99 + 99) / 100)
FROM lags GROUP BY id ORDER BY id
"""
"""Changes made before the source was created do not count, since they could not be indexed sooner."""
_WAITING = f"""
WITH unfinished AS (
    SELECT source_id, min(created_at) AS since FROM invocations
    WHERE state IN ('pending', 'processing') AND NOT ({IS_DRY_RUN}) GROUP BY source_id
)
SELECT s.id, s.name, json_extract(s.settings, '$.max_lag_s'), u.since FROM sources s
LEFT JOIN unfinished u ON u.source_id = s.id ORDER BY s.seq
"""


class Freshness:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def lags(self) -> Sequence[Lag]:
        """Return the lag of each source that says when documents changed."""
        return await self._db.read(lambda c: [Lag(*row) for row in c.execute(_LAGS)])

    async def waiting(self) -> Sequence[WaitingChanges]:
        """Return, for each source, what it promises and since when changes wait."""
        return await self._db.read(lambda c: [WaitingChanges(*row) for row in c.execute(_WAITING)])

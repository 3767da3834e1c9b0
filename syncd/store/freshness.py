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
    """How long changes may wait, as its settings promise; None: they promise nothing, or it is paused."""
    since: float | None


_RECENT = (
    "SELECT recorded_at, changed_at FROM documents WHERE source_id = ? AND state = 'indexed' AND collection_id NOT IN "
    "(SELECT collection_id FROM shadows) ORDER BY recorded_at DESC LIMIT ?"
)
_SOURCES = (
    "SELECT id, coalesce(name, given_name), created_at, (SELECT recorded_at FROM documents d WHERE d.source_id = s.id AND d.state = 'indexed' "
    "ORDER BY recorded_at DESC LIMIT 1) FROM sources s {} ORDER BY id"
)
_SHADOWS = "SELECT collection_id FROM shadows ORDER BY collection_id"
_WAITING = f"""
WITH unfinished AS (
    SELECT source_id, min(coalesce(json_extract(request, '$.waiting_since'), created_at)) AS since FROM invocations
    WHERE state IN ('pending', 'processing') AND NOT ({IS_DRY_RUN}) AND (database, collection) NOT IN
    (SELECT c.database, c.name FROM shadows h JOIN collections c ON c.id = h.collection_id) GROUP BY source_id
)
SELECT s.id, coalesce(s.name, s.given_name), iif(s.paused_at IS NULL, json_extract(s.settings, '$.max_lag_s'), NULL), u.since FROM sources s
LEFT JOIN unfinished u ON u.source_id = s.id ORDER BY s.seq
"""


class Freshness:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._found: dict[str, tuple[float, tuple[int, ...], tuple[int, float, float, float] | None]] = {}
        """Each source's lags, when its newest document was indexed, and which collections did not count. Of the reader's thread."""

    async def lags(self, source_ids: Sequence[str] | None = None) -> Sequence[Lag]:
        """Return the lag of each source, or of each of these, that says when documents changed.

        Changes made before the source was created do not count, since they could not be indexed sooner. Rows are read of
        sources that had something indexed since the last call; a document that was deleted meanwhile counts until then.
        """
        chosen = "" if source_ids is None else f"WHERE id IN ({', '.join('?' * len(source_ids))})"

        def query(connection: sqlite3.Connection) -> list[Lag]:
            shadows = tuple(number for (number,) in connection.execute(_SHADOWS))
            sources = connection.execute(_SOURCES.format(chosen), source_ids or ()).fetchall()
            if source_ids is None:
                there = {ident for ident, *_ in sources}
                self._found = {ident: found for ident, found in self._found.items() if ident in there}
            found: list[Lag] = []
            for ident, name, created_at, newest in sources:
                if newest is not None and self._found.get(ident, ())[:2] != (newest, shadows):
                    lags_s = _lags_s(connection.execute(_RECENT, (ident, RECENT)), created_at)
                    self._found[ident] = (newest, shadows, _percentiles(lags_s))
                if newest is not None and (figures := self._found[ident][2]):
                    found.append(Lag(ident, name, *figures))
            return found

        return await self._db.read(query)

    async def waiting(self) -> Sequence[WaitingChanges]:
        """Return, for each source, what it promises and since when changes wait."""
        return await self._db.read(lambda c: [WaitingChanges(*row) for row in c.execute(_WAITING)])


def _lags_s(rows: Iterable[tuple[float, float | None]], since: float) -> list[float]:
    return sorted(
        max(0.0, recorded - changed) for recorded, changed in rows if changed is not None and changed >= since
    )


def _percentiles(ordered: Sequence[float]) -> tuple[int, float, float, float] | None:
    """Return how many there are, and the three percentiles of a `Lag`; None: there are none."""
    if not ordered:
        return None
    p50_s, p95_s, p99_s = (ordered[(len(ordered) * percent + 99) // 100 - 1] for percent in (50, 95, 99))
    return len(ordered), p50_s, p95_s, p99_s

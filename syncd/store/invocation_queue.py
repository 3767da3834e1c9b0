"""The queue of invocations: which is next, and the progress of each."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from syncd.model import Counts, Invocation, Origin, Request, SlotKind, State
from syncd.model.requests import followed_up, not_asked_for
from syncd.store.checked_tables import IS_LOST
from syncd.store.codec import dumps
from syncd.store.database import Database
from syncd.store.invocation_codec import INVOCATION_COLUMNS, invocation_from_row, request_to_json
from syncd.store.run_ends import end_run

FOLLOW_UPS = 5
"""How often an incomplete run is followed by another one automatically, before the next request or schedule."""
TURNS = 64
"""How many due invocations of one source are looked at: more than may run at once."""

_WAITING = "state IN ('pending', 'processing')"
_NEXT_SOURCE = f"""
    SELECT * FROM (SELECT priority, source_id, not_before FROM invocations WHERE {_WAITING} AND slot_kind = ?1
        AND priority = ?2 AND source_id > ?3 ORDER BY source_id, not_before LIMIT 1)
    UNION ALL
    SELECT * FROM (SELECT priority, source_id, not_before FROM invocations WHERE {_WAITING} AND slot_kind = ?1
        AND priority > ?2 ORDER BY priority, source_id, not_before LIMIT 1)
    LIMIT 1
"""
"""What comes first of the next source that has something of this urgency, or of the first source that has something less urgent."""
_STANDING_STILL = f"SELECT id FROM sources WHERE paused_at IS NOT NULL UNION ALL SELECT id FROM sources WHERE {IS_LOST}"
_DUE_OF_SOURCE = (
    f"SELECT priority, {INVOCATION_COLUMNS} FROM invocations WHERE {_WAITING} AND slot_kind = ? AND source_id = ? "
    "AND not_before <= ? ORDER BY priority, seq LIMIT ?"
)

_decoded = lru_cache(2048)(invocation_from_row)
"""What waits is looked at again whenever a run ends, and its row seldom changes meanwhile."""


class InvocationQueue:
    """Invocations as the Syncer sees them. Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def due(self, limit: int, kinds: Sequence[SlotKind] = tuple(SlotKind)) -> Sequence[Invocation]:
        """Return unfinished invocations of these kinds that are due, most urgent first; among equally urgent ones sources take turns.

        None of sources that are paused, or damaged for good. Of each source at most TURNS, and of each kind at most `limit`
        altogether: of no more sources than that, for the most urgent one of each comes before all others.
        """
        now = time.time()

        def of_kind(connection: sqlite3.Connection, kind: SlotKind) -> list[tuple[int, int, tuple[Any, ...]]]:
            turns = [
                (row[0], turn, row[1:])
                for source_id in sources_due(connection, kind, now, limit)
                for turn, row in enumerate(connection.execute(_DUE_OF_SOURCE, (kind, source_id, now, TURNS)))
            ]
            turns.sort(key=lambda one: one[:2])
            return turns[:limit]

        def query(connection: sqlite3.Connection) -> list[Invocation]:
            turns = [one for kind in kinds for one in of_kind(connection, kind)]
            turns.sort(key=lambda one: one[:2])
            return [_decoded(row) for _, _, row in turns]

        return await self._db.read(query)

    async def next_due_in_s(self, since: float) -> float | None:
        """Return the seconds until the earliest one that was not due at `since` (a Unix time) comes due; None: there is none."""

        def query(connection: sqlite3.Connection) -> float | None:
            (earliest,) = connection.execute(
                "SELECT min(not_before) FROM invocations WHERE state IN ('pending', 'processing') AND not_before > ?",
                (since,),
            ).fetchone()
            return None if earliest is None else max(0.0, earliest - time.time())

        return await self._db.read(query)

    async def start(self, invocation_id: str) -> bool:
        """Mark an invocation as processing and count the attempt. False if it was cancelled meanwhile."""
        return await self._db.write(
            lambda c: (
                c.execute(
                    "UPDATE invocations SET state = 'processing', attempts = attempts + 1, "
                    "started_at = coalesce(started_at, ?) WHERE id = ? AND state IN ('pending', 'processing')",
                    (time.time(), invocation_id),
                ).rowcount
                > 0
            )
        )

    async def progress(self, invocation_id: str, counts: Counts) -> None:
        """Save the counts of a running invocation."""
        await self._db.write(
            lambda c: c.execute(
                "UPDATE invocations SET counts = ? WHERE id = ?", (dumps(asdict(counts)), invocation_id)
            )
        )

    async def settle(self, invocation_id: str, state: State, counts: Counts, error: str | None = None) -> None:
        """Record the end of an invocation; a cancelled one stays cancelled. Twice is safe."""
        await self._db.write(lambda c: end_run(c, invocation_id, state, counts, error))

    async def follow_up(
        self,
        invocation: Invocation,
        delay_s: float,
        request: Request | None = None,
        origin: Origin | None = None,
        limit: int | None = FOLLOW_UPS,
    ) -> None:
        """Create an invocation for the same request, or for this part of it, after `delay_s`; of keys that another one asks for
        already, none. Twice is safe. `origin` None: the same.

        At most `limit` times in a row; None: for ever. A request that nothing follows is left alone.
        """
        following = followed_up(request or invocation.request, invocation.created_at.timestamp())
        if following is None or (limit is not None and following.whole.follow_up > limit):
            return
        now = time.time()

        def transaction(connection: sqlite3.Connection) -> None:
            lacking = not_asked_for(following, following_beside(connection, invocation))
            if lacking is not None:
                connection.execute(
                    "INSERT INTO invocations (id, source_id, source_type, database, collection, origin, priority, request, "
                    "state, not_before, created_at) SELECT ?1, source_id, source_type, database, collection, ?6, priority, "
                    "?2, 'pending', ?3, ?4 FROM invocations WHERE id = ?5",
                    (
                        str(uuid.uuid4()),
                        request_to_json(lacking),
                        now + delay_s,
                        now,
                        invocation.id,
                        origin or invocation.origin,
                    ),
                )

        await self._db.write(transaction)

    async def postpone(self, invocation_id: str, delay_s: float, error: str, counts: Counts, bugs: int = 0) -> None:
        """Retry an invocation after `delay_s`; `error` says why it waits, `bugs` is added to its count of bugs."""
        await self._db.write(
            lambda c: c.execute(
                "UPDATE invocations SET not_before = ?, error = ?, counts = ?, bugs = bugs + ? "
                "WHERE id = ? AND state = 'processing'",
                (time.time() + delay_s, error, dumps(asdict(counts)), bugs, invocation_id),
            )
        )


def following_beside(connection: sqlite3.Connection, invocation: Invocation) -> list[Request]:
    """Return what else is asked again of a source for a collection and not done."""
    target = invocation.target
    rows = connection.execute(
        f"SELECT {INVOCATION_COLUMNS} FROM invocations WHERE {_WAITING} AND source_id = ? AND database = ? "
        "AND collection = ? AND id <> ? AND json_extract(request, '$.follow_up') > 0",
        (invocation.source_id, target.database, target.collection, invocation.id),
    )
    return [invocation_from_row(row).request for row in rows]


def sources_due(connection: sqlite3.Connection, kind: SlotKind, now: float, limit: int) -> Sequence[str]:
    """Return up to `limit` sources with something of a kind due, those with the most urgent first; none that are paused, or damaged for good.

    Steps from source to source by index: neither all sources nor all invocations that wait are looked at.
    """
    skipped = {source_id for (source_id,) in connection.execute(_STANDING_STILL)}
    found: dict[str, None] = {}
    priority, source_id = -1, ""
    while len(found) < limit:
        row = connection.execute(_NEXT_SOURCE, (kind, priority, source_id)).fetchone()
        if row is None:
            break
        priority, source_id, not_before = row
        if not_before <= now and source_id not in skipped:
            found[source_id] = None
    return list(found)

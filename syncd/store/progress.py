"""The progress of a source in a collection: cursors, documents seen by a run, outcomes, held deletes."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncd.model import DocumentState, Target
from syncd.store.checksums import cursor_checksum
from syncd.store.cursors import INVALID, invalidate_cursors, sound_cursor
from syncd.store.database import Database
from syncd.store.webhook_outbox import notify

# In this order: SQLite, which does not know how few deletes are held, might compare each run with each document.
STILL_HELD = (
    "held_deletes h CROSS JOIN invocations i ON i.id = h.invocation_id "
    "CROSS JOIN collections c ON c.database = i.database AND c.name = i.collection "
    "CROSS JOIN documents d ON d.collection_id = c.id AND d.source_id = i.source_id AND d.key = h.key AND d.seen < i.seq"
)

LATEST_HOLDERS = 2
"""A run that is told of as the one to confirm holds its deletes while so many others end."""
_BEING_CONFIRMED = (
    "SELECT json_extract(request, '$.confirm_deletes') FROM invocations WHERE state IN ('pending', 'processing') "
    "AND json_extract(request, '$.confirm_deletes') IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one document of a run."""

    key: str
    state: DocumentState
    reason: str = ""
    version: str = ""
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class HoldingRun:
    """An invocation that would delete so many documents more if that were confirmed."""

    invocation_id: str
    source_id: str
    target: Target
    documents: int


class Progress:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def cursor(self, source_id: str, collection_id: int, config_hash: str) -> str | None:
        """Return the last saved cursor; None if there is none, if it is damaged, or if it belongs to another configuration."""

        def query(connection: sqlite3.Connection) -> str | None:
            row = connection.execute(
                "SELECT recipe, cursor, checksum FROM cursors WHERE source_id = ? AND collection_id = ? AND recipe = ?",
                (source_id, collection_id, config_hash),
            ).fetchone()
            return sound_cursor(row)

        return await self._db.read(query)

    async def reached(self, source_id: str, target: Target) -> str | None:
        """Return the last saved cursor of a source in a collection, whatever configuration it was made with, or None."""
        statement = (
            "SELECT recipe, cursor, cursors.checksum FROM cursors JOIN collections c ON c.id = collection_id "
            "WHERE source_id = ? AND c.database = ? AND c.name = ? AND recipe <> ?"
        )
        values = (source_id, target.database, target.collection, INVALID)
        row = await self._db.read(lambda c: c.execute(statement, values).fetchone())
        return sound_cursor(row)

    async def earlier_cursor(self, source_id: str, collection_id: int) -> str | None:
        """Return the last saved cursor, also one that does not count any more; None if there is none, or it is damaged."""
        statement = "SELECT recipe, cursor, checksum FROM cursors WHERE source_id = ? AND collection_id = ?"
        return sound_cursor(await self._db.read(lambda c: c.execute(statement, (source_id, collection_id)).fetchone()))

    async def drop_cursor(self, source_id: str, collection_id: int, config_hash: str) -> None:
        """Have a cursor of another configuration not count; call it before documents are made with this one, which invalidates it."""
        condition = "source_id = ? AND collection_id = ? AND recipe NOT IN (?, ?)"
        values = (source_id, collection_id, config_hash, INVALID)
        await self._db.write(lambda c: invalidate_cursors(c, condition, values))

    async def forget_cursor(self, source_id: str, collection_id: int) -> None:
        """Have the cursor not count, so that the next run begins anew. Twice is safe."""
        condition, values = "source_id = ? AND collection_id = ?", (source_id, collection_id)
        await self._db.write(lambda c: invalidate_cursors(c, condition, values))

    async def save_cursor(self, source_id: str, collection_id: int, config_hash: str, cursor: str) -> None:
        """Move the cursor; only after everything before it is recorded."""
        await self._db.write(
            lambda c: c.execute(
                "INSERT OR REPLACE INTO cursors (source_id, collection_id, recipe, cursor, checksum) VALUES (?, ?, ?, ?, ?)",
                (source_id, collection_id, config_hash, cursor, cursor_checksum(config_hash, cursor)),
            )
        )

    async def run_number(self, invocation_id: str) -> int:
        """Return the invocation's place in the order of all invocations."""
        return await self._db.read(
            lambda c: c.execute("SELECT seq FROM invocations WHERE id = ?", (invocation_id,)).fetchone()[0]
        )

    async def mark_seen(self, collection_id: int, source_id: str, keys: Sequence[str], run_number: int) -> None:
        """Record that a run has seen these documents."""
        rows = [(run_number, collection_id, source_id, key) for key in keys]

        def transaction(connection: sqlite3.Connection) -> None:
            for table in ("documents", "prepared"):
                statement = f"UPDATE {table} SET seen = ? WHERE collection_id = ? AND source_id = ? AND key = ?"
                connection.executemany(statement, rows)

        await self._db.write(transaction)

    async def unseen(self, collection_id: int, source_id: str, run_number: int) -> Sequence[str]:
        """Return the keys recorded for a source that neither this run nor a later one has seen, but for those left out."""
        statement = (
            "SELECT key FROM documents WHERE collection_id = ?1 AND source_id = ?2 AND seen < ?3 AND state <> 'skipped' UNION "
            "SELECT key FROM prepared WHERE collection_id = ?1 AND source_id = ?2 AND seen < ?3 EXCEPT "
            "SELECT key FROM prepared WHERE collection_id = ?1 AND source_id = ?2 AND seen >= ?3 ORDER BY key"
        )
        return await self._db.read(
            lambda c: [k for (k,) in c.execute(statement, (collection_id, source_id, run_number))]
        )

    async def forget_left_out(self, collection_id: int, source_id: str, run_number: int) -> None:
        """Forget documents that were left out and that neither this run nor a later one has seen: there is nothing to delete.

        Twice is safe.
        """
        statement = "DELETE FROM documents WHERE collection_id = ? AND source_id = ? AND seen < ? AND state = 'skipped'"
        await self._db.write(lambda c: c.execute(statement, (collection_id, source_id, run_number)))

    async def note(self, invocation_id: str, outcomes: Sequence[Outcome]) -> None:
        """Record outcomes of documents; the last one of a key wins, so twice is safe."""
        now = time.time()
        rows = [(invocation_id, o.key, o.state, o.reason, o.version, o.chunks, now) for o in outcomes]
        await self._db.write(
            lambda c: c.executemany("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        )

    async def hold_deletes(self, invocation_id: str, keys: Sequence[str], reason: str) -> None:
        """Hold these deletes until they are confirmed, and tell webhooks why, unless they have been told of all of them. Twice is safe.

        Of earlier runs only the first, the latest and those that are being confirmed go on to hold the same.
        """

        def transaction(connection: sqlite3.Connection) -> None:
            rows = [(invocation_id, key) for key in keys]
            added = connection.executemany("INSERT OR IGNORE INTO held_deletes VALUES (?, ?)", rows).rowcount
            if added <= _thin_out(connection, invocation_id):
                return
            statement = "SELECT database, source_id, collection FROM invocations WHERE id = ?"
            for database, source_id, collection in connection.execute(statement, (invocation_id,)).fetchall():
                run = {"invocation_id": invocation_id, "collection_name": collection}
                notify(
                    connection, "deletes.held", database, {**run, "documents": len(keys), "reason": reason}, source_id
                )

        await self._db.write(transaction)

    async def held_deletes(self, invocation_id: str) -> Sequence[str]:
        """Return the keys whose deletes an invocation holds."""
        statement = "SELECT key FROM held_deletes WHERE invocation_id = ? ORDER BY key"
        return await self._db.read(lambda c: [k for (k,) in c.execute(statement, (invocation_id,))])

    async def held_in(self, target: Target) -> Mapping[str, int]:
        """Return how many documents of a collection each invocation would still delete, newest first."""
        statement = (
            f"SELECT i.id, count(*) FROM {STILL_HELD} "
            "WHERE i.database = ? AND i.collection = ? GROUP BY i.id ORDER BY i.seq DESC"
        )
        place = target.database, target.collection
        return await self._db.read(lambda c: dict(c.execute(statement, place).fetchall()))

    async def holding_runs(self, databases: frozenset[str] | None) -> Sequence[HoldingRun]:
        """Return the invocations that hold deletes still, newest first; None: of every database."""
        statement = (
            f"SELECT i.id, i.source_id, i.database, i.collection, count(*) FROM {STILL_HELD} "
            "GROUP BY i.id ORDER BY i.seq DESC"
        )
        rows = await self._db.read(lambda c: c.execute(statement).fetchall())
        found = [HoldingRun(ident, source, Target(*target), count) for ident, source, *target, count in rows]
        return [run for run in found if databases is None or run.target.database in databases]

    async def still_held(self, invocation_id: str, limit: int = 100, offset: int = 0) -> Sequence[str]:
        """Return the keys that an invocation would still delete if that were confirmed, in order: none that reappeared since."""
        statement = f"SELECT h.key FROM {STILL_HELD} WHERE h.invocation_id = ? ORDER BY h.key LIMIT ? OFFSET ?"
        values = (invocation_id, limit, offset)
        return await self._db.read(lambda c: [key for (key,) in c.execute(statement, values)])

    async def release_deletes(self, invocation_id: str) -> None:
        """Delete the record of an invocation's held deletes, because they are done or not wanted, and of what else is done. Twice is safe."""

        def transaction(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM held_deletes WHERE invocation_id = ?", (invocation_id,))
            _forget_done(connection, invocation_id)

        await self._db.write(transaction)


def _thin_out(connection: sqlite3.Connection, invocation_id: str) -> int:
    """Of the runs of the same source into the same collection let only the first, which was told of, the latest and those that are
    being confirmed hold deletes that this one holds. Return how much of what this one holds others held before.
    """
    _forget_done(connection, invocation_id)
    others = _other_holders(connection, invocation_id)
    confirmed = {ident for (ident,) in connection.execute(_BEING_CONFIRMED)}
    kept = {*others[:1], *others[-LATEST_HOLDERS:], *confirmed}
    dropped = [(ident, invocation_id) for ident in others if ident not in kept]
    of_this = "key IN (SELECT key FROM held_deletes WHERE invocation_id = ?)"
    connection.executemany(f"DELETE FROM held_deletes WHERE invocation_id = ? AND {of_this}", dropped)
    known = (
        "SELECT count(*) FROM held_deletes h WHERE invocation_id = ? AND EXISTS (SELECT 1 FROM held_deletes "
        "WHERE key = h.key AND invocation_id IN (SELECT value FROM json_each(?)))"
    )
    left = json.dumps([ident for ident in others if ident in kept])
    return connection.execute(known, (invocation_id, left)).fetchone()[0]


def _forget_done(connection: sqlite3.Connection, invocation_id: str) -> None:
    """Delete from the record of the others of these runs what is not to be deleted any more."""
    for ident in _other_holders(connection, invocation_id):
        still = f"SELECT h.key FROM {STILL_HELD} WHERE h.invocation_id = ?"
        connection.execute(f"DELETE FROM held_deletes WHERE invocation_id = ? AND key NOT IN ({still})", (ident, ident))


def _other_holders(connection: sqlite3.Connection, invocation_id: str) -> list[str]:
    """Return the other runs of the same source into the same collection that hold deletes, in their order."""
    statement = (
        "SELECT o.id FROM invocations i CROSS JOIN invocations o ON o.source_id = i.source_id AND o.database = i.database "
        "AND o.collection = i.collection AND o.id <> i.id WHERE i.id = ? "
        "AND o.id IN (SELECT DISTINCT invocation_id FROM held_deletes) ORDER BY o.seq"
    )
    return [ident for (ident,) in connection.execute(statement, (invocation_id,)).fetchall()]

"""Invocations: durable before they are acknowledged, settled only after their work is done."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from syncd.errors import ConflictError, NotFoundError
from syncd.model import DocumentState, Invocation, Origin, Request, State, Target, WholeSource
from syncd.store.conditions import conditions
from syncd.store.invocation_codec import (
    INVOCATION_COLUMNS,
    IS_DRY_RUN,
    IS_WHOLE_RUN,
    invocation_from_row,
)
from syncd.store.invocation_queue import InvocationQueue
from syncd.store.new_invocations import insert_invocation, insert_or_join
from syncd.store.run_ends import cancel_runs

TELLING_TOKENS = 1000
"""Runs that embedded fewer tokens are not used to estimate the speed."""
LATEST_RUNS = 10


@dataclass(frozen=True, slots=True)
class DocumentOutcome:
    """The outcome of one document in one invocation: indexed, deleted, skipped or failed (with the reason)."""

    key: str
    state: DocumentState
    reason: str
    version: str
    chunks: int
    at: datetime


class Invocations(InvocationQueue):
    """Invocations from the point of view of their callers. Each method is one transaction."""

    async def create(
        self, source_id: str, target: Target, origin: Origin, request: Request | None = None
    ) -> Invocation:
        """Store a pending invocation; durable when this returns. Raises NotFoundError if the source is gone."""
        asked = request or WholeSource()

        def transaction(connection: sqlite3.Connection) -> Invocation:
            source = connection.execute("SELECT type FROM sources WHERE id = ?", (source_id,)).fetchone()
            if source is None:
                raise NotFoundError(f"source {source_id} does not exist; list sources to find its id")
            return insert_invocation(connection, source_id, source[0], target, origin, asked)

        return await self._db.write(transaction)

    async def create_or_join(
        self, source_id: str, target: Target, origin: Origin, request: Request | None = None
    ) -> Invocation:
        """Like `create`, but join a pending invocation that can do the same: its keys become the union of both.

        A pending run over everything, or over a superset, is joined unchanged; one that was to follow another up later is
        due at once. Raises NotFoundError if the source is gone.
        """
        asked = request or WholeSource()

        def transaction(connection: sqlite3.Connection) -> Invocation:
            source = connection.execute("SELECT type FROM sources WHERE id = ?", (source_id,)).fetchone()
            if source is None:
                raise NotFoundError(f"source {source_id} does not exist; list sources to find its id")
            return insert_or_join(connection, source_id, source[0], target, origin, asked)

        return await self._db.write(transaction)

    async def get(self, invocation_id: str) -> Invocation | None:
        """Return one invocation, or None."""

        def query(connection: sqlite3.Connection) -> Invocation | None:
            row = connection.execute(
                f"SELECT {INVOCATION_COLUMNS} FROM invocations WHERE id = ?", (invocation_id,)
            ).fetchone()
            return invocation_from_row(row) if row else None

        return await self._db.read(query)

    async def some(self, ids: Collection[str]) -> Sequence[Invocation]:
        """Return the invocations with these ids, without those that there are not."""
        statement = f"SELECT {INVOCATION_COLUMNS} FROM invocations WHERE id IN (SELECT value FROM json_each(?))"
        asked = (json.dumps([*ids]),)
        return await self._db.read(lambda c: [invocation_from_row(row) for row in c.execute(statement, asked)])

    async def list(
        self,
        source_id: str | None = None,
        database: str | None = None,
        databases: frozenset[str] | None = None,
        type: str | None = None,
        state: State | None = None,
        after: str | None = None,
        limit: int = 100,
        offset: int = 0,
        newest_first: bool = True,
    ) -> list[Invocation]:
        """Return invocations in order of creation, only those behind the one called `after` if that is given. `databases` is the
        caller's scope; None is every database.
        """
        where, values = conditions(
            {"source_id": source_id, "database": database, "source_type": type, "state": state}, databases
        )
        if after is not None:
            where += f"{' AND' if where else ' WHERE'} seq {'<' if newest_first else '>'} (SELECT seq FROM invocations WHERE id = ?)"
            values.append(after)
        # The index over the few that are not complete is used only where the query says that it wants those.
        where += " AND state <> 'complete'" if state not in (None, State.COMPLETE) else ""
        order = "DESC" if newest_first else "ASC"
        statement = f"SELECT {INVOCATION_COLUMNS} FROM invocations{where} ORDER BY seq {order} LIMIT ? OFFSET ?"
        return await self._db.read(
            lambda c: [invocation_from_row(row) for row in c.execute(statement, (*values, limit, offset))]
        )

    async def latest_by_keys(self, source_id: str, keys: Sequence[str]) -> dict[str, Invocation]:
        """Return the newest invocation of each object key that has one."""

        def query(connection: sqlite3.Connection) -> dict[str, Invocation]:
            found: dict[str, Invocation] = {}
            for key in keys:
                row = connection.execute(
                    f"SELECT {INVOCATION_COLUMNS} FROM invocations WHERE source_id = ? AND object_key = ? "
                    "ORDER BY seq DESC LIMIT 1",
                    (source_id, key),
                ).fetchone()
                if row:
                    found[key] = invocation_from_row(row)
            return found

        return await self._db.read(query)

    async def latest_whole(self, source_id: str) -> Invocation | None:
        """Return the newest invocation of a source, except dry runs, those for single keys and those into shadows, or None."""
        statement = (
            f"SELECT {INVOCATION_COLUMNS} FROM invocations WHERE source_id = ? AND {IS_WHOLE_RUN} AND (database, collection) "
            "NOT IN (SELECT c.database, c.name FROM shadows h JOIN collections c ON c.id = h.collection_id) "
            "ORDER BY seq DESC LIMIT 1"
        )

        def query(connection: sqlite3.Connection) -> Invocation | None:
            row = connection.execute(statement, (source_id,)).fetchone()
            return invocation_from_row(row) if row else None

        return await self._db.read(query)

    async def is_idle(self, source_id: str, target: Target) -> bool:
        """Return whether no run over the whole source into this collection waits or is under way."""
        statement = (
            "SELECT 1 FROM invocations WHERE state IN ('pending', 'processing') AND source_id = ? AND database = ? "
            f"AND collection = ? AND {IS_WHOLE_RUN} LIMIT 1"
        )
        place = (source_id, target.database, target.collection)
        return await self._db.read(lambda c: c.execute(statement, place).fetchone() is None)

    async def is_begun(self, source_id: str, target: Target) -> bool:
        """Return whether a run over the whole source into this collection is under way, or due."""
        statement = (
            "SELECT 1 FROM invocations WHERE (state = 'processing' OR (state = 'pending' AND not_before <= ?)) "
            f"AND source_id = ? AND database = ? AND collection = ? AND {IS_WHOLE_RUN} LIMIT 1"
        )
        place = (time.time(), source_id, target.database, target.collection)
        return await self._db.read(lambda c: c.execute(statement, place).fetchone() is not None)

    async def next_try_at(self, source_id: str) -> datetime | None:
        """Return when the first of a source's runs that wait for better times is due, or None if none does."""
        statement = (
            "SELECT min(not_before) FROM invocations WHERE source_id = ? AND state IN ('pending', 'processing') "
            "AND not_before > 0"
        )
        (due,) = await self._db.read(lambda c: c.execute(statement, (source_id,)).fetchone())
        return None if due is None else datetime.fromtimestamp(due, UTC)

    async def tokens_per_s(self, model: str) -> float | None:
        """Return the tokens per second of the latest runs with this dense model, waiting and parsing included; None without any."""
        statement = (
            "SELECT sum(tokens) / sum(took_s) FROM (SELECT json_extract(i.counts, '$.tokens') AS tokens, "
            "max(0.001, i.finished_at - i.started_at) AS took_s FROM invocations i JOIN sources s ON s.id = i.source_id "
            f"WHERE i.state = 'complete' AND tokens >= ? AND NOT ({IS_DRY_RUN}) "
            "AND json_extract(s.embedding, '$.model') = ? ORDER BY i.seq DESC LIMIT ?)"
        )
        row = await self._db.read(lambda c: c.execute(statement, (TELLING_TOKENS, model, LATEST_RUNS)).fetchone())
        return row[0]

    async def next_tries(self, invocation: Invocation) -> Sequence[Invocation]:
        """Return the invocations that will try again what failed in this one: itself, if it is over one object, or what follows."""
        statement = (
            f"SELECT {INVOCATION_COLUMNS} FROM invocations WHERE state IN ('pending', 'processing') AND source_id = ? "
            "AND database = ? AND collection = ? ORDER BY not_before"
        )
        target = invocation.target
        place = (invocation.source_id, target.database, target.collection)
        found = await self._db.read(lambda c: [invocation_from_row(row) for row in c.execute(statement, place)])
        return [
            it for it in found if it.request.whole.follow_up or (it.id == invocation.id and it.request.is_object_run)
        ]

    async def cancel(self, invocation_id: str) -> Invocation:
        """Cancel a pending or running invocation; what it has indexed stays. Raises NotFoundError, or ConflictError if it has ended."""

        def transaction(connection: sqlite3.Connection) -> Invocation:
            changed = cancel_runs(connection, "id = ?", (invocation_id,))
            row = connection.execute(
                f"SELECT {INVOCATION_COLUMNS} FROM invocations WHERE id = ?", (invocation_id,)
            ).fetchone()
            if row is None:
                raise NotFoundError(f"invocation {invocation_id} does not exist")
            invocation = invocation_from_row(row)
            if not changed:
                raise ConflictError(
                    f"invocation {invocation_id} is already {invocation.state}; only a running one can be cancelled"
                )
            return invocation

        return await self._db.write(transaction)

    async def documents(
        self, invocation_id: str, state: DocumentState | None = None, limit: int = 100, offset: int = 0
    ) -> Sequence[DocumentOutcome]:
        """Return the outcomes of the invocation's documents, in key order."""
        is_rare = state not in (None, DocumentState.INDEXED)
        # SQLite does not know by itself that few documents are not indexed.
        index = " INDEXED BY outcomes_not_indexed" if is_rare else ""
        narrowed = (" AND state = ?" if state else "") + (" AND state <> 'indexed'" if is_rare else "")
        statement = (
            f"SELECT key, state, reason, version, chunks, at FROM outcomes{index} "
            f"WHERE invocation_id = ?{narrowed} ORDER BY key LIMIT ? OFFSET ?"
        )
        values = (invocation_id, *([state] if state else []), limit, offset)

        def query(connection: sqlite3.Connection) -> list[DocumentOutcome]:
            rows = connection.execute(statement, values)
            return [
                DocumentOutcome(key, DocumentState(outcome), reason, version, chunks, datetime.fromtimestamp(at, UTC))
                for key, outcome, reason, version, chunks, at in rows
            ]

        return await self._db.read(query)

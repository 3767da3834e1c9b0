"""Journal queries for event queues: checks requested in constant time, and messages that could not be processed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass

from syncd.errors import NotFoundError
from syncd.model import OneObject, Origin, Target, WholeSource
from syncd.store.database import Database
from syncd.store.invocation_codec import request_to_json
from syncd.store.new_invocations import insert_invocation

PUT_OFF_S = 300.0
"""A message waits no longer than this for its invocations; after that the journal alone carries its work."""
KEPT_S = 30 * 86_400.0
"""Longer than any queue retains a message."""


@dataclass(frozen=True, slots=True)
class UnreadableMessage:
    """A message that could not be processed, with the reason."""

    queue_url: str
    message_id: str
    reason: str
    body: str
    receives: int
    """How often it was received; 0: the queue's service does not count."""
    at: float = 0.0
    """When it was last received, in seconds since 1970."""


class CheckQueue:
    """Invocations that events and labels lead to; every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def ask(self, source_id: str, collection: str, origin: Origin, request: OneObject | WholeSource) -> str:
        """Return the id of an invocation that does what is requested; durable when this returns.

        An invocation for the same that has not started, or was postponed, is reused, whichever event created it:
        its check is still to come. By index, because there may be as many waiting as there are events.
        Raises NotFoundError when the source is gone.
        """

        def transaction(connection: sqlite3.Connection) -> str:
            source = connection.execute("SELECT type, database FROM sources WHERE id = ?", (source_id,)).fetchone()
            if source is None:
                raise NotFoundError(f"source {source_id} no longer exists; nothing is left to do")
            row = connection.execute(
                "SELECT id FROM invocations WHERE source_id = ? AND object_key IS ? AND (state = 'pending' OR "
                "(state = 'processing' AND object_key IS NOT NULL AND not_before > ?)) AND collection = ? AND database = ? AND request = ? ORDER BY seq DESC LIMIT 1",
                (source_id, request.object_key, time.time(), collection, source[1], request_to_json(request)),
            ).fetchone()
            if row is not None:
                return row[0]
            return insert_invocation(
                connection, source_id, source[0], Target(source[1], collection), origin, request
            ).id

        return await self._db.write(transaction)

    async def is_over(self, invocation_id: str) -> bool:
        """Return whether waiting for an invocation can stop: it has ended, was deleted, or has been postponed for long."""
        statement = "SELECT 1 FROM invocations WHERE id = ? AND state IN ('pending', 'processing') AND not_before <= ?"
        soon = time.time() + PUT_OFF_S
        return await self._db.read(lambda c: c.execute(statement, (invocation_id, soon)).fetchone() is None)


class DeadLetters:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, letter: UnreadableMessage) -> int:
        """Keep a message with its reason, and return how often it was received: as said, or else as often as it was met here.

        Of a message met again the latest reason is kept. Messages not received for KEPT_S are deleted.
        """
        now = time.time()

        def transaction(connection: sqlite3.Connection) -> int:
            (receives,) = connection.execute(
                "INSERT INTO s3_dead_letters VALUES (?1, ?2, ?3, ?4, max(?5, 1), ?6, ?6) ON CONFLICT (queue_url, message_id) "
                "DO UPDATE SET reason = ?3, receives = max(?5, receives + (?5 = 0)), last_at = ?6 RETURNING receives",
                (letter.queue_url, letter.message_id, letter.reason, letter.body, letter.receives, now),
            ).fetchone()
            connection.execute("DELETE FROM s3_dead_letters WHERE last_at < ?", (now - KEPT_S,))
            return receives

        return await self._db.write(transaction)

    async def list(self, queue_url: str | None = None, limit: int = 100) -> Sequence[UnreadableMessage]:
        """Return dead letters, newest first."""
        statement = (
            "SELECT queue_url, message_id, reason, body, receives, last_at FROM s3_dead_letters "
            "WHERE ?1 IS NULL OR queue_url = ?1 ORDER BY last_at DESC LIMIT ?2"
        )
        return await self._db.read(
            lambda c: [UnreadableMessage(*row) for row in c.execute(statement, (queue_url, limit))]
        )

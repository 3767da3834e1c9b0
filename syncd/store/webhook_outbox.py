"""What webhooks are told: durable in the transaction that makes it true, and kept until it is delivered or given up."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from syncd.json_types import JsonObject
from syncd.model.notifications import NotifiedEvent, WebhookFilter
from syncd.redaction import redacted_json
from syncd.store.codec import dumps, moment
from syncd.store.database import Database

REMEMBERED_S = timedelta(days=7).total_seconds()
"""How long it is remembered what was delivered or given up."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One that is to be delivered. The receiver may get it twice and knows that by its `id`."""

    id: str
    event: str
    body: str
    created_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A notification that was delivered, or given up for `error`."""

    id: str
    event: str
    at: datetime
    error: str


@dataclass(frozen=True, slots=True)
class WebhookState:
    """How a webhook is doing: how many notifications wait for it and were given up lately, and since when and why delivering fails."""

    wants: WebhookFilter
    waiting: int
    given_up: int
    failing_since: datetime | None
    error: str
    last: Ended | None


def notify(
    connection: sqlite3.Connection,
    event: NotifiedEvent,
    database: str,
    facts: JsonObject,
    source_id: str | None = None,
) -> None:
    """Tell the webhooks that want to know, within the caller's transaction: once, whatever is killed."""
    filters = _filters(connection)
    if not filters:
        return
    source: dict[str, str | None] = {}
    if source_id is not None:
        row = connection.execute("SELECT coalesce(name, given_name) FROM sources WHERE id = ?", (source_id,)).fetchone()
        source = {"source_id": source_id, "source_name": row[0] if row else None}
    body = notification_body(event, {"database_name": database, **source, **facts})
    for wants in filters:
        if wants.covers(event, database, [name for name in source.values() if name]):
            connection.execute(
                "INSERT INTO notifications (id, webhook, event, body, created_at) VALUES (?, ?, ?, ?, ?)",
                (str(uuid.uuid4()), wants.webhook, event, body, time.time()),
            )


def notify_healed(connection: sqlite3.Connection, collection_id: int, damage: str) -> None:
    """Tell the webhooks that a collection has again what it should have, and what was wrong."""
    database, name = connection.execute(
        "SELECT database, name FROM collections WHERE id = ?", (collection_id,)
    ).fetchone()
    notify(connection, "damage.healed", database, {"collection_name": name, "damage": damage})


def notification_body(event: str, data: JsonObject) -> str:
    """Return what is sent, as https://www.standardwebhooks.com has it, without secrets."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return dumps({"type": event, "timestamp": now, "data": redacted_json(data)})


def _filters(connection: sqlite3.Connection) -> list[WebhookFilter]:
    rows = connection.execute("SELECT name, events, databases, sources FROM webhooks ORDER BY name")
    return [WebhookFilter(name, *(json.loads(wanted) for wanted in filters)) for name, *filters in rows]


class WebhookOutbox:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def subscribe(self, filters: Sequence[WebhookFilter]) -> None:
        """Tell these webhooks from now on, and no others: what waits for others is dropped. Twice is safe."""
        rows = [
            (one.webhook, *(dumps(sorted(wanted)) for wanted in (one.events, one.databases, one.sources)))
            for one in filters
        ]

        def transaction(connection: sqlite3.Connection) -> None:
            names = [row[0] for row in rows]
            connection.execute(f"DELETE FROM webhooks WHERE name NOT IN ({', '.join('?' * len(names))})", names)
            connection.executemany(
                "INSERT INTO webhooks (name, events, databases, sources) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE "
                "SET events = excluded.events, databases = excluded.databases, sources = excluded.sources",
                rows,
            )

        await self._db.write(transaction)

    async def next_due(self, webhook: str) -> Notification | None:
        """Return what is to be delivered next: of those that are due, what was tried least, the oldest first."""
        statement = (
            "SELECT id, event, body, created_at, attempts FROM notifications WHERE webhook = ? AND ended_at IS NULL "
            "AND not_before <= ? ORDER BY attempts, seq LIMIT 1"
        )
        row = await self._db.read(lambda c: c.execute(statement, (webhook, time.time())).fetchone())
        if row is None:
            return None
        ident, event, body, created_at, attempts = row
        return Notification(ident, event, body, datetime.fromtimestamp(created_at, UTC), attempts)

    async def delivered(self, webhook: str, ident: str) -> bool:
        """Record a delivery; return whether it ends a time of failures. Twice is safe."""

        def transaction(connection: sqlite3.Connection) -> bool:
            _end(connection, webhook, ident, "")
            ended = "UPDATE webhooks SET failing_since = NULL, error = '' WHERE name = ? AND failing_since IS NOT NULL"
            return connection.execute(ended, (webhook,)).rowcount > 0

        return await self._db.write(transaction)

    async def failed(self, webhook: str, ident: str, error: str, retry_s: float | None) -> bool:
        """Record why an attempt failed, and that it is repeated after `retry_s` (None: it is given up).

        Return whether a time of failures begins. Twice is safe.
        """

        def transaction(connection: sqlite3.Connection) -> bool:
            if retry_s is None:
                _end(connection, webhook, ident, error)
            else:
                again = "UPDATE notifications SET attempts = attempts + 1, not_before = ? WHERE id = ?"
                connection.execute(again, (time.time() + retry_s, ident))
            connection.execute("UPDATE webhooks SET error = ? WHERE name = ?", (error, webhook))
            began = "UPDATE webhooks SET failing_since = ? WHERE name = ? AND failing_since IS NULL"
            return connection.execute(began, (time.time(), webhook)).rowcount > 0

        return await self._db.write(transaction)

    async def states(self) -> Sequence[WebhookState]:
        """Return how every webhook is doing, by name."""
        return await self._db.read(lambda c: [_state(c, one) for one in _filters(c)])

    async def note_late(self, late: Mapping[str, JsonObject]) -> None:
        """Tell of the sources that are late, with these facts, and were not before, and of those that are no longer. Twice is safe."""

        def transaction(connection: sqlite3.Connection) -> None:
            known = {ident for (ident,) in connection.execute("SELECT source_id FROM late_sources")}
            # One that is paused promises nothing: it is not late, and not in order again either.
            databases = dict(connection.execute("SELECT id, database FROM sources WHERE paused_at IS NULL").fetchall())
            for ident in (late.keys() & databases.keys()) - known:
                connection.execute("INSERT INTO late_sources VALUES (?)", (ident,))
                notify(connection, "source.late", databases[ident], late[ident], ident)
            for ident in known - late.keys():
                connection.execute("DELETE FROM late_sources WHERE source_id = ?", (ident,))
                if ident in databases:
                    notify(connection, "source.recovered", databases[ident], {"was": "late"}, ident)

        await self._db.write(transaction)


def _end(connection: sqlite3.Connection, webhook: str, ident: str, error: str) -> None:
    now = time.time()
    connection.execute(
        "UPDATE notifications SET attempts = attempts + 1, ended_at = ?, error = ? WHERE id = ?", (now, error, ident)
    )
    connection.execute("DELETE FROM notifications WHERE webhook = ? AND ended_at < ?", (webhook, now - REMEMBERED_S))


def _state(connection: sqlite3.Connection, wants: WebhookFilter) -> WebhookState:
    webhook = (wants.webhook,)
    waiting, given_up = connection.execute(
        "SELECT count(*) FILTER (WHERE ended_at IS NULL), count(*) FILTER (WHERE ended_at IS NOT NULL AND error <> '') "
        "FROM notifications WHERE webhook = ?",
        webhook,
    ).fetchone()
    since, error = connection.execute("SELECT failing_since, error FROM webhooks WHERE name = ?", webhook).fetchone()
    last = connection.execute(
        "SELECT id, event, ended_at, error FROM notifications WHERE webhook = ? AND ended_at IS NOT NULL "
        "ORDER BY ended_at DESC LIMIT 1",
        webhook,
    ).fetchone()
    ended = Ended(last[0], last[1], datetime.fromtimestamp(last[2], UTC), last[3]) if last else None
    return WebhookState(wants, waiting, given_up, moment(since), error, ended)

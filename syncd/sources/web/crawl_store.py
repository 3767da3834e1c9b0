"""The durable state of crawls: every page of a web source, and the queue of each unfinished crawl.

A crawl visits its queue in order. What a visit found, the links it adds to the queue and the claim on its content are one
transaction, so that a killed crawl resumes at the first entry without an outcome. Memory does not grow with the site.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from syncd.model import Target
from syncd.sources.web.crawl_transaction import CrawlTransaction
from syncd.sources.web.crawl_types import (
    Crawl,
    CrawlBounds,
    PageDocument,
    Phase,
    QueueEntry,
    SettledBatch,
    SettledVisit,
    Visit,
    VisitOutcome,
)
from syncd.store.database import Database

ENTRY_COLUMNS = (
    "p.version, p.title, p.suffix, p.facts, f.ord, p.id, p.url, f.depth, p.status, p.etag, p.modified, p.body_hash, "
    "p.alias_of, p.links IS NOT NULL, p.rules, p.failures, p.read_at, p.size_bytes, f.chain, parent.url, before.chain, "
    "f.outcome, p.reason, p.refused, f.claimed_at"
)
ENTRY_TABLES = (
    "frontier f JOIN pages p ON p.id = f.page_id LEFT JOIN pages parent ON parent.id = f.parent "
    "LEFT JOIN frontier before ON before.crawl_id = f.crawl_id AND before.page_id = f.parent"
)


class CrawlStore:
    """Crawl tables of one database; every public method is one transaction."""

    def __init__(self, database: Database, source_id: str) -> None:
        self._database = database
        self._source_id = source_id

    async def begin(
        self, target: Target, start_url: str, config_hash: str, finished: int | None, max_age_s: float
    ) -> Crawl:
        """Return the unfinished crawl into `target`, or begin one at `start_url`.

        `finished` is the crawl whose result has been saved. That one, one older than `max_age_s` and one made with
        another `config_hash` are deleted, except for what they learned about pages.
        """

        def transaction(connection: sqlite3.Connection) -> Crawl:
            where = (self._source_id, target.database, target.collection)
            row = connection.execute(
                "SELECT id, phase, indexed, incomplete, rules, started_at FROM crawls "
                "WHERE source_id = ? AND database = ? AND collection = ? ORDER BY id DESC LIMIT 1",
                where,
            ).fetchone()
            if row and row[0] != finished and row[4] == config_hash and time.time() - row[5] < max_age_s:
                return Crawl(*row, resumed=True)
            connection.execute("DELETE FROM crawls WHERE source_id = ? AND database = ? AND collection = ?", where)
            now = time.time()
            cursor = connection.execute(
                "INSERT INTO crawls (source_id, database, collection, rules, phase, started_at) VALUES (?, ?, ?, ?, ?, ?)",
                (*where, config_hash, "links", now),
            )
            crawl = Crawl(int(cursor.lastrowid or 0), "links", 0, "", config_hash, now)
            CrawlTransaction(connection, self._source_id).enqueue(crawl.id, [start_url], None, 0)
            return crawl

        return await self._database.write(transaction)

    async def set_phase(self, crawl_id: int, phase: Phase, incomplete: str = "") -> None:
        """Record that a crawl enters its next phase, and why it is incomplete, if it is."""
        await self._database.write(
            lambda connection: connection.execute(
                "UPDATE crawls SET phase = ?, incomplete = ? WHERE id = ?",
                (phase, incomplete, crawl_id),
            )
        )

    async def crawl(self, crawl_id: int) -> Crawl:
        """Return a crawl's current state."""

        def query(connection: sqlite3.Connection) -> Crawl:
            row = connection.execute(
                "SELECT id, phase, indexed, incomplete, rules, started_at FROM crawls WHERE id = ?", (crawl_id,)
            ).fetchone()
            return Crawl(*row)

        return await self._database.read(query)

    async def queue(self, crawl_id: int, after: int, limit: int) -> list[QueueEntry]:
        """Return the next entries to visit whose order is beyond `after`."""
        return await self._entries("f.crawl_id = ? AND f.ord > ? AND f.outcome IS NULL", (crawl_id, after), limit)

    async def settled(self, crawl_id: int, after: int, limit: int) -> list[QueueEntry]:
        """Return visited entries beyond `after`, for a crawl that is resumed."""
        return await self._entries("f.crawl_id = ? AND f.ord > ? AND f.outcome IS NOT NULL", (crawl_id, after), limit)

    async def page(self, url: str) -> QueueEntry | None:
        """Return what is known about a page, whether or not it is in a queue."""

        def query(connection: sqlite3.Connection) -> QueueEntry | None:
            row = connection.execute(
                f"SELECT {ENTRY_COLUMNS} FROM pages p LEFT JOIN frontier f ON 0 LEFT JOIN pages parent ON 0 "
                "LEFT JOIN frontier before ON 0 WHERE p.source_id = ? AND p.url = ?",
                (self._source_id, url),
            ).fetchone()
            return entry(row) if row else None

        return await self._database.read(query)

    async def visited(self, crawl_id: int, url: str) -> VisitOutcome | None:
        """Return what this crawl found at `url`, or None if it has not visited it."""

        def query(connection: sqlite3.Connection) -> VisitOutcome | None:
            row = connection.execute(
                "SELECT f.outcome FROM pages p JOIN frontier f ON f.page_id = p.id "
                "WHERE p.source_id = ? AND p.url = ? AND f.crawl_id = ?",
                (self._source_id, url, crawl_id),
            ).fetchone()
            return row[0] if row else None

        return await self._database.read(query)

    async def twin(self, crawl_id: int, url: str) -> str:
        """Return under which other spelling of its host and scheme this crawl found the page, or ''."""
        return await self._database.read(lambda c: CrawlTransaction(c, self._source_id).twin(crawl_id, url))

    async def met(self, crawl_id: int, patterns: Sequence[str]) -> int:
        """Return how many pages of each of these patterns, or facets, the crawl has visited at least."""
        marks = ",".join("?" * len(patterns))
        found = await self._count(
            f"SELECT CASE COUNT(*) WHEN {len(patterns)} THEN MIN(pages) ELSE 0 END FROM crawl_patterns "
            f"WHERE crawl_id = ? AND pattern IN ({marks})",
            crawl_id,
            *patterns,
        )
        return found or 0

    async def requeue(self, crawl_id: int, urls: Sequence[str]) -> None:
        """Put pages back into the queue; documents among them no longer count as indexed."""

        def transaction(connection: sqlite3.Connection) -> None:
            writes = CrawlTransaction(connection, self._source_id)
            for page_id in writes.known_ids(urls).values():
                writes.requeue(crawl_id, page_id)

        await self._database.write(transaction)

    async def seed(self, crawl_id: int, pages: Mapping[str, float], depth: int) -> int:
        """Append a sitemap's addresses with their change dates to the queue; return how many were new."""

        def transaction(connection: sqlite3.Connection) -> int:
            writes = CrawlTransaction(connection, self._source_id)
            return writes.enqueue(crawl_id, list(pages), None, depth, list(pages.values()))

        return await self._database.write(transaction)

    async def queued(self, crawl_id: int) -> int:
        """Return the length of the queue."""
        return await self._count("SELECT COUNT(*) FROM frontier WHERE crawl_id = ? AND outcome IS NULL", crawl_id)

    async def unread(self, crawl_id: int) -> int:
        """Return how many pages could neither be read now nor are known from an earlier crawl."""
        return await self._count("SELECT COUNT(*) FROM frontier WHERE crawl_id = ? AND outcome = 'unread'", crawl_id)

    async def cut(self, crawl_id: int) -> int:
        """Return how many visited pages have more links than were followed."""
        return await self._count(
            "SELECT COUNT(*) FROM frontier f JOIN pages p ON p.id = f.page_id "
            "WHERE f.crawl_id = ? AND f.outcome IS NOT NULL AND p.links_cut",
            crawl_id,
        )

    async def too_many_alike(self, crawl_id: int, alike_pages: int) -> int:
        """Return for how many URL patterns this crawl found more than `alike_pages` pages."""
        return await self._count(
            "SELECT COUNT(*) FROM crawl_patterns WHERE crawl_id = ? AND pages > ? AND pattern NOT LIKE '&%'",
            crawl_id,
            alike_pages,
        )

    async def _count(self, query: str, *values: int | str) -> int:
        return await self._database.read(lambda connection: connection.execute(query, values).fetchone()[0])

    async def settle(self, crawl_id: int, visits: Sequence[Visit], bounds: CrawlBounds) -> SettledBatch:
        """Record `visits` in order, until `bounds.max_documents` is used up; later ones stay unsettled."""

        def transaction(connection: sqlite3.Connection) -> SettledBatch:
            writes = CrawlTransaction(connection, self._source_id)
            done: list[SettledVisit] = []
            indexed = queued = 0
            for visit in visits:
                if bounds.max_documents is not None and indexed >= bounds.max_documents:
                    break
                settled, added = writes.settle(crawl_id, visit, bounds)
                indexed += settled.outcome in ("document", "unchanged")
                queued += added
                done.append(settled)
            connection.execute("UPDATE crawls SET indexed = indexed + ? WHERE id = ?", (indexed, crawl_id))
            return SettledBatch(done, queued)

        return await self._database.write(transaction)

    async def _entries(self, where: str, values: tuple[int, ...], limit: int) -> list[QueueEntry]:
        def query(connection: sqlite3.Connection) -> list[QueueEntry]:
            rows = connection.execute(
                f"SELECT {ENTRY_COLUMNS} FROM {ENTRY_TABLES} WHERE {where} ORDER BY f.ord LIMIT ?",
                (*values, limit),
            )
            return [entry(row) for row in rows]

        return await self._database.read(query)


def entry(row: Sequence[Any]) -> QueueEntry:
    """Return the QueueEntry in a row of ENTRY_COLUMNS; a page outside any queue has order -1 and depth 0."""
    ord_, page_id, url, depth, status, etag, modified, body_hash, *rest = row[4:]
    where = (-1 if ord_ is None else ord_, page_id, url, depth or 0)
    made = QueueEntry(*where, status, etag, modified, body_hash, PageDocument(*row[:4]), *rest)
    return replace(made, has_links=bool(made.has_links), chain=made.chain or 0, claimed_at=made.claimed_at or 0.0)

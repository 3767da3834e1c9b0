"""The durable state of crawls: every page of a web source, and the queue of each unfinished crawl.

A crawl visits its queue in order. What a visit found, the links it adds to the queue and the claim on its content are one
transaction, so that a killed crawl goes on at the first entry without an outcome. Memory does not grow with the site.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from syncd.model import Target
from syncd.store.database import Database

Outcome = Literal["document", "unchanged", "alias", "duplicate", "gone", "failed", "unread", "skipped", "bounded"]
"""`unread`: failed, and what it links to is not known, so the crawl cannot say what is gone."""
Phase = Literal["links", "sitemaps", "done"]

HISTORY_LENGTH = 10
IN_LIMIT = 500
ENTRY_COLUMNS = (
    "f.ord, p.id, p.url, f.depth, p.status, p.etag, p.modified, p.body_hash, p.version, p.title, p.alias_of, "
    "p.links IS NOT NULL, p.rules, p.failures, p.read_at, p.size_bytes, f.chain, parent.url, before.chain, f.outcome"
)
ENTRY_TABLES = (
    "frontier f JOIN pages p ON p.id = f.page_id LEFT JOIN pages parent ON parent.id = f.parent "
    "LEFT JOIN frontier before ON before.crawl_id = f.crawl_id AND before.page_id = f.parent"
)


@dataclass(frozen=True, slots=True)
class Crawl:
    """One crawl of a source into a collection, as far as it has come."""

    id: int
    phase: Phase
    indexed: int
    incomplete: str
    """Why this crawl cannot say which pages are gone, or ''."""
    rules: str
    started_at: float
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One page in a crawl's queue with what earlier visits learned about it."""

    ord: int
    page_id: int
    url: str
    depth: int
    status: int = 0
    etag: str = ""
    modified: str = ""
    body_hash: str = ""
    version: str = ""
    title: str = ""
    alias_of: str = ""
    has_links: bool = False
    rules: str = ""
    failures: int = 0
    read_at: float = 0.0
    size_bytes: int = 0
    chain: int = 0
    parent_url: str | None = None
    parent_chain: int | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """What became of one page. `links` None keeps those of the last visit."""

    url: str
    outcome: Outcome
    depth: int
    status: int = 0
    reason: str = ""
    etag: str = ""
    modified: str = ""
    body_hash: str = ""
    version: str = ""
    title: str = ""
    size_bytes: int = 0
    """Of the text; 0 where there is none."""
    alias_of: str = ""
    links: Sequence[str] | None = None
    follow: bool = True
    """Whether its links join the queue."""
    pattern: str | None = None
    chain: int = 0
    whole_read: bool = False
    """The body was read in full, not vouched for by a 304."""


@dataclass(frozen=True, slots=True)
class Settled:
    """How a visit was recorded. `outcome` None: the page had been visited in this crawl before, nothing changed."""

    visit: Visit
    outcome: Outcome | None
    duplicate_of: str = ""
    was: str = ""
    """The version this page had before as a document, or ''."""


@dataclass(slots=True)
class Bounds:
    """What `settle` holds visits to."""

    room: int | None = None
    """Documents that may still be indexed."""
    max_depth: int | None = None
    alike_pages: int = 10_000
    rules: str = ""
    queued: int = field(default=0)
    """Out: how many entries were added to the queue."""


class CrawlState:
    """Crawl tables of one database; every public method is one transaction."""

    def __init__(self, database: Database, source_id: str) -> None:
        self._database = database
        self._source_id = source_id

    async def begin(self, target: Target, start_url: str, rules: str, finished: int | None, max_age_s: float) -> Crawl:
        """Return the unfinished crawl into `target`, or begin one at `start_url`.

        `finished` is the crawl whose result has been saved already; that one, one older than `max_age_s` and one made
        by other rules are given up.
        """

        def transaction(connection: sqlite3.Connection) -> Crawl:
            where = (self._source_id, target.database, target.collection)
            row = connection.execute(
                "SELECT id, phase, indexed, incomplete, rules, started_at FROM crawls "
                "WHERE source_id = ? AND database = ? AND collection = ? ORDER BY id DESC LIMIT 1",
                where,
            ).fetchone()
            if row and row[0] != finished and row[4] == rules and time.time() - row[5] < max_age_s:
                return Crawl(*row, resumed=True)
            connection.execute("DELETE FROM crawls WHERE source_id = ? AND database = ? AND collection = ?", where)
            now = time.time()
            cursor = connection.execute(
                "INSERT INTO crawls (source_id, database, collection, rules, phase, started_at) VALUES (?, ?, ?, ?, ?, ?)",
                (*where, rules, "links", now),
            )
            crawl = Crawl(int(cursor.lastrowid or 0), "links", 0, "", rules, now)
            self._enqueue(connection, crawl.id, [start_url], None, 0)
            return crawl

        return await self._database.write(transaction)

    async def finish(self, crawl_id: int) -> None:
        """Forget a crawl's queue; what its pages are stays known. Twice is safe."""
        await self._database.write(
            lambda connection: connection.execute("DELETE FROM crawls WHERE id = ?", (crawl_id,))
        )

    async def set_phase(self, crawl_id: int, phase: Phase, incomplete: str = "") -> None:
        """Note that a crawl goes on to its next phase, and why it is not complete, if it is not."""
        await self._database.write(
            lambda connection: connection.execute(
                "UPDATE crawls SET phase = ?, incomplete = ? WHERE id = ?",
                (phase, incomplete, crawl_id),
            )
        )

    async def crawl(self, crawl_id: int) -> Crawl:
        """Return a crawl as it stands."""

        def query(connection: sqlite3.Connection) -> Crawl:
            row = connection.execute(
                "SELECT id, phase, indexed, incomplete, rules, started_at FROM crawls WHERE id = ?", (crawl_id,)
            ).fetchone()
            return Crawl(*row)

        return await self._database.read(query)

    async def queue(self, crawl_id: int, after: int, limit: int) -> list[Entry]:
        """Return the next entries to visit whose order is beyond `after`."""
        return await self._entries("f.crawl_id = ? AND f.ord > ? AND f.outcome IS NULL", (crawl_id, after), limit)

    async def settled(self, crawl_id: int, after: int, limit: int) -> list[Entry]:
        """Return entries beyond `after` that were visited, for a crawl that is taken up again."""
        return await self._entries("f.crawl_id = ? AND f.ord > ? AND f.outcome IS NOT NULL", (crawl_id, after), limit)

    async def page(self, url: str) -> Entry | None:
        """Return what is known of a page, in or outside a queue."""

        def query(connection: sqlite3.Connection) -> Entry | None:
            row = connection.execute(
                f"SELECT {ENTRY_COLUMNS} FROM pages p LEFT JOIN frontier f ON 0 LEFT JOIN pages parent ON 0 "
                "LEFT JOIN frontier before ON 0 WHERE p.source_id = ? AND p.url = ?",
                (self._source_id, url),
            ).fetchone()
            return entry(row) if row else None

        return await self._database.read(query)

    async def visited(self, crawl_id: int, url: str) -> Outcome | None:
        """Return what this crawl found at `url`, or None where it has not been there."""

        def query(connection: sqlite3.Connection) -> Outcome | None:
            row = connection.execute(
                "SELECT f.outcome FROM pages p JOIN frontier f ON f.page_id = p.id "
                "WHERE p.source_id = ? AND p.url = ? AND f.crawl_id = ?",
                (self._source_id, url, crawl_id),
            ).fetchone()
            return row[0] if row else None

        return await self._database.read(query)

    async def alike(self, crawl_id: int, pattern: str) -> int:
        """Return how many pages of this pattern the crawl has visited."""

        def query(connection: sqlite3.Connection) -> int:
            row = connection.execute(
                "SELECT pages FROM crawl_patterns WHERE crawl_id = ? AND pattern = ?", (crawl_id, pattern)
            ).fetchone()
            return row[0] if row else 0

        return await self._database.read(query)

    async def requeue(self, crawl_id: int, urls: Sequence[str]) -> None:
        """Put pages back into the queue; documents among them no longer count as indexed."""

        def transaction(connection: sqlite3.Connection) -> None:
            for page_id in self._known_ids(connection, urls).values():
                self._requeue(connection, crawl_id, page_id)

        await self._database.write(transaction)

    async def seed(self, crawl_id: int, urls: Sequence[str], depth: int) -> int:
        """Add addresses from a sitemap to the end of the queue; return how many were new."""
        return await self._database.write(lambda connection: self._enqueue(connection, crawl_id, urls, None, depth))

    async def queued(self, crawl_id: int) -> int:
        """Return the length of the queue."""
        return await self._count("SELECT COUNT(*) FROM frontier WHERE crawl_id = ? AND outcome IS NULL", crawl_id)

    async def unread(self, crawl_id: int) -> int:
        """Return how many pages could not be read that nothing is known of."""
        return await self._count("SELECT COUNT(*) FROM frontier WHERE crawl_id = ? AND outcome = 'unread'", crawl_id)

    async def _count(self, query: str, crawl_id: int) -> int:
        return await self._database.read(lambda connection: connection.execute(query, (crawl_id,)).fetchone()[0])

    async def settle(self, crawl_id: int, visits: Sequence[Visit], bounds: Bounds) -> list[Settled]:
        """Record `visits` in order, until `bounds.room` is used up; those after that stay as they were."""

        def transaction(connection: sqlite3.Connection) -> list[Settled]:
            done: list[Settled] = []
            room, bounds.queued = bounds.room, 0
            for visit in visits:
                if room is not None and room <= 0:
                    break
                settled = self._settle(connection, crawl_id, visit, bounds)
                if room is not None and settled.outcome in ("document", "unchanged"):
                    room -= 1
                done.append(settled)
            indexed = sum(settled.outcome in ("document", "unchanged") for settled in done)
            connection.execute("UPDATE crawls SET indexed = indexed + ? WHERE id = ?", (indexed, crawl_id))
            return done

        return await self._database.write(transaction)

    # --- inside a transaction ---------------------------------------------------------------------------------------

    def _requeue(self, connection: sqlite3.Connection, crawl_id: int, page_id: int) -> None:
        where = (crawl_id, page_id)
        row = connection.execute("SELECT outcome FROM frontier WHERE crawl_id = ? AND page_id = ?", where).fetchone()
        if row and row[0] in ("document", "unchanged"):
            connection.execute("UPDATE crawls SET indexed = indexed - 1 WHERE id = ?", (crawl_id,))
            connection.execute("DELETE FROM crawl_contents WHERE crawl_id = ? AND page_id = ?", where)
        connection.execute("UPDATE frontier SET outcome = NULL WHERE crawl_id = ? AND page_id = ?", where)

    def _settle(self, connection: sqlite3.Connection, crawl_id: int, visit: Visit, bounds: Bounds) -> Settled:
        page_id, ord_, outcome, was = self._place(connection, crawl_id, visit)
        if outcome is not None:
            return Settled(visit, None)
        verdict, duplicate_of = self._verdict(connection, crawl_id, page_id, visit, bounds)
        connection.execute(
            "UPDATE frontier SET outcome = ?, chain = ? WHERE crawl_id = ? AND ord = ?",
            (verdict, visit.chain, crawl_id, ord_),
        )
        links = self._record(connection, crawl_id, page_id, visit, verdict, duplicate_of, bounds.rules)
        below = bounds.max_depth is None or visit.depth < bounds.max_depth
        if visit.follow and below and links and verdict != "bounded":
            bounds.queued += self._enqueue_ids(connection, crawl_id, links, page_id, visit.depth + 1)
        return Settled(visit, verdict, duplicate_of, was)

    def _verdict(
        self, connection: sqlite3.Connection, crawl_id: int, page_id: int, visit: Visit, bounds: Bounds
    ) -> tuple[Outcome, str]:
        """Return the visit's outcome after counting its pattern and claiming its content, and whose copy it is."""
        if visit.pattern is not None and visit.outcome not in ("failed", "unread", "skipped"):
            (pages,) = connection.execute(
                "INSERT INTO crawl_patterns VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET pages = pages + 1 RETURNING pages",
                (crawl_id, visit.pattern),
            ).fetchone()
            if pages > bounds.alike_pages:
                return "bounded", ""
        if visit.outcome not in ("document", "unchanged"):
            return visit.outcome, ""
        connection.execute("INSERT OR IGNORE INTO crawl_contents VALUES (?, ?, ?)", (crawl_id, visit.version, page_id))
        first, url = connection.execute(
            "SELECT c.page_id, p.url FROM crawl_contents c JOIN pages p ON p.id = c.page_id "
            "WHERE c.crawl_id = ? AND c.version = ?",
            (crawl_id, visit.version),
        ).fetchone()
        return (visit.outcome, "") if first == page_id else ("duplicate", url)

    def _place(
        self, connection: sqlite3.Connection, crawl_id: int, visit: Visit
    ) -> tuple[int, int, Outcome | None, str]:
        """Return page id, order, outcome and version of the visited page, which gets a place in the queue if it has none."""
        self._enqueue(connection, crawl_id, [visit.url], None, visit.depth)
        return connection.execute(
            "SELECT p.id, f.ord, f.outcome, p.version FROM pages p JOIN frontier f ON f.page_id = p.id AND f.crawl_id = ? "
            "WHERE p.source_id = ? AND p.url = ?",
            (crawl_id, self._source_id, visit.url),
        ).fetchone()

    def _record(
        self,
        connection: sqlite3.Connection,
        crawl_id: int,
        page_id: int,
        visit: Visit,
        verdict: Outcome,
        duplicate_of: str,
        rules: str,
    ) -> list[int]:
        """Write what the visit learned into the page's row; return the ids of its links."""
        old_links, history, failures = connection.execute(
            "SELECT links, history, failures FROM pages WHERE id = ?", (page_id,)
        ).fetchone()
        past = [*history.split(), f"{int(time.time())}:{visit.status}:{verdict}"][-HISTORY_LENGTH:]
        if verdict in ("failed", "unread", "bounded"):
            connection.execute(
                "UPDATE pages SET status = ?, failures = ?, crawl_id = ?, history = ? WHERE id = ?",
                (visit.status, failures + 1, crawl_id, " ".join(past), page_id),
            )
            return json.loads(old_links or "[]")
        links = (
            old_links if visit.links is None else json.dumps(self._ids(connection, visit.links), separators=(",", ":"))
        )
        connection.execute(
            "UPDATE pages SET status = ?, etag = ?, modified = ?, body_hash = ?, version = ?, title = ?, size_bytes = ?, "
            "alias_of = ?, links = ?, rules = ?, failures = 0, read_at = CASE WHEN ? THEN ? ELSE read_at END, crawl_id = ?, history = ? "
            "WHERE id = ?",
            (
                visit.status,
                visit.etag,
                visit.modified,
                visit.body_hash,
                visit.version if verdict in ("document", "unchanged", "duplicate") else "",
                visit.title,
                visit.size_bytes,
                duplicate_of or visit.alias_of,
                links,
                rules,
                visit.whole_read,
                time.time(),
                crawl_id,
                " ".join(past),
                page_id,
            ),
        )
        return json.loads(links or "[]")

    def _enqueue(
        self, connection: sqlite3.Connection, crawl_id: int, urls: Sequence[str], parent: int | None, depth: int
    ) -> int:
        return self._enqueue_ids(connection, crawl_id, self._ids(connection, urls), parent, depth)

    def _enqueue_ids(
        self, connection: sqlite3.Connection, crawl_id: int, ids: Sequence[int], parent: int | None, depth: int
    ) -> int:
        (last,) = connection.execute(
            "SELECT COALESCE(MAX(ord), -1) FROM frontier WHERE crawl_id = ?", (crawl_id,)
        ).fetchone()
        before = connection.total_changes
        connection.executemany(
            "INSERT OR IGNORE INTO frontier (crawl_id, ord, page_id, parent, depth) VALUES (?, ?, ?, ?, ?)",
            [(crawl_id, last + 1 + number, page_id, parent, depth) for number, page_id in enumerate(ids)],
        )
        return connection.total_changes - before

    def _ids(self, connection: sqlite3.Connection, urls: Sequence[str]) -> list[int]:
        """Return the page ids of `urls`, in order; unknown pages get a row."""
        found = self._known_ids(connection, urls)
        missing = [url for url in dict.fromkeys(urls) if url not in found]
        if missing:
            connection.executemany(
                "INSERT INTO pages (source_id, url) VALUES (?, ?)", [(self._source_id, url) for url in missing]
            )
            found |= self._known_ids(connection, missing)
        return [found[url] for url in urls]

    def _known_ids(self, connection: sqlite3.Connection, urls: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for start in range(0, len(urls), IN_LIMIT):
            some = urls[start : start + IN_LIMIT]
            marks = ",".join("?" * len(some))
            rows = connection.execute(
                f"SELECT url, id FROM pages WHERE source_id = ? AND url IN ({marks})",
                (self._source_id, *some),
            )
            found.update(rows.fetchall())
        return found

    async def _entries(self, where: str, values: tuple[int, ...], limit: int) -> list[Entry]:
        def query(connection: sqlite3.Connection) -> list[Entry]:
            rows = connection.execute(
                f"SELECT {ENTRY_COLUMNS} FROM {ENTRY_TABLES} WHERE {where} ORDER BY f.ord LIMIT ?",
                (*values, limit),
            )
            return [entry(row) for row in rows]

        return await self._database.read(query)


def entry(row: Sequence[Any]) -> Entry:
    """Build an Entry from ENTRY_COLUMNS; a page outside any queue has order -1 and depth 0."""
    ord_, page_id, url, depth, *rest = row
    made = Entry(-1 if ord_ is None else ord_, page_id, url, depth or 0, *rest)
    return replace(made, has_links=bool(made.has_links), chain=made.chain or 0)

"""What a crawl writes, inside a transaction: outcomes, links, claims on content, the queue."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import replace

from syncd.sources.web.crawl_types import CrawlBounds, PageDocument, SettledVisit, Visit, VisitOutcome
from syncd.sources.web.urls import twins

HISTORY_LENGTH = 10
IN_LIMIT = 500
LEARNED = (
    "UPDATE pages SET etag = :etag, modified = :modified, body_hash = :body_hash, version = :version, title = :title, "
    "suffix = :suffix, facts = :facts, size_bytes = :size_bytes, alias_of = :alias_of, links = :links, rules = :rules, "
    "refused = CASE WHEN :keep_links THEN refused ELSE :refused END, "
    "failures = 0, links_cut = CASE WHEN :keep_links THEN links_cut ELSE :links_cut END, "
    "read_at = CASE WHEN :whole_read THEN :now ELSE read_at END WHERE id = :id"
)
"""Records a visit that did not fail."""
TWIN = (
    "SELECT p.url FROM pages p JOIN frontier f ON f.page_id = p.id WHERE p.source_id = ? AND f.crawl_id = ? "
    "AND f.outcome IN ('document', 'unchanged', 'duplicate') AND p.url IN ({marks}) LIMIT 1"
)
"""Which of several addresses this crawl found a document at."""


class CrawlTransaction:
    """One transaction's writes to the pages and crawls of one source."""

    def __init__(self, connection: sqlite3.Connection, source_id: str) -> None:
        self._connection = connection
        self._source_id = source_id

    def requeue(self, crawl_id: int, page_id: int) -> None:
        """Put one page back into the queue; a document no longer counts as indexed."""
        where = (crawl_id, page_id)
        row = self._connection.execute(
            "SELECT outcome FROM frontier WHERE crawl_id = ? AND page_id = ?", where
        ).fetchone()
        if row and row[0] in ("document", "unchanged"):
            self._connection.execute("UPDATE crawls SET indexed = indexed - 1 WHERE id = ?", (crawl_id,))
            self._connection.execute("DELETE FROM crawl_contents WHERE crawl_id = ? AND page_id = ?", where)
        self._connection.execute("UPDATE frontier SET outcome = NULL WHERE crawl_id = ? AND page_id = ?", where)

    def settle(self, crawl_id: int, visit: Visit, bounds: CrawlBounds) -> tuple[SettledVisit, int]:
        """Record one visit, queue its links and claim its content; does nothing if the page was visited before.

        Returns how it was recorded, and how many pages were queued.
        """
        page_id, ord_, outcome, was = self._place(crawl_id, visit)
        if outcome is not None:
            return SettledVisit(visit, None), 0
        verdict, duplicate_of = self._verdict(crawl_id, page_id, visit, bounds)
        self._connection.execute(
            "UPDATE frontier SET outcome = ?, chain = ? WHERE crawl_id = ? AND ord = ?",
            (verdict, visit.chain, crawl_id, ord_),
        )
        settled = SettledVisit(visit, verdict, duplicate_of, was)
        links = self._record(crawl_id, page_id, settled, bounds.config_hash)
        not_followed = [] if verdict == "bounded" else self._refused(page_id)
        if bounds.max_depth is not None and visit.depth >= bounds.max_depth:
            reason = f"more than max_depth = {bounds.max_depth} links away from the starting page"
            not_followed += [(url, reason) for url in self._unqueued(crawl_id, links[:IN_LIMIT])]
            links = []
        added = self._enqueue_ids(crawl_id, links, page_id, visit.depth + 1) if links and verdict != "bounded" else 0
        return replace(settled, not_followed=not_followed), added

    def _verdict(self, crawl_id: int, page_id: int, visit: Visit, bounds: CrawlBounds) -> tuple[VisitOutcome, str]:
        """Count the visit's pattern and claim its content; return the outcome, and the page whose copy it is or ''."""
        if visit.outcome not in ("failed", "unread", "skipped") and self._is_beyond(crawl_id, visit, bounds):
            return "bounded", ""
        if visit.outcome not in ("document", "unchanged"):
            return visit.outcome, ""
        if twin := self.twin(crawl_id, visit.url):
            return "duplicate", twin
        self._connection.execute(
            "INSERT OR IGNORE INTO crawl_contents VALUES (?, ?, ?)", (crawl_id, visit.version, page_id)
        )
        first, url = self._connection.execute(
            "SELECT c.page_id, p.url FROM crawl_contents c JOIN pages p ON p.id = c.page_id "
            "WHERE c.crawl_id = ? AND c.version = ?",
            (crawl_id, visit.version),
        ).fetchone()
        return (visit.outcome, "") if first == page_id else ("duplicate", url)

    def twin(self, crawl_id: int, url: str) -> str:
        """Return under which other spelling of its host and scheme this crawl found the page, or ''."""
        others = twins(url)
        query = TWIN.format(marks=",".join("?" * len(others)))
        row = self._connection.execute(query, (self._source_id, crawl_id, *others)).fetchone()
        return row[0] if row else ""

    def _is_beyond(self, crawl_id: int, visit: Visit, bounds: CrawlBounds) -> bool:
        """Count the visit's pattern and facets; return whether there are too many like it."""
        if visit.pattern is not None and self._met(crawl_id, visit.pattern) > bounds.alike_pages:
            return True
        met = [self._met(crawl_id, facet) for facet in visit.facets]
        return bool(met) and min(met) > bounds.facet_pages

    def _met(self, crawl_id: int, pattern: str) -> int:
        (pages,) = self._connection.execute(
            "INSERT INTO crawl_patterns VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET pages = pages + 1 RETURNING pages",
            (crawl_id, pattern),
        ).fetchone()
        return int(pages)

    def _place(self, crawl_id: int, visit: Visit) -> tuple[int, int, VisitOutcome | None, PageDocument]:
        """Return page id, order, outcome and document of the visited page, which gets a place in the queue if it has none."""
        self.enqueue(crawl_id, [visit.url], None, visit.depth)
        page_id, ord_, outcome, *kept = self._connection.execute(
            "SELECT p.id, f.ord, f.outcome, p.version, p.title, p.suffix, p.facts FROM pages p "
            "JOIN frontier f ON f.page_id = p.id AND f.crawl_id = ? WHERE p.source_id = ? AND p.url = ?",
            (crawl_id, self._source_id, visit.url),
        ).fetchone()
        return page_id, ord_, outcome, PageDocument(*kept)

    def _record(self, crawl_id: int, page_id: int, settled: SettledVisit, config_hash: str) -> list[int]:
        """Write what the visit learned into the page's row; return the ids of its links."""
        visit = settled.visit
        old_links, history, failures = self._connection.execute(
            "SELECT links, history, failures FROM pages WHERE id = ?", (page_id,)
        ).fetchone()
        past = [*history.split(), f"{int(time.time())}:{visit.status}:{settled.outcome}"][-HISTORY_LENGTH:]
        self._connection.execute(
            "UPDATE pages SET status = ?, reason = ?, crawl_id = ?, history = ? WHERE id = ?",
            (visit.status, visit.reason, crawl_id, " ".join(past), page_id),
        )
        if settled.outcome in ("failed", "unread", "bounded"):
            self._connection.execute("UPDATE pages SET failures = ? WHERE id = ?", (failures + 1, page_id))
            return json.loads(old_links or "[]")
        links = old_links if visit.links is None else json.dumps(self._ids(visit.links), separators=(",", ":"))
        self._connection.execute(LEARNED, {**learned(settled), "links": links, "rules": config_hash, "id": page_id})
        return json.loads(links or "[]")

    def _refused(self, page_id: int) -> list[tuple[str, str]]:
        """Return the page's links that may not be followed, with why."""
        (refused,) = self._connection.execute("SELECT refused FROM pages WHERE id = ?", (page_id,)).fetchone()
        return [(url, reason) for url, reason in json.loads(refused)]

    def _unqueued(self, crawl_id: int, ids: Sequence[int]) -> list[str]:
        """Return the addresses of those of at most IN_LIMIT pages that the crawl neither visits nor visited."""
        rows = self._connection.execute(
            f"SELECT url FROM pages WHERE id IN ({','.join('?' * len(ids))}) "
            "AND id NOT IN (SELECT page_id FROM frontier WHERE crawl_id = ?)",
            (*ids, crawl_id),
        )
        return [url for (url,) in rows]

    def enqueue(
        self, crawl_id: int, urls: Sequence[str], parent: int | None, depth: int, claimed_at: Sequence[float] = ()
    ) -> int:
        """Add pages to the end of the queue; return how many were new."""
        return self._enqueue_ids(crawl_id, self._ids(urls), parent, depth, claimed_at)

    def _enqueue_ids(
        self, crawl_id: int, ids: Sequence[int], parent: int | None, depth: int, claimed_at: Sequence[float] = ()
    ) -> int:
        (last,) = self._connection.execute(
            "SELECT COALESCE(MAX(ord), -1) FROM frontier WHERE crawl_id = ?", (crawl_id,)
        ).fetchone()
        before = self._connection.total_changes
        self._connection.executemany(
            "INSERT OR IGNORE INTO frontier (crawl_id, ord, page_id, parent, depth, claimed_at) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (crawl_id, last + 1 + number, page_id, parent, depth, claimed_at[number] if claimed_at else 0.0)
                for number, page_id in enumerate(ids)
            ],
        )
        return self._connection.total_changes - before

    def _ids(self, urls: Sequence[str]) -> list[int]:
        """Return the page ids of `urls`, in order; unknown pages get a row."""
        found = self.known_ids(urls)
        missing = [url for url in dict.fromkeys(urls) if url not in found]
        if missing:
            self._connection.executemany(
                "INSERT INTO pages (source_id, url) VALUES (?, ?)", [(self._source_id, url) for url in missing]
            )
            found |= self.known_ids(missing)
        return [found[url] for url in urls]

    def known_ids(self, urls: Sequence[str]) -> dict[str, int]:
        """Return the ids of those of `urls` that have a row."""
        found: dict[str, int] = {}
        for start in range(0, len(urls), IN_LIMIT):
            some = urls[start : start + IN_LIMIT]
            marks = ",".join("?" * len(some))
            rows = self._connection.execute(
                f"SELECT url, id FROM pages WHERE source_id = ? AND url IN ({marks})",
                (self._source_id, *some),
            )
            found.update(rows.fetchall())
        return found


def learned(settled: SettledVisit) -> dict[str, object]:
    """Return the parameters of LEARNED that the visit itself gives."""
    visit = settled.visit
    return {
        "etag": visit.etag,
        "modified": visit.modified,
        "body_hash": visit.body_hash,
        "version": visit.version if settled.outcome in ("document", "unchanged", "duplicate") else "",
        "title": visit.title,
        "suffix": visit.suffix,
        "facts": visit.facts,
        "size_bytes": visit.size_bytes,
        "alias_of": settled.duplicate_of or visit.alias_of,
        "keep_links": visit.links is None,
        "links_cut": visit.links_cut,
        "refused": json.dumps(visit.refused),
        "whole_read": visit.whole_read,
        "now": time.time(),
    }

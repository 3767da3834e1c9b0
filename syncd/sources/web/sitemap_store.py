"""Which sitemaps of a source were read, and since when they are missing."""

from __future__ import annotations

import sqlite3
import time

from syncd.store.database import Database


class SitemapStore:
    """The sitemaps of one source; every public method is one transaction."""

    def __init__(self, database: Database, source_id: str) -> None:
        self._database = database
        self._source_id = source_id

    async def known_roots(self) -> list[str]:
        """Return the sitemaps, other than those named by another one, that were read and not forgotten."""
        query = "SELECT url FROM sitemaps WHERE source_id = ? AND NOT is_child ORDER BY url"
        return await self._database.read(lambda c: [url for (url,) in c.execute(query, (self._source_id,))])

    async def note_found(self, url: str, *, is_child: bool) -> None:
        """Note that a sitemap is there. Twice is safe."""
        statement = "INSERT OR REPLACE INTO sitemaps (source_id, url, is_child) VALUES (?, ?, ?)"
        await self._database.write(lambda c: c.execute(statement, (self._source_id, url, is_child)))

    async def missing_since(self, url: str) -> float | None:
        """Note that a sitemap is not there; return since when that is known, or None where none was there before."""

        def transaction(connection: sqlite3.Connection) -> float | None:
            where = (self._source_id, url)
            row = connection.execute(
                "SELECT missing_since FROM sitemaps WHERE source_id = ? AND url = ?", where
            ).fetchone()
            if row is None or row[0]:
                return row and row[0]
            now = time.time()
            connection.execute("UPDATE sitemaps SET missing_since = ? WHERE source_id = ? AND url = ?", (now, *where))
            return now

        return await self._database.write(transaction)

    async def forget(self, url: str) -> None:
        """Forget that there was such a sitemap. Twice is safe."""
        statement = "DELETE FROM sitemaps WHERE source_id = ? AND url = ?"
        await self._database.write(lambda c: c.execute(statement, (self._source_id, url)))

"""What sources are called, and of which nothing is run: what people change of them beside their settings, and what is damaged."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence

from syncd.errors import ConflictError
from syncd.store.checked_tables import IS_LOST
from syncd.store.codec import DAMAGED_SOURCE
from syncd.store.database import Database

IS_PAUSED = "source_id IN (SELECT id FROM sources WHERE paused_at IS NOT NULL)"
"""SQL: the source of a row is paused."""


def require_free_name(connection: sqlite3.Connection, database: str, name: str, but: str = "") -> None:
    """Raise ConflictError if another source than `but` has this name: one of the same database, or a declared one of any."""
    row = connection.execute(
        "SELECT id FROM sources WHERE (name = ?1 OR (given_name = ?1 AND database = ?2)) AND id <> ?3",
        (name, database, but),
    ).fetchone()
    if row is not None:
        raise ConflictError(f"a source named {name!r} already exists; choose another name")


class SourceNames:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def require_free(self, database: str, name: str, but: str = "") -> None:
        """Raise ConflictError if another source than `but` has this name."""
        await self._db.read(lambda c: require_free_name(c, database, name, but))

    async def ids(self, name: str, databases: frozenset[str] | None) -> Sequence[str]:
        """Return the sources of this name in these databases (None: in all); a declared one alone, where there is one."""
        statement = "SELECT id, name, database FROM sources WHERE name = ?1 OR given_name = ?1 ORDER BY seq"
        rows = await self._db.read(lambda c: c.execute(statement, (name,)).fetchall())
        found = [(ident, declared) for ident, declared, database in rows if databases is None or database in databases]
        return [ident for ident, declared in found if declared] or [ident for ident, _ in found]

    async def rename(self, source_id: str, name: str | None) -> None:
        """Give a source that is not declared another name, or none. Twice is safe. Raises ConflictError if one has it."""

        def transaction(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT database FROM sources WHERE id = ?", (source_id,)).fetchone()
            if row is not None and name is not None:
                require_free_name(connection, row[0], name, but=source_id)
            connection.execute("UPDATE sources SET given_name = ? WHERE id = ?", (name, source_id))

        await self._db.write(transaction)

    async def pause(self, source_id: str) -> None:
        """Do nothing more of what is asked of a source, and look at it no longer; all of it is kept. Twice is safe."""
        statement = "UPDATE sources SET paused_at = coalesce(paused_at, ?) WHERE id = ?"
        await self._db.write(lambda c: c.execute(statement, (time.time(), source_id)))

    async def resume(self, source_id: str) -> None:
        """Go on with a source: what was kept is due. Twice is safe."""
        await self._db.write(lambda c: c.execute("UPDATE sources SET paused_at = NULL WHERE id = ?", (source_id,)))

    async def paused(self) -> frozenset[str]:
        """Return the ids of the sources that are paused."""
        statement = "SELECT id FROM sources WHERE paused_at IS NOT NULL"
        return await self._db.read(lambda c: frozenset(ident for (ident,) in c.execute(statement)))

    async def damaged(self) -> Mapping[str, str]:
        """Return why nothing is done of sources whose rows are damaged for good, by id."""
        statement = f"SELECT id FROM sources WHERE {IS_LOST}"
        return await self._db.read(lambda c: {ident: DAMAGED_SOURCE for (ident,) in c.execute(statement)})

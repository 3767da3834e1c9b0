"""Sources: what the daemon has been configured to sync."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import asdict

from syncd.errors import ConflictError
from syncd.model import Chunking, Embedding, SourceRecord, SourceSettings
from syncd.store.absent_sources import KEEP, remember
from syncd.store.checked_rows import seal
from syncd.store.checked_tables import SOURCE_ROWS
from syncd.store.codec import (
    SELECTED_SOURCE,
    SOURCE_COLUMNS,
    SourceCodec,
    SourceRow,
    dumps,
    embedding_to_json,
    source_from_row,
)
from syncd.store.conditions import conditions
from syncd.store.database import Database
from syncd.store.new_invocations import request_leave, request_run
from syncd.store.recipes import Recipe, keep_recipe
from syncd.store.revival import revived
from syncd.store.run_ends import cancel_runs
from syncd.store.source_names import require_free_name


class Sources:
    """Each method is one transaction."""

    def __init__(self, database: Database, types: SourceCodec) -> None:
        self._db = database
        self._types = types

    async def create(
        self,
        type: str,
        database: str,
        settings: SourceSettings,
        embedding: Embedding,
        chunking: Chunking,
        name: str | None = None,
        *,
        unique: bool = False,
        given_name: str | None = None,
    ) -> SourceRecord:
        """Store a new source and return it: the one that was removed from the same place, if it left documents.

        `name`: of a declared one; `given_name`: of one that is not. Raises ConflictError if a source of this name exists or, where it is
        to be `unique`, one with the same settings.
        """

        def transaction(connection: sqlite3.Connection) -> SourceRecord:
            if unique:
                self._refuse_same(connection, type, database, settings, embedding, chunking)
            if given_name is not None:
                require_free_name(connection, database, given_name)
            return self._insert(connection, type, database, settings, embedding, chunking, name, given_name)

        try:
            return await self._db.write(transaction)
        except sqlite3.IntegrityError as error:
            raise ConflictError(f"a source named {name!r} already exists; choose another name") from error

    async def require_new(
        self, type: str, database: str, settings: SourceSettings, embedding: Embedding, chunking: Chunking
    ) -> None:
        """Raise ConflictError if a source has the same settings, whatever key it is read with, or brings the same documents."""
        await self._db.read(lambda c: self._refuse_same(c, type, database, settings, embedding, chunking))

    async def require_apart(self, record: SourceRecord, settings: SourceSettings) -> None:
        """Raise ConflictError if with other settings a source would bring what another one brings into the same collection."""
        await self._db.read(lambda c: self._refuse_overlap(c, record.type, record.database, settings, but=record.id))

    def _refuse_same(
        self,
        connection: sqlite3.Connection,
        type: str,
        database: str,
        settings: SourceSettings,
        embedding: Embedding,
        chunking: Chunking,
    ) -> None:
        statement = f"{SELECTED_SOURCE} WHERE type = ? AND database = ?"
        asked = (settings.without_credential, embedding, chunking)
        for row in connection.execute(statement, (type, database)):
            found = self._read(row)
            if (found.settings.without_credential, found.embedding, found.chunking) == asked:
                raise ConflictError(
                    f"source exists: {found.name or found.id} has the same settings; use it, or delete it first"
                )
        self._refuse_overlap(connection, type, database, settings)

    def _refuse_overlap(
        self, connection: sqlite3.Connection, type: str, database: str, settings: SourceSettings, but: str = ""
    ) -> None:
        statement = f"{SELECTED_SOURCE} WHERE type = ? AND database = ? AND id != ?"
        for found in map(self._read, connection.execute(statement, (type, database, but))):
            if settings.overlaps(found.settings):
                raise ConflictError(
                    f"source exists: {found.name or found.id} brings documents of {settings.place} that this one would bring "
                    f"into collection {settings.default_collection} too; name another collection or another part, or delete "
                    "it first"
                )

    async def get_or_create(
        self, type: str, database: str, settings: SourceSettings, embedding: Embedding, chunking: Chunking
    ) -> SourceRecord:
        """Return the one undeclared source of `type` in `database`, created on first use; concurrent callers get the same one."""

        def transaction(connection: sqlite3.Connection) -> SourceRecord:
            rows = connection.execute(
                f"{SELECTED_SOURCE} WHERE type = ? AND database = ? AND name IS NULL",
                (type, database),
            )
            return self._first(rows) or self._insert(connection, type, database, settings, embedding, chunking)

        return await self._db.write(transaction)

    async def replace(
        self,
        record: SourceRecord,
        database: str,
        settings: SourceSettings,
        embedding: Embedding,
        chunking: Chunking,
        name: str | None = None,
    ) -> None:
        """Change the configuration of a source, and the `name` of a declared one; its documents and cursors stay.

        Postponed invocations become due at once, since they may have waited for the new configuration. A collection that the
        source keeps in step is compared with it at once: what a watch does by itself is asked for here of other sources. From
        one that it kept before, what it has there goes once the new one is filled, and what it was asked to do there is not done.
        """
        values = self._types.write_settings(record.type, settings, record.is_declared)
        identity = (name or (record.name if record.is_declared else None), settings.id_root or record.id_root)
        columns = (database, dumps(values), embedding_to_json(embedding), dumps(asdict(chunking)), *identity)

        def transaction(connection: sqlite3.Connection) -> None:
            keep_recipe(connection, record, database, settings, Recipe(embedding, chunking))
            connection.execute(
                "UPDATE sources SET database = ?, settings = ?, embedding = ?, chunking = ?, name = ?, id_root = ?, type = ? WHERE id = ?",
                (*columns, record.type, record.id),
            )
            # Of one that was damaged, all that decides what is done is what it was set to just now.
            seal(connection, SOURCE_ROWS, "id = ?", record.id)
            connection.execute(
                "UPDATE invocations SET not_before = 0 WHERE source_id = ? AND state IN ('pending', 'processing')",
                (record.id,),
            )
            request_run(connection, record.id, record.type, database, settings)
            request_leave(connection, record.id, record.type, (record.database, record.settings), (database, settings))

        await self._db.write(transaction)

    async def get(self, source_id: str) -> SourceRecord | None:
        """Return one source, or None."""
        return await self._db.read(lambda c: self._first(c.execute(f"{SELECTED_SOURCE} WHERE id = ?", (source_id,))))

    async def by_name(self, name: str) -> SourceRecord | None:
        """Return the declared source of this name, or None."""
        return await self._db.read(lambda c: self._first(c.execute(f"{SELECTED_SOURCE} WHERE name = ?", (name,))))

    async def declared(self) -> dict[str, SourceRecord]:
        """Return the sources declared in the configuration file, by name."""

        def query(connection: sqlite3.Connection) -> dict[str, SourceRecord]:
            rows = connection.execute(f"{SELECTED_SOURCE} WHERE name IS NOT NULL")
            return {str(source.name): source for source in map(self._read, rows)}

        return await self._db.read(query)

    async def list(
        self,
        database: str | None = None,
        databases: frozenset[str] | None = None,
        type: str | None = None,
        limit: int = 100,
        offset: int = 0,
        newest_first: bool = True,
    ) -> list[SourceRecord]:
        """Return sources in order of creation. `databases` is the caller's scope; None is every database."""
        where, values = conditions({"database": database, "type": type}, databases)
        order = "DESC" if newest_first else "ASC"
        statement = f"{SELECTED_SOURCE}{where} ORDER BY seq {order} LIMIT ? OFFSET ?"
        return await self._db.read(
            lambda c: [self._read(row) for row in c.execute(statement, (*values, limit, offset))]
        )

    async def delete(self, source_id: str, fate: str = KEEP) -> bool:
        """Delete a source and its cursors, and cancel its waiting invocations, also the running ones unless its documents are kept.

        `fate` of its documents: see AbsentSources. False: unknown.
        """

        def transaction(connection: sqlite3.Connection) -> bool:
            remember(connection, source_id, fate)
            connection.execute("DELETE FROM cursors WHERE source_id = ?", (source_id,))
            connection.execute("DELETE FROM prepared WHERE source_id = ?", (source_id,))
            cancel_runs(connection, "source_id = ? AND (state = 'pending' OR ? <> ?)", (source_id, fate, KEEP))
            return connection.execute("DELETE FROM sources WHERE id = ?", (source_id,)).rowcount > 0

        return await self._db.write(transaction)

    def _insert(
        self,
        connection: sqlite3.Connection,
        type: str,
        database: str,
        settings: SourceSettings,
        embedding: Embedding,
        chunking: Chunking,
        name: str | None = None,
        given_name: str | None = None,
    ) -> SourceRecord:
        """Insert a source within the caller's transaction and read it back."""
        source_id, id_root = revived(connection, self._types, type, database, settings)
        values = self._types.write_settings(type, settings, is_declared=name is not None)
        columns = (
            dumps(values),
            embedding_to_json(embedding),
            dumps(asdict(chunking)),
            time.time(),
            name,
            id_root or settings.id_root or name or source_id,
            given_name,
            None,
        )
        connection.execute(
            f"INSERT INTO sources ({SOURCE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (source_id, type, database, *columns),
        )
        if id_root:
            request_run(connection, source_id, type, database, settings)
        row = connection.execute(f"{SELECTED_SOURCE} WHERE id = ?", (source_id,)).fetchone()
        return self._read(row)

    def _read(self, row: SourceRow) -> SourceRecord:
        return source_from_row(row, self._types)

    def _first(self, rows: sqlite3.Cursor) -> SourceRecord | None:
        row = rows.fetchone()
        return self._read(row) if row else None

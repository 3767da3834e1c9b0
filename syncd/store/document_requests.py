"""What is asked of single documents by name: to be fetched and prepared again, or to go."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence

from syncd.errors import ConflictError, NotFoundError
from syncd.model import DeleteDocuments, Invocation, Origin, SomeKeys, Target, WholeSource
from syncd.model.requests import anew, may_bring
from syncd.quoting import shown
from syncd.store.database import Database
from syncd.store.documents import ANEW
from syncd.store.invocation_codec import INVOCATION_COLUMNS, IS_WHOLE_RUN, invocation_from_row, request_from_json
from syncd.store.new_invocations import insert_invocation, insert_or_join

_UNKNOWN = (
    "SELECT value FROM json_each(?3) WHERE NOT EXISTS (SELECT 1 FROM documents WHERE collection_id = ?1 AND source_id = ?2 "
    "AND key = value) AND NOT EXISTS (SELECT 1 FROM prepared WHERE collection_id = ?1 AND source_id = ?2 AND key = value) LIMIT 1"
)
_FORGET = (
    "UPDATE documents SET version = '', fingerprint = ?4 WHERE source_id = ?2 AND key IN (SELECT value FROM json_each(?3)) "
    "AND collection_id IN (SELECT ?1 UNION SELECT collection_id FROM shadows WHERE live_id = ?1 "
    "AND state IN ('building', 'refused', 'switching'))"
)
_LATEST_WHOLE = (
    "SELECT request FROM invocations WHERE source_id = ? AND database = ? AND collection = ? "
    f"AND {IS_WHOLE_RUN} ORDER BY seq DESC LIMIT 1"
)
_WAITING = (
    f"SELECT {INVOCATION_COLUMNS} FROM invocations WHERE state IN ('pending', 'processing') AND source_id = ? "
    "AND database = ? AND collection = ? AND seq > ?"
)
_SEEN = (
    "SELECT 1 FROM documents WHERE collection_id = ?1 AND source_id = ?2 AND key = ?3 AND seen >= ?4 UNION ALL "
    "SELECT 1 FROM prepared WHERE collection_id = ?1 AND source_id = ?2 AND key = ?3 AND seen >= ?4"
)


class DocumentRequests:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def sync_again(self, source_id: str, target: Target, keys: Sequence[str]) -> Invocation:
        """Forget which versions of these documents are indexed, and ask for a run over them, of what the collection is of.

        Both are durable when this returns. What is indexed stays until it is replaced; a document that is on its way is waited
        for. Twice is safe. Raises NotFoundError if the source or a document is unknown.
        """

        def transaction(connection: sqlite3.Connection) -> Invocation:
            source_type = _source_type(connection, source_id)
            collection_id = _require_documents(connection, source_id, target, keys)
            connection.execute(_FORGET, (collection_id, source_id, json.dumps(list(keys)), ANEW))
            row = connection.execute(_LATEST_WHOLE, (source_id, *_place(target))).fetchone()
            whole = anew(request_from_json(row[0]).whole) if row else WholeSource()
            request = SomeKeys(tuple(sorted(set(keys))), whole, alone=True)
            return insert_or_join(connection, source_id, source_type, target, Origin.API, request)

        return await self._db.write(transaction)

    async def delete(self, source_id: str, target: Target, keys: Sequence[str]) -> Invocation:
        """Ask for these documents to go; durable when this returns.

        Raises NotFoundError if the source or a document is unknown, ConflictError while a run may bring one of them.
        """

        def transaction(connection: sqlite3.Connection) -> Invocation:
            source_type = _source_type(connection, source_id)
            _require_documents(connection, source_id, target, keys)
            request = DeleteDocuments(tuple(sorted(set(keys))))
            for bringing in _bringing(connection, source_id, target, request.keys):
                raise ConflictError(
                    f"invocation {bringing.id} is still {bringing.state} and may bring a document that is to go; wait for it, or cancel it"
                )
            return insert_invocation(connection, source_id, source_type, target, Origin.API, request)

        return await self._db.write(transaction)

    async def came_since(self, collection_id: int, source_id: str, key: str, run_number: int) -> bool:
        """Return whether a run that was asked for later than this one has brought a document, or may do so yet."""

        def query(connection: sqlite3.Connection) -> bool:
            if connection.execute(_SEEN, (collection_id, source_id, key, run_number)).fetchone():
                return True
            place = "SELECT database, name FROM collections WHERE id = ?"
            target = Target(*connection.execute(place, (collection_id,)).fetchone())
            return any(_bringing(connection, source_id, target, frozenset({key}), run_number))

        return await self._db.read(query)


def _source_type(connection: sqlite3.Connection, source_id: str) -> str:
    row = connection.execute("SELECT type FROM sources WHERE id = ?", (source_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"source {source_id} does not exist; list sources to find its id")
    return row[0]


def _require_documents(connection: sqlite3.Connection, source_id: str, target: Target, keys: Sequence[str]) -> int:
    """Return the id of the collection, in which the source has all of these documents, left out or not. Raises NotFoundError."""
    statement = "SELECT id FROM collections WHERE database = ? AND name = ?"
    row = connection.execute(statement, _place(target)).fetchone()
    unknown = connection.execute(_UNKNOWN, (row[0], source_id, json.dumps(list(keys)))).fetchone() if row else keys[:1]
    if unknown:
        raise NotFoundError(
            f"the source has no document {shown(unknown[0])} in collection {shown(target.collection)}; "
            "list the collection's documents to see their keys"
        )
    return row[0]


def _bringing(
    connection: sqlite3.Connection, source_id: str, target: Target, keys: frozenset[str], after: int = 0
) -> Iterator[Invocation]:
    """Yield the unfinished invocations asked for after run number `after` that may bring one of these documents."""
    rows = connection.execute(_WAITING, (source_id, *_place(target), after))
    return (found for found in map(invocation_from_row, rows) if may_bring(found.request, keys))


def _place(target: Target) -> tuple[str, str]:
    return target.database, target.collection

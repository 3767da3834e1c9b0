"""Whose chunk ids are whose in a collection, within the caller's transaction: each belongs to one document."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from syncd.errors import ConflictError
from syncd.store.changes import Replacement

_Owner = tuple[str, str]
"""The source and the key of a document."""


def with_own_ids(connection: sqlite3.Connection, change: Replacement) -> Replacement | ConflictError:
    """Return the document under chunk ids that no other one has, of a source that is still there; or why it has none.

    Under its other ids where a source with another root has the first: two buckets have the same keys, and ids stay what they
    are for whoever came first.
    """
    owner = _owner(connection, change)
    if change.other_prefix:
        owner = owner or _heir(connection, change)
        if owner and _has_other_root(connection, owner[0], change.source_id):
            return with_own_ids(connection, replace(change, prefix=change.other_prefix, other_prefix=""))
    if owner is None:
        return change
    return ConflictError(
        f"its chunk ids {change.prefix}-… belong to {owner[1]!r} in this collection; give one of the two a custom id"
    )


def _owner(connection: sqlite3.Connection, change: Replacement) -> _Owner | None:
    """Return whose the first ids are, if they are another document's."""
    owner = connection.execute(
        "SELECT source_id, key FROM documents WHERE collection_id = ?1 AND prefix = ?2 AND state = 'indexed' "
        "AND source_id IN (SELECT ?3 UNION SELECT id FROM sources)",
        (change.collection_id, change.prefix, change.source_id),
    ).fetchone()
    return None if owner == (change.source_id, change.key) else owner


def _heir(connection: sqlite3.Connection, change: Replacement) -> _Owner | None:
    """Return who is to have the first ids: another source's document with this key, on its way."""
    return connection.execute(
        "SELECT source_id, key FROM prepared WHERE collection_id = ?1 AND key = ?2 AND prefix = ?3 "
        "AND source_id IN (SELECT id FROM sources WHERE id <> ?4)",
        (change.collection_id, change.key, change.prefix, change.source_id),
    ).fetchone()


def _has_other_root(connection: sqlite3.Connection, source_id: str, other_id: str) -> bool:
    (roots,) = connection.execute(
        "SELECT count(DISTINCT id_root) FROM sources WHERE id IN (?, ?)", (source_id, other_id)
    ).fetchone()
    return roots > 1

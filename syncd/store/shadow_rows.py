"""The rows of shadows, read and written within the caller's transaction."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from syncd.model import Embedding, GitRef, Origin, SourceRecord, Target, WholeSource
from syncd.store.checked_tables import SHADOW_ROWS, require_as_stored
from syncd.store.codec import embedding_to_json
from syncd.store.new_invocations import insert_or_join
from syncd.store.vectors import mark_used

MAX_STEM = 470
"""Characters of a collection's name that its shadow's begins with; Chroma takes 512."""
REMOVED_AT_ONCE = 50
"""Documents removed in one transaction."""


class ShadowState(StrEnum):
    """What a collection beside the one that answers is."""

    BUILDING = "building"
    REFUSED = "refused"
    """Complete, and kept up to date, but searches of it find less; somebody has to decide."""
    SWITCHING = "switching"
    FORMER = "former"
    """It answered before; kept for a while, to go back to."""
    DISCARDED = "discarded"
    """It is being removed."""


FOLLOWING = (ShadowState.BUILDING, ShadowState.REFUSED)
"""It gets all changes that the one which answers gets."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """A collection beside the one that answers as `live`. `since`: when it became what it is, seconds since 1970."""

    collection_id: int
    live_id: int
    state: ShadowState
    since: float
    former_name: str | None
    report: str
    target: Target
    live: Target
    embedding: str
    """As the store writes it."""

    def is_of(self, embedding: Embedding) -> bool:
        """Return whether it holds vectors made so."""
        return self.embedding == embedding_to_json(embedding)


SELECT_SHADOWS = (
    "SELECT h.collection_id, h.live_id, h.state, h.since, h.former_name, h.report, c.database, c.name, l.name, c.embedding, "
    f"{SHADOW_ROWS.standing('h.')} "
    "FROM shadows h JOIN collections c ON c.id = h.collection_id JOIN collections l ON l.id = h.live_id "
)


def shadow_from_row(row: tuple[int, int, str, float, str | None, str, str, str, str, str, int | None]) -> Shadow:
    """Return the Shadow in a row of SELECT_SHADOWS. Raises DamagedRowError."""
    ident, live_id, state, since, former_name, report, database, name, live_name, embedding, standing = row
    require_as_stored(standing)
    target, live = Target(database, name), Target(database, live_name)
    return Shadow(ident, live_id, ShadowState(state), since, former_name, report, target, live, embedding)


def name_beside(name: str, role: str) -> str:
    """Return a new name for a collection beside the one of this name."""
    return f"{name[:MAX_STEM].rstrip('.')}.{role}-{uuid.uuid4().hex[:8]}"


def ask_whole(connection: sqlite3.Connection, source: SourceRecord, target: Target) -> None:
    """Ask a source for a whole run into a collection, as its watch does."""
    branch = source.settings.watch and source.settings.watch.branch
    request = WholeSource(ref=GitRef(branch=branch) if branch else None)
    insert_or_join(connection, source.id, source.type, target, Origin.SCHEDULE, request)


def insert_shadow(
    connection: sqlite3.Connection, live_id: int, target: Target, embedding: Embedding, sources: Sequence[SourceRecord]
) -> None:
    """Begin a shadow of a collection, unless there is one, and ask the sources to fill it."""
    if connection.execute(
        "SELECT 1 FROM shadows WHERE live_id = ? AND state IN ('building', 'refused', 'switching')", (live_id,)
    ).fetchone():
        return
    name = name_beside(target.collection, "shadow")
    (ident,) = connection.execute(
        "INSERT INTO collections (database, name, embedding) VALUES (?, ?, ?) RETURNING id",
        (target.database, name, embedding_to_json(embedding)),
    ).fetchone()
    connection.execute(
        "INSERT INTO shadows (collection_id, live_id, state, since) VALUES (?, ?, ?, ?)",
        (ident, live_id, ShadowState.BUILDING, time.time()),
    )
    for source in sources:
        ask_whole(connection, source, Target(target.database, name))


def fill_anew(connection: sqlite3.Connection, live_id: int, source: SourceRecord) -> None:
    """Ask a source that is set to something else again to fill the shadow of its collection, if there is one, which is then judged anew."""
    rows = connection.execute(
        "UPDATE shadows SET state = 'building' WHERE live_id = ? AND state IN ('building', 'refused') RETURNING collection_id",
        (live_id,),
    ).fetchall()
    for row in rows:
        place = connection.execute("SELECT database, name FROM collections WHERE id = ?", row).fetchone()
        ask_whole(connection, source, Target(*place))


def change_places(connection: sqlite3.Connection, shadow: Shadow, sources: Sequence[SourceRecord]) -> None:
    """Give a shadow the name of the collection that answers, and that one the name decided on; it is kept from now on.

    What was asked for the shadow is asked for the name it has now, and a whole run of each source, which costs little where
    nothing is missing. One that was kept before, or is being built, is discarded.
    """
    now, rename = time.time(), "UPDATE collections SET name = ? WHERE id = ?"
    connection.execute(rename, (shadow.former_name, shadow.live_id))
    connection.execute(rename, (shadow.live.collection, shadow.collection_id))
    connection.execute(
        "UPDATE invocations SET collection = ? WHERE database = ? AND collection = ?",
        (shadow.live.collection, shadow.target.database, shadow.target.collection),
    )
    connection.execute("DELETE FROM shadows WHERE collection_id = ?", (shadow.collection_id,))
    for other in connection.execute(
        "SELECT collection_id FROM shadows WHERE live_id = ?", (shadow.live_id,)
    ).fetchall():
        _end_filling(connection, *other)
    connection.execute(
        "UPDATE shadows SET state = 'discarded', since = ?1, live_id = ?2 WHERE live_id = ?3",
        (now, shadow.collection_id, shadow.live_id),
    )
    connection.execute(
        "INSERT INTO shadows (collection_id, live_id, state, since, report) VALUES (?, ?, 'former', ?, ?)",
        (shadow.live_id, shadow.collection_id, now, shadow.report),
    )
    # What was searchable in this version before has been so since then.
    connection.execute(
        "UPDATE documents AS d SET recorded_at = l.recorded_at FROM documents l WHERE d.collection_id = ? AND l.collection_id = ? "
        "AND l.source_id = d.source_id AND l.key = d.key AND l.version = d.version AND l.state = 'indexed' AND d.state = 'indexed'",
        (shadow.collection_id, shadow.live_id),
    )
    # Of one that answers again it is decided that it stays as it is.
    connection.execute("UPDATE kept_recipes SET is_decided = 1 WHERE collection_id = ?", (shadow.collection_id,))
    for source in sources:
        ask_whole(connection, source, shadow.live)


def discard_shadow(connection: sqlite3.Connection, shadow: Shadow, *, decide: bool) -> None:
    """Have a shadow removed and nothing done for it any more; `decide`: no other is built until the settings change."""
    _end_filling(connection, shadow.collection_id)
    connection.execute(
        "UPDATE shadows SET state = 'discarded', since = ? WHERE collection_id = ?", (time.time(), shadow.collection_id)
    )
    if decide:
        connection.execute("UPDATE kept_recipes SET is_decided = 1 WHERE collection_id = ?", (shadow.live_id,))


def _end_filling(connection: sqlite3.Connection, collection_id: int) -> None:
    """Cancel the runs into a collection, and drop what is prepared for it."""
    connection.execute(
        "UPDATE invocations SET state = 'cancelled', finished_at = ?1 WHERE state IN ('pending', 'processing') "
        "AND (database, collection) = (SELECT database, name FROM collections WHERE id = ?2)",
        (time.time(), collection_id),
    )
    connection.execute("DELETE FROM prepared WHERE collection_id = ?", (collection_id,))


def remove_documents(connection: sqlite3.Connection, collection_id: int) -> bool:
    """Remove some documents of a discarded shadow; return whether there may be more. Their vectors stay in the cache."""
    rows = connection.execute(
        "SELECT id FROM documents WHERE collection_id = ? LIMIT ?", (collection_id, REMOVED_AT_ONCE)
    ).fetchall()
    for row in rows:
        keys = connection.execute("SELECT vector_key FROM chunks WHERE document_id = ?", row).fetchall()
        mark_used(connection, (key for (key,) in keys))
        connection.execute("DELETE FROM chunks WHERE document_id = ?", row)
        connection.execute("DELETE FROM documents WHERE id = ?", row)
    return len(rows) == REMOVED_AT_ONCE
